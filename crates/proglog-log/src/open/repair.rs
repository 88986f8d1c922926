//! Making a checkpoint anew where it is lost, or does not fit the segments: asked for, never done by itself.
//!
//! The segments tell which log they are of and in which order they come. What a checkpoint that can be read
//! says is kept as far as it fits them. No segment is touched, but for the newest one where a recovery was stopped
//! on its way: what that is about to write again is not in its file.

use std::collections::BTreeMap;
use std::sync::Arc;

use proglog_store::{Boundary, Directory, Store};

use crate::error::{Error, ErrorKind, Result};
use crate::layout::checkpoint::{Checkpoint, LogState};
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory;
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::open::truncation;
use crate::record::decode;

/// Makes the checkpoint of the log in `directory` anew, if it is lost or does not fit.
pub(crate) fn repair(directory: Arc<dyn Directory>) -> Result<()> {
    inventory::check_is_log(&inventory::list(&*directory)?)?;
    let _lock = inventory::lock(&*directory)?;
    let names = inventory::list(&*directory)?;
    let old = old_checkpoint(&directory, &names)?;
    let bases = inventory::segment_bases(&names);
    let Some(first) = bases.iter().min() else {
        return match old.map(|old| old.state.position()) {
            Some(None) => Ok(()),
            Some(Some(LogPosition { segment_base, .. })) => Err(Error::MissingSegment {
                base_offset: segment_base,
            }),
            None => Err(Error::CheckpointLost {
                problem: "there is no segment to make it from",
            }),
        };
    };
    let log_id = Label::read(&*directory, *first)?.identity.log_id;
    let labels = inventory::read_labels(&*directory, bases, log_id)?;
    let old = old.filter(|old| old.log_id == log_id);
    Store::finish_recovery_in(&*directory, &names::store(newest(&labels)))?;
    if let Some(old) = &old
        && holds(check(&*directory, &labels, old))?
    {
        return Ok(());
    }
    let next = fitting(&*directory, &labels, log_id, old)?;
    inventory::check_chain(&labels, &next)?;
    CheckpointFile::create(directory, next)?;
    Ok(())
}

/// What the checkpoint says, if it can be read.
fn old_checkpoint(directory: &Arc<dyn Directory>, names: &[String]) -> Result<Option<Checkpoint>> {
    if !names.iter().any(|name| name == CHECKPOINT) {
        return Ok(None);
    }
    match CheckpointFile::open(Arc::clone(directory)) {
        Err(Error::CheckpointLost { .. }) => Ok(None),
        file => Ok(Some(file?.current().clone())),
    }
}

/// Whether a check came out well. One that could not be made tells nothing.
fn holds(checked: Result<()>) -> Result<bool> {
    match checked {
        Err(error) if matches!(error.kind(), ErrorKind::Io) => Err(error),
        checked => Ok(checked.is_ok()),
    }
}

/// Whether a log opens with this checkpoint and these segments.
fn check(
    directory: &dyn Directory,
    labels: &BTreeMap<Offset, Label>,
    checkpoint: &Checkpoint,
) -> Result<()> {
    if checkpoint.truncation().is_some() {
        // Opening it finishes that.
        let bases = labels.keys().copied().collect::<Vec<_>>();
        return truncation::check_possible(directory, checkpoint, &bases);
    }
    inventory::check_start(checkpoint, end_of(directory, labels)?)?;
    inventory::check_chain(labels, checkpoint)?;
    inventory::check_recovery_point(directory, labels, checkpoint)
}

/// The checkpoint that fits the segments, with what `old` says that does.
fn fitting(
    directory: &dyn Directory,
    labels: &BTreeMap<Offset, Label>,
    log_id: u128,
    old: Option<Checkpoint>,
) -> Result<Checkpoint> {
    let first = *labels.keys().next().expect("there is a segment");
    let newest = newest(labels);
    let end = end_of(directory, labels)?;
    let start = old.as_ref().map(|old| old.start);
    let boundary = match &old {
        Some(old)
            if old.truncation().is_none()
                && holds(inventory::check_recovery_point(directory, labels, old))? =>
        {
            old.recovery_point_in(newest)
        }
        _ => Boundary::START,
    };
    let recovery_point = LogPosition {
        segment_base: newest,
        boundary,
    };
    Ok(Checkpoint {
        log_id,
        start: start
            .filter(|start| (first..=end).contains(start))
            .unwrap_or(first),
        state: LogState::Open(recovery_point),
        data: old.map(|old| old.data).unwrap_or_default(),
    })
}

/// The base offset of the newest segment.
fn newest(labels: &BTreeMap<Offset, Label>) -> Offset {
    *labels.keys().next_back().expect("there is a segment")
}

/// Where the newest segment ends: behind its newest record that can be read, and behind what it says itself
/// to have on the device.
fn end_of(directory: &dyn Directory, labels: &BTreeMap<Offset, Label>) -> Result<Offset> {
    let newest = newest(labels);
    let name = names::store(newest);
    let marked = Store::open_following_in(directory, &name, Boundary::START)?.refresh()?;
    let mut end = newest.plus(marked.frames);
    let mut frames = Store::open_sealed_in(directory, &name)?.frames(..);
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
