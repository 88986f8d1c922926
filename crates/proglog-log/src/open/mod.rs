//! Opening a log: which files there are, what they say they are, and how far they go.

pub(crate) mod repair;
pub(crate) mod report;
pub(crate) mod truncation;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use proglog_store::{Boundary, Directory, OpenMode, Operation, Storage, Store};

use crate::engine::{Parts, Shared};
use crate::error::{Error, Result, SegmentIdentity};
use crate::layout::checkpoint::{Checkpoint, CheckpointFile};
use crate::layout::names::{self, CHECKPOINT, LOCK, TEMPORARY};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::open::report::Recovery;
use crate::options::Options;
use crate::record::decode;
use crate::runtime;
use crate::segment::{Segment, removal};

/// Opens the log in `directory`, or makes one if it is empty.
pub(crate) fn open(directory: Arc<dyn Directory>, options: &Options) -> Result<Arc<Shared>> {
    let begun = Instant::now();
    options.validate()?;
    check_is_log(&list(&*directory)?)?;
    let lock = lock(&*directory)?;
    runtime::start()?;
    // Only now nobody else changes anything.
    let names = list(&*directory)?;
    let bases = segment_bases(&names);
    let mut checkpoint = open_checkpoint(&directory, &names, &bases)?;
    truncation::check_possible(&*directory, checkpoint.current(), &bases)?;
    checkpoint.settle()?;
    let bases = truncation::finish(&directory, &mut checkpoint, bases, options)?;
    let (bases, trimmed) = without_trimmed(checkpoint.current(), bases);
    let labels = read_labels(&*directory, bases, checkpoint.current().log_id)?;
    check_chain(&labels, checkpoint.current())?;
    check_recovery_point(&*directory, &labels, checkpoint.current())?;
    // What may fail comes first: recovering the active segment changes it.
    let (mut segments, sealed_rebuilt) = open_sealed(&directory, &labels)?;
    let (label, known) = active_label(&labels, checkpoint.current());
    let active = Segment::open_active(&directory, label, options, known)?;
    let open = active.segment.open()?;
    segments.push(Arc::new(active.segment));

    let found = open.store.recovery();
    let base = open.base();
    let end = base.plus(found.end.frames);
    note_recovered(&mut checkpoint, base, found.end)?;
    remove_trimmed(&*directory, checkpoint.current(), trimmed)?;
    let recovery = Recovery {
        clean: found.clean,
        records: checkpoint.current().start..end,
        recovery_point: base.plus(found.recovery_point.frames),
        set_aside: found.set_aside.clone(),
        zeros_cut: found.zeros_cut,
        damaged: found
            .damaged
            .map(|position| (names::store(base).into(), position)),
        header_restored: found.header_restored,
        indexes_rebuilt: sealed_rebuilt + usize::from(active.index_rebuilt),
        left_over: names
            .into_iter()
            .filter(|name| name.ends_with(TEMPORARY))
            .collect(),
        elapsed: begun.elapsed(),
    };
    let last_appended_at = last_appended_at(&segments, end)?;
    let options = options.clone();
    let shared = Shared::new(Parts {
        directory,
        options,
        lock,
        checkpoint,
        segments,
        recovery,
        last_appended_at,
    })?;
    shared.retain_later();
    Ok(shared)
}

/// The base offsets of the segments without those all of whose records were trimmed, and of those.
fn without_trimmed(checkpoint: &Checkpoint, bases: Vec<Offset>) -> (Vec<Offset>, Vec<Offset>) {
    let started = bases.iter().filter(|base| **base <= checkpoint.start);
    let first = started.max().copied().unwrap_or_default();
    bases.into_iter().partition(|base| *base >= first)
}

/// Removes the segments `trimmed`: whoever trimmed the log did not get to it.
fn remove_trimmed(
    directory: &dyn Directory,
    checkpoint: &Checkpoint,
    trimmed: Vec<Offset>,
) -> Result<()> {
    for base in trimmed {
        // One that is not this log's is not this log's to remove.
        if Label::read(directory, base)?.identity.log_id == checkpoint.log_id {
            removal::remove_files(directory, base)?;
        }
    }
    Ok(())
}

