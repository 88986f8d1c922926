//! Inventory of a log's directory: the files in it, and the headers of its segments.

use std::io;
use std::sync::Arc;

use proglog_store::io::{Directory, FileId, OpenMode, Storage};
use proglog_store::segment::byte_of;
use proglog_store::{Boundary, Operation, Position};

use crate::error::reason::{CheckpointMismatch, Reason, Result, SegmentIdentity};
use crate::layout::checkpoint::{Checkpoint, LogState};
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT, LOCK, TEMPORARY};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::record::decode;

/// Takes the lock on `directory`, which is a log's or can become one. It is held until the file is dropped.
pub(crate) fn lock(directory: &dyn Directory) -> Result<Arc<dyn Storage>> {
    // Nothing is created or locked in a directory of something else.
    Inventory::read(directory)?;
    let file = directory.open(LOCK, OpenMode::CreateIfMissing);
    let file = file.map_err(|error| Reason::io(Operation::Open, LOCK, error))?;
    match file.try_lock() {
        Ok(true) if is_in_place(directory, id_of(&*file)) => Ok(file),
        Ok(true) => Err(Reason::DirectoryMoved),
        Ok(false) => Err(Reason::Locked),
        Err(error) => Err(Reason::io(Operation::Lock, LOCK, error)),
    }
}

/// Returns the identity of the lock file `file`, if it is known.
pub(crate) fn id_of(file: &dyn Storage) -> Option<FileId> {
    file.id().ok().flatten()
}

/// Returns whether `directory` is still where it was opened and `lock` still identifies its lock file. Otherwise
/// another log may be there, or be locked by another process. What cannot be found out is taken to be so.
pub(crate) fn is_in_place(directory: &dyn Directory, lock: Option<FileId>) -> bool {
    let has_lock = match directory.id_of(LOCK) {
        Ok(found) => found == lock || found.is_none() || lock.is_none(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    has_lock && directory.is_in_place().unwrap_or(true)
}

/// The names of the files in a log's directory.
#[derive(Debug)]
pub(crate) struct Inventory {
    names: Vec<String>,
    /// Base offsets of the segments, ascending.
    pub(crate) bases: Vec<Offset>,
}

impl Inventory {
    /// Lists `directory`. A log has a checkpoint or a segment; a directory that has neither must hold
    /// nothing at all.
    pub(crate) fn read(directory: &dyn Directory) -> Result<Self> {
        let mut names = directory
            .list()
            .map_err(|error| Reason::io(Operation::List, LOCK, error))?;
        names.sort_unstable();
        let bases = names.iter().filter_map(|name| names::parse_store(name));
        let inventory = Self {
            bases: bases.collect(),
            names,
        };
        let foreign = |name: &&String| !names::may_precede_log(name);
        match inventory.names.iter().find(foreign) {
            Some(found) if inventory.bases.is_empty() && !inventory.has_checkpoint() => {
                Err(Reason::NotALog {
                    found: Some(found.clone()),
                })
            }
            _ => Ok(inventory),
        }
    }

    pub(crate) fn has_checkpoint(&self) -> bool {
        self.names.iter().any(|name| name == CHECKPOINT)
    }

    /// Returns the files with bytes that were set aside from the segment with base offset `base`.
    pub(crate) fn set_aside(&self, base: Offset) -> Vec<String> {
        let names = self.names.iter();
        let of_segment = names.filter(|name| names::parse_set_aside(name) == Some(base));
        of_segment.cloned().collect()
    }

    /// Returns the temporary files, which an interrupted creation left.
    pub(crate) fn left_over(self) -> Vec<String> {
        let mut names = self.names;
        names.retain(|name| name.ends_with(TEMPORARY));
        names
    }
}

/// The header of a segment's store, and the length of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) label: Label,
    pub(crate) salt: u64,
    /// End of the file.
    pub(crate) end: Position,
}

impl SegmentHeader {
    /// Reads the header in the file named after `base`, whatever segment it says it is of.
    pub(crate) fn read(directory: &dyn Directory, base: Offset) -> Result<Self> {
        let name = names::store(base);
        let header = proglog_store::segment::read_header(directory, &name)?;
        let label =
            Label::decode(&header.label).ok_or(Reason::NotASegment { file: name.into() })?;
        Ok(Self {
            label,
            salt: header.salt,
            end: header.end,
        })
    }

    /// Reads the header in the file named after `base`, which must say that it is that segment of the log
    /// `log_id`.
    pub(crate) fn read_own(directory: &dyn Directory, base: Offset, log_id: u128) -> Result<Self> {
        let header = Self::read(directory, base)?;
        let expected = SegmentIdentity {
            log_id,
            base_offset: base,
        };
        if header.label.identity != expected {
            return Err(Reason::WrongSegment {
                file: names::store(base).into(),
                expected,
                got: header.label.identity,
            });
        }
        Ok(header)
    }

    pub(crate) fn base(&self) -> Offset {
        self.label.identity.base_offset
    }
}

/// A place in the chain of segments where some are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Base offset of the segment before the gap; `None` if the oldest are missing.
    pub(crate) after: Option<Offset>,
    /// Base offset of the last one that is missing, as the segment after the gap or the checkpoint names it.
    pub(crate) missing: Offset,
    /// Base offset of the segment after the gap; `None` if the newest is missing.
    pub(crate) before: Option<Offset>,
}

