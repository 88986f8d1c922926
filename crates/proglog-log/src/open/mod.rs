//! Opening a log: which files there are, what they say they are, and how far they go.

pub(crate) mod repair;
pub(crate) mod report;
mod truncation;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use proglog_store::{Boundary, Directory, Operation};

use crate::engine::{Engine, Parts, background};
use crate::error::{Error, Result, SegmentIdentity};
use crate::layout::checkpoint::{Checkpoint, LogState};
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory;
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT, TEMPORARY};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::open::report::Recovery;
use crate::options::Options;
use crate::runtime;
use crate::segment::{Segment, removal};

/// Opens the log in `directory`, or creates one if it is empty. Returns it and what opening found.
pub(crate) fn open(
    directory: Arc<dyn Directory>,
    options: &Options,
) -> Result<(Arc<Engine>, Recovery)> {
    let begun = Instant::now();
    options.validate()?;
    inventory::check_is_log(&inventory::list(&*directory)?)?;
    let lock = inventory::lock(&*directory)?;
    runtime::start()?;
    // Only now nobody else changes anything.
    let names = inventory::list(&*directory)?;
    let bases = inventory::segment_bases(&names);
    let mut checkpoint = open_checkpoint(&directory, &names, &bases)?;
    truncation::check_possible(&*directory, checkpoint.current(), &bases)?;
    checkpoint.settle()?;
    let bases = truncation::finish(&directory, &mut checkpoint, bases, options)?;
    let (bases, trimmed) = inventory::without_trimmed(checkpoint.current(), bases);
    let labels = inventory::read_labels(&*directory, bases, checkpoint.current().log_id)?;
    inventory::check_chain(&labels, checkpoint.current())?;
    inventory::check_recovery_point(&*directory, &labels, checkpoint.current())?;
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
    let engine = Engine::new(Parts {
        directory,
        options,
        lock,
        checkpoint,
        segments,
        last_appended_at,
        tasks: background::tasks,
    })?;
    #[cfg(feature = "tracing")]
    trace_opened(engine.log_id, &recovery);
    engine.retain_soon();
    Ok((engine, recovery))
}

/// Emits an event for what opening found.
#[cfg(feature = "tracing")]
fn trace_opened(log_id: u128, recovery: &Recovery) {
    let log_id = format_args!("{log_id:032x}");
    if recovery.damaged.is_some() {
        tracing::warn!(log_id, ?recovery, "log opened, with damage");
    } else {
        tracing::debug!(log_id, ?recovery, "log opened");
    }
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
    inventory::check_start(current, base.plus(end.frames))?;
    let recovered = LogPosition {
        segment_base: base,
        boundary: end,
    };
    let next = Checkpoint {
        state: LogState::Open(recovered),
        ..current.clone()
    };
    if next == *current {
        Ok(())
    } else {
        checkpoint.write(next)
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
        if checkpoint.current().state != LogState::Empty {
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
        state: LogState::Empty,
        data: Vec::new(),
    };
    CheckpointFile::create(directory, first)
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
    (
        label,
        checkpoint.recovery_point_in(label.identity.base_offset),
    )
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
        let (log, _) = open(disk.directory(), &never).unwrap();
        for _ in 0..3 {
            log.append(&Record::new("a")).unwrap();
        }
        log.truncate(Offset::new(2)).unwrap();
        let newest = log.reader.read(1).unwrap().appended_at;
        log.close().unwrap();
        let (log, _) = open(disk.directory(), &never).unwrap();
        assert_eq!(log.writer.lock().last_appended_at(), Some(newest));
    }
}
