//! Repair of a checkpoint that is lost or does not fit the segments: only ever on request.
//!
//! The segments say which log they are of and in which order they come. What a readable checkpoint says
//! is kept as far as it fits them. No segment is changed, except the newest one where a recovery was
//! interrupted: what that recovery was about to rewrite is not in its file.

use std::sync::Arc;

use proglog_store::Boundary;
use proglog_store::io::Directory;

use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::{Checkpoint, LogState};
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory::{self, Inventory, SegmentHeader};
use crate::layout::log_position::LogPosition;
use crate::layout::names;
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::open::interrupted_truncation;
use crate::record::decode;

/// Replaces the checkpoint of the log in `directory`, if it is lost or does not fit.
pub(crate) fn repair(directory: Arc<dyn Directory>) -> Result<()> {
    let _lock = inventory::lock(&*directory)?;
    let inventory = Inventory::read(&*directory)?;
    let old = old_checkpoint(&directory, &inventory)?;
    let bases = inventory.bases;
    let Some(first) = bases.first() else {
        return match old.map(|old| old.state.position()) {
            Some(None) => Ok(()),
            Some(Some(LogPosition { segment_base, .. })) => Err(Reason::MissingSegment {
                base_offset: segment_base,
            }),
            None => Err(Reason::CheckpointLost {
                problem: "there is no segment to make it from",
            }),
        };
    };
    let log_id = SegmentHeader::read(&*directory, *first)?
        .label
        .identity
        .log_id;
    let old = old.filter(|old| old.log_id == log_id);
    let segments = Segments::read(&*directory, bases, log_id)?;
    if let Some(old) = &old
        && holds(segments.check(old))?
    {
        return Ok(());
    }
    let next = segments.fitting(log_id, old)?;
    inventory::check_chain(&segments.labels, &next)?;
    CheckpointFile::create(directory, next)?;
    Ok(())
}

/// Returns what the checkpoint says, if it can be read.
fn old_checkpoint(
    directory: &Arc<dyn Directory>,
    inventory: &Inventory,
) -> Result<Option<Checkpoint>> {
    if !inventory.has_checkpoint() {
        return Ok(None);
    }
    match CheckpointFile::open(Arc::clone(directory)) {
        Err(Reason::CheckpointLost { .. }) => Ok(None),
        file => Ok(Some(file?.current().clone())),
    }
}

/// Returns whether a check succeeded, or the error that kept it from being made.
fn holds(checked: Result<()>) -> Result<bool> {
    match checked {
        Err(error) if matches!(error.kind(), ErrorKind::Io) => Err(error),
        checked => Ok(checked.is_ok()),
    }
}

/// The segments of the log, at least one.
struct Segments<'a> {
    directory: &'a dyn Directory,
    bases: Vec<Offset>,
    labels: Vec<Label>,
    newest: SegmentHeader,
    /// End of the newest segment: after its newest readable record, and after what it says itself to
    /// have on the device.
    end: Offset,
}

impl<'a> Segments<'a> {
    /// Reads all headers, and finishes an interrupted recovery of the newest segment.
    fn read(directory: &'a dyn Directory, bases: Vec<Offset>, log_id: u128) -> Result<Self> {
        let read = |base: &Offset| SegmentHeader::read_own(directory, *base, log_id);
        let headers = bases.iter().map(read).collect::<Result<Vec<_>>>()?;
        let newest = *bases.last().expect("there is a segment");
        proglog_store::segment::finish_recovery(directory, &names::store(newest))?;
        Ok(Self {
            directory,
            labels: headers.iter().map(|header| header.label).collect(),
            newest: read(&newest)?,
            end: end_of(directory, newest)?,
            bases,
        })
    }

    /// Checks that a log opens with this checkpoint and these segments.
    fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        if let Some(truncation) = checkpoint.truncation() {
            // Opening it finishes that.
            let Self {
                directory, bases, ..
            } = self;
            return interrupted_truncation::check_possible(
                *directory, checkpoint, truncation, bases,
            );
        }
        checkpoint.check_start(self.end)?;
        inventory::check_chain(&self.labels, checkpoint)?;
        inventory::check_recovery_point(self.directory, &self.newest, checkpoint)
    }

    /// Returns the checkpoint that fits the segments, with what `old` says that does.
    fn fitting(&self, log_id: u128, old: Option<Checkpoint>) -> Result<Checkpoint> {
        let (first, newest) = (self.bases[0], self.newest.base());
        let boundary = match &old {
            Some(old)
                if old.truncation().is_none()
                    && holds(inventory::check_recovery_point(
                        self.directory,
                        &self.newest,
                        old,
                    ))? =>
            {
                old.recovery_point_in(newest)
            }
            _ => Boundary::START,
        };
        let (start, truncations, data) = old.map_or((first, 0, Vec::new()), |old| {
            (old.start, old.truncations, old.data)
        });
        let fits = (first..=self.end).contains(&start);
        Ok(Checkpoint {
            log_id,
            start: if fits { start } else { first },
            state: LogState::Open(LogPosition {
                segment_base: newest,
                boundary,
            }),
            truncations,
            data,
        })
    }
}

fn end_of(directory: &dyn Directory, base: Offset) -> Result<Offset> {
    let name = names::store(base);
    let marked = proglog_store::segment::open_following(directory, &name, Boundary::START)?.end();
    let mut end = base.saturating_add(marked.frames);
    let mut frames = proglog_store::segment::open_sealed(directory, &name)?.frames(..);
    loop {
        match frames.next() {
            Some(Ok(frame)) => {
                if let Ok((offset, _)) = decode::offset_and_size(&frame.payload) {
                    end = end.max(Offset::new(offset.saturating_add(1)));
                }
            }
            Some(Err(error @ proglog_store::Error::Io { .. })) => return Err(error.into()),
            Some(Err(_)) if frames.resume()?.is_some() => {}
            _ => return Ok(end),
        }
    }
}