/// Returns where segments are missing, from the one with the log's start to the newest that the checkpoint knows.
/// `labels` are in the order of the segments.
pub(crate) fn gaps(labels: &[Label], checkpoint: &Checkpoint) -> Vec<Gap> {
    let base = |label: &Label| label.identity.base_offset;
    let mut gaps = Vec::new();
    let mut after = None;
    for label in labels {
        let is_next = match after {
            Some(_) => label.previous_base == after,
            None => base(label) <= checkpoint.start,
        };
        if !is_next {
            gaps.push(Gap {
                after,
                missing: label.previous_base.unwrap_or(checkpoint.start),
                before: Some(base(label)),
            });
        }
        after = Some(base(label));
    }
    if let LogState::Open(LogPosition { segment_base, .. }) = checkpoint.state
        && after < Some(segment_base)
    {
        gaps.push(Gap {
            after,
            missing: segment_base,
            before: None,
        });
    }
    gaps
}

/// Checks that no segment is missing, from the one with the log's start to the newest that the checkpoint
/// knows. `labels` are in the order of the segments.
pub(crate) fn check_chain(labels: &[Label], checkpoint: &Checkpoint) -> Result<()> {
    let missing = |base_offset| Err(Reason::MissingSegment { base_offset });
    if let LogState::Open(LogPosition { segment_base, .. }) = checkpoint.state
        && !labels
            .iter()
            .any(|label| label.identity.base_offset == segment_base)
    {
        return missing(segment_base);
    }
    match gaps(labels, checkpoint).first() {
        Some(gap) => missing(gap.missing),
        None => Ok(()),
    }
}

/// Checks that `newest`, the newest segment, goes as far as the checkpoint's recovery point, and that the
/// record there is the one that must be there.
pub(crate) fn check_recovery_point(
    directory: &dyn Directory,
    newest: &SegmentHeader,
    checkpoint: &Checkpoint,
) -> Result<()> {
    let (base, end) = (newest.base(), newest.end);
    let Boundary { position, frames } = checkpoint.recovery_point_in(base);
    if end < position {
        return Err(Reason::CheckpointMismatch {
            file: CHECKPOINT.into(),
            reason: CheckpointMismatch::RecoveryPointPastEnd {
                segment: names::store(base).into(),
                recovery_point: byte_of(position),
                end: byte_of(end),
            },
        });
    }
    if position == Position::ZERO || position == end {
        return Ok(());
    }
    let name = names::store(base);
    let store = proglog_store::segment::open_sealed(directory, &name)?;
    let expected = base.saturating_add(frames);
    match store.frames(position..).next() {
        Some(Ok(frame)) => match decode::offset_and_size(&frame.payload) {
            Ok((got, _)) if got != expected.get() => Err(Reason::CheckpointMismatch {
                file: CHECKPOINT.into(),
                reason: CheckpointMismatch::RecoveryPointMoved {
                    segment: name.into(),
                    byte: byte_of(position),
                    expected,
                    got: Offset::new(got),
                },
            }),
            _ => Ok(()),
        },
        Some(Err(error @ proglog_store::Error::Io { .. })) => Err(error.into()),
        // Recovery reports what is damaged or torn there.
        _ => Ok(()),
    }
}