/// The segments before the active one, and how many of them needed a new index.
fn open_sealed(
    directory: &Arc<dyn Directory>,
    labels: &BTreeMap<Offset, Label>,
) -> Result<(Vec<Arc<Segment>>, usize)> {
    let mut segments = Vec::new();
    let mut rebuilt = 0;
    for (base, next) in labels.keys().zip(labels.keys().skip(1)) {
        let segment = Segment::sealed(Arc::clone(directory), *base);
        rebuilt += usize::from(segment.check_index(next.since(*base))?);
        segments.push(Arc::new(segment));
    }
    Ok((segments, rebuilt))
}

/// Notes in the checkpoint that the newest segment is durable up to `end`.
fn note_recovered(checkpoint: &mut CheckpointFile, base: Offset, end: Boundary) -> Result<()> {
    let current = checkpoint.current();
    check_start(current, base.plus(end.frames))?;
    let next = Checkpoint {
        segment_exists: true,
        segment_base: base,
        recovery_point: end,
        ..current.clone()
    };
    if next == *current {
        Ok(())
    } else {
        checkpoint.write(next)
    }
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
    let (base, known) = (checkpoint.segment_base, checkpoint.recovery_point);
    let newest = labels.keys().next_back();
    if known == Boundary::START || newest != Some(&base) {
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

fn open_checkpoint(
    directory: &Arc<dyn Directory>,
    names: &[String],
    bases: &[Offset],
) -> Result<CheckpointFile> {
    let directory = Arc::clone(directory);
    if names.iter().any(|name| name == CHECKPOINT) {
        let checkpoint = CheckpointFile::open(Arc::clone(&directory))?;
        if checkpoint.current().segment_exists {
            return Ok(checkpoint);
        }
        // Whoever made the file may have failed to make its name durable, and then syncing the
        // directory once more need not help, though the name is seen.
        return CheckpointFile::create(directory, checkpoint.current().clone());
    }
    if !bases.is_empty() {
        return Err(Error::CheckpointLost {
            problem: "its file is missing",
        });
    }
    let mut log_id = [0; 16];
    getrandom::fill(&mut log_id)
        .map_err(|error| Error::io(Operation::Random, CHECKPOINT, io::Error::from(error)))?;
    let first = Checkpoint {
        log_id: u128::from_be_bytes(log_id),
        start: Offset::ZERO,
        segment_exists: false,
        cut: false,
        segment_base: Offset::ZERO,
        recovery_point: Boundary::START,
        data: Vec::new(),
    };
    CheckpointFile::create(directory, first)
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
    if checkpoint.segment_exists && !labels.contains_key(&checkpoint.segment_base) {
        return missing(checkpoint.segment_base);
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

/// The label of the segment to append to, which is made if there is none yet, and what of it is
/// known to be durable.
fn active_label(labels: &BTreeMap<Offset, Label>, checkpoint: &Checkpoint) -> (Label, Boundary) {
    let (log_id, base_offset) = (checkpoint.log_id, checkpoint.start);
    let first = Label {
        identity: SegmentIdentity {
            log_id,
            base_offset,
        },
        previous_base: None,
    };
    let label = labels.values().next_back().copied().unwrap_or(first);
    let known = if label.identity.base_offset == checkpoint.segment_base {
        checkpoint.recovery_point
    } else {
        Boundary::START
    };
    (label, known)
}

/// When the newest record was appended: the log's clock must not go back behind that.
fn last_appended_at(segments: &[Arc<Segment>], end: Offset) -> Result<i64> {
    let newest = segments.iter().rev().find(|segment| segment.base() < end);
    let Some(segment) = newest else { return Ok(0) };
    Ok(segment.open()?.newest_appended_at(end)?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::record::Record;

    #[test]
    fn the_clock_goes_on_from_the_newest_record_though_the_newest_segment_has_none() {
        let disk = SimDisk::new();
        let never = Options::new().idle_after(Duration::MAX);
        let log = open(disk.directory(), &never).unwrap();
        for _ in 0..3 {
            log.append(&Record::new("a")).unwrap();
        }
        log.truncate(Offset::new(2)).unwrap();
        let newest = log.reader.read(1).unwrap().appended_at;
        log.close().unwrap();
        let log = open(disk.directory(), &never).unwrap();
        assert_eq!(log.writer.lock().last_appended_at(), Some(newest));
    }
}
