//! The files of a log's directory, and what they say they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use proglog_store::{Boundary, Directory, OpenMode, Operation, Storage, Store};

use crate::error::{Error, Result, SegmentIdentity};
use crate::layout::checkpoint::{Checkpoint, LogState};
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT, LOCK};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::record::decode;

/// The base offsets of the segments without those all of whose records were trimmed, and of those.
pub(crate) fn without_trimmed(
    checkpoint: &Checkpoint,
    bases: Vec<Offset>,
) -> (Vec<Offset>, Vec<Offset>) {
    let started = bases.iter().filter(|base| **base <= checkpoint.start);
    let first = started.max().copied().unwrap_or_default();
    bases.into_iter().partition(|base| *base >= first)
}

/// The log, whose segments end at `end`, does not start behind that.
pub(crate) fn check_start(checkpoint: &Checkpoint, end: Offset) -> Result<()> {
    let start = checkpoint.start;
    if start > end {
        let file = CHECKPOINT.into();
        return Err(Error::StartPastEnd { file, start, end });
    }
    Ok(())
}

/// The newest segment, if the checkpoint tells its recovery point, goes as far, and the record there is
/// the one that must be there.
pub(crate) fn check_recovery_point(
    directory: &dyn Directory,
    labels: &BTreeMap<Offset, Label>,
    checkpoint: &Checkpoint,
) -> Result<()> {
    let Some(&base) = labels.keys().next_back() else {
        return Ok(());
    };
    let known = checkpoint.recovery_point_in(base);
    if known == Boundary::START {
        return Ok(());
    }
    let name = names::store(base);
    let store = Store::open_sealed_in(directory, &name)?;
    let (end, position) = (store.end().position, known.position);
    if end < position {
        return Err(Error::RecoveryPointPastEnd {
            file: CHECKPOINT.into(),
            segment: name.into(),
            recovery_point: position,
            end,
        });
    }
    let expected = base.plus(known.frames);
    match store.frames(position..).next() {
        Some(Ok(frame)) => match decode::offset_and_size(&frame.payload) {
            Ok((got, _)) if got != expected.get() => Err(Error::RecoveryPointMoved {
                file: CHECKPOINT.into(),
                segment: name.into(),
                position,
                expected,
                got: Offset::new(got),
            }),
            _ => Ok(()),
        },
        Some(Err(error @ proglog_store::Error::Io { .. })) => Err(error.into()),
        // What is damaged there, or torn, recovery tells.
        _ => Ok(()),
    }
}

pub(crate) fn list(directory: &dyn Directory) -> Result<Vec<String>> {
    let mut names = directory
        .list()
        .map_err(|error| Error::io(Operation::List, LOCK, error))?;
    names.sort_unstable();
    Ok(names)
}

pub(crate) fn segment_bases(names: &[String]) -> Vec<Offset> {
    names
        .iter()
        .filter_map(|name| names::parse_store(name))
        .collect()
}

/// A log has a checkpoint or a segment; a directory that has neither must hold nothing at all.
pub(crate) fn check_is_log(names: &[String]) -> Result<()> {
    let is_log = |name: &String| name == CHECKPOINT || names::parse_store(name).is_some();
    match names.iter().find(|name| !names::may_precede_log(name)) {
        Some(found) if !names.iter().any(is_log) => Err(Error::NotALog {
            found: Some(found.clone()),
        }),
        _ => Ok(()),
    }
}

pub(crate) fn lock(directory: &dyn Directory) -> Result<Arc<dyn Storage>> {
    let file = directory
        .open(LOCK, OpenMode::CreateIfMissing)
        .map_err(|error| Error::io(Operation::Open, LOCK, error))?;
    match file.try_lock() {
        Ok(true) => Ok(file),
        Ok(false) => Err(Error::Locked),
        Err(error) => Err(Error::io(Operation::Lock, LOCK, error)),
    }
}

/// What the segments' headers say, by the base offset in their names, which must agree.
pub(crate) fn read_labels(
    directory: &dyn Directory,
    bases: Vec<Offset>,
    log_id: u128,
) -> Result<BTreeMap<Offset, Label>> {
    let mut labels = BTreeMap::new();
    for base_offset in bases {
        let label = Label::read(directory, base_offset)?;
        let expected = SegmentIdentity {
            log_id,
            base_offset,
        };
        if label.identity != expected {
            let file = names::store(base_offset).into();
            return Err(Error::WrongSegment {
                file,
                expected,
                got: label.identity,
            });
        }
        labels.insert(base_offset, label);
    }
    Ok(labels)
}

/// Every segment from the one with the log's start to the newest known one must be there.
pub(crate) fn check_chain(labels: &BTreeMap<Offset, Label>, checkpoint: &Checkpoint) -> Result<()> {
    let missing = |base_offset| Err(Error::MissingSegment { base_offset });
    if let LogState::Open(LogPosition { segment_base, .. }) = checkpoint.state
        && !labels.contains_key(&segment_base)
    {
        return missing(segment_base);
    }
    if let Some((first, label)) = labels.first_key_value()
        && *first > checkpoint.start
    {
        return missing(label.previous_base.unwrap_or(checkpoint.start));
    }
    for (before, label) in labels.keys().zip(labels.values().skip(1)) {
        if label.previous_base != Some(*before) {
            return missing(label.previous_base.unwrap_or(checkpoint.start));
        }
    }
    Ok(())
}
