//! Plan of an opening: what is found in the directory, and the changes that it needs.
//!
//! Finding only reads, so everything that can be refused is refused before anything is changed.

use std::io;
use std::sync::Arc;

use proglog_store::io::Directory;
use proglog_store::{Boundary, Operation};

use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result, SegmentIdentity};
use crate::layout::checkpoint::{Checkpoint, LogState, Truncation};
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory::{self, Inventory, SegmentHeader};
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::open::interrupted_truncation;
use crate::options::LogOptions;
use crate::segment::{Segment, removal};

/// The changes that opening a log makes, in the order of the fields.
pub(super) struct Plan {
    checkpoint: PlannedCheckpoint,
    /// A truncation to finish, and the base offsets of all segments before it.
    truncation: Option<(Truncation, Vec<Offset>)>,
    /// Labels of the segments before the active one.
    sealed: Vec<Label>,
    /// Label of the segment to append to. There is none yet in a new log, and after a truncation.
    active: Label,
    /// The part of the active segment that is known to be on the device.
    recovery_point: Boundary,
    /// Base offsets of segments whose records were all trimmed, to be removed.
    trimmed: Vec<Offset>,
}

enum PlannedCheckpoint {
    Create(Checkpoint),
    Keep(CheckpointFile),
}

/// An opened log's parts.
pub(super) struct Applied {
    pub(super) checkpoint: CheckpointFile,
    /// The segments before the active one.
    pub(super) sealed: Vec<Arc<Segment>>,
    pub(super) active: Arc<Segment>,
    pub(super) indexes_rebuilt: usize,
    /// Files of segments whose records were all trimmed, and which cannot be recognized as this log's.
    pub(super) left_over: Vec<String>,
}

impl Plan {
    /// Reads the checkpoint and the headers of the segments in `directory`, which is locked.
    pub(super) fn find(
        directory: &Arc<dyn Directory>,
        inventory: &Inventory,
        options: &LogOptions,
    ) -> Result<Self> {
        let planned = PlannedCheckpoint::find(directory, inventory, options.first_offset)?;
        let mut checkpoint = planned.checkpoint().clone();
        let mut bases = inventory.bases.clone();
        let truncation = checkpoint.truncation();
        if let Some(truncation) = truncation {
            interrupted_truncation::check_possible(&**directory, &checkpoint, truncation, &bases)?;
            let end = LogPosition::start_of(truncation.to.offset());
            checkpoint = checkpoint.without_truncation(end);
            bases.retain(|base| !truncation.drops(*base));
        }
        let trimmed = drain_trimmed(&mut bases, checkpoint.start);
        let log_id = checkpoint.log_id;
        let headers = bases
            .iter()
            .map(|base| SegmentHeader::read_own(&**directory, *base, log_id))
            .collect::<Result<Vec<_>>>()?;
        let mut labels = headers
            .iter()
            .map(|header| header.label)
            .collect::<Vec<_>>();
        if let Some(truncation) = truncation {
            labels.push(Label {
                identity: SegmentIdentity {
                    log_id,
                    base_offset: truncation.to.offset(),
                },
                previous_base: bases.last().copied(),
            });
        }
        inventory::check_chain(&labels, &checkpoint)?;
        if let Some(newest) = headers.last() {
            inventory::check_recovery_point(&**directory, newest, &checkpoint)?;
        }
        let active = labels.pop().unwrap_or_else(|| first_label(&checkpoint));
        Ok(Self {
            checkpoint: planned,
            truncation: truncation.map(|truncation| (truncation, inventory.bases.clone())),
            sealed: labels,
            recovery_point: checkpoint.recovery_point_in(active.identity.base_offset),
            active,
            trimmed,
        })
    }

    /// Makes the changes, each durable before the next.
    pub(super) fn apply(
        self,
        directory: &Arc<dyn Directory>,
        inventory: &Inventory,
        options: &LogOptions,
    ) -> Result<Applied> {
        let mut checkpoint = self.checkpoint.apply(directory)?;
        if let Some((truncation, bases)) = &self.truncation {
            removal::truncate(&**directory, *truncation, bases)?;
        }
        let cache = options.cache_or_global();
        // What may fail comes first: recovering the active segment changes it.
        let nexts = self.sealed.iter().skip(1).chain([&self.active]);
        let mut sealed = Vec::new();
        let mut indexes_rebuilt = 0;
        for (label, next) in self.sealed.iter().zip(nexts) {
            let (base, next) = (label.identity.base_offset, next.identity.base_offset);
            let segment = Segment::sealed(Arc::clone(directory), cache.clone(), base)
                .with_set_aside(inventory.set_aside(base));
            indexes_rebuilt += usize::from(segment.check_index(next.saturating_since(base))?);
            sealed.push(Arc::new(segment));
        }
        let opened = Segment::open_active(
            directory,
            cache,
            self.active,
            options.store_options().recovery_point(self.recovery_point),
        )?;
        indexes_rebuilt += usize::from(opened.index_rebuilt);
        if let Some((truncation, _)) = self.truncation {
            let end = LogPosition::start_of(truncation.to.offset());
            let done = checkpoint.current().without_truncation(end);
            checkpoint.write(done)?;
        }
        let recovered = LogPosition {
            segment_base: opened.segment.base(),
            boundary: opened.segment.open()?.store.end(),
        };
        write_recovered(&mut checkpoint, recovered)?;
        let left_over = remove_trimmed(&**directory, checkpoint.current().log_id, &self.trimmed)?;
        // Last, since all else may need the room.
        checkpoint.keep_reserve();
        let mut set_aside = inventory.set_aside(opened.segment.base());
        if let Some(torn) = &opened.segment.open()?.store.recovery().set_aside {
            set_aside.retain(|name| *name != torn.file && !torn.removed.contains(name));
            set_aside.push(torn.file.clone());
        }
        Ok(Applied {
            checkpoint,
            sealed,
            active: Arc::new(opened.segment.with_set_aside(set_aside)),
            indexes_rebuilt,
            left_over,
        })
    }
}

impl PlannedCheckpoint {
    fn find(
        directory: &Arc<dyn Directory>,
        inventory: &Inventory,
        first_offset: Offset,
    ) -> Result<Self> {
        if inventory.has_checkpoint() {
            let file = CheckpointFile::open(Arc::clone(directory))?;
            // An interrupted creation may have failed to make the file's name durable, and then another sync
            // of the directory need not help, although the name is there.
            let may_be_lost = file.current().state == LogState::Empty;
            return Ok(if may_be_lost || !file.is_whole() {
                Self::Create(file.current().clone())
            } else {
                Self::Keep(file)
            });
        }
        if !inventory.bases.is_empty() {
            return Err(Reason::CheckpointLost {
                problem: "its file is missing",
            });
        }
        let mut log_id = [0; 16];
        getrandom::fill(&mut log_id)
            .map_err(|error| Reason::io(Operation::Random, CHECKPOINT, io::Error::from(error)))?;
        Ok(Self::Create(Checkpoint {
            log_id: u128::from_be_bytes(log_id),
            start: first_offset,
            state: LogState::Empty,
            truncations: 0,
            data: Vec::new(),
        }))
    }

    fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Create(checkpoint) => checkpoint,
            Self::Keep(file) => file.current(),
        }
    }

    fn apply(self, directory: &Arc<dyn Directory>) -> Result<CheckpointFile> {
        match self {
            Self::Create(checkpoint) => {
                let mut file = CheckpointFile::create(Arc::clone(directory), checkpoint)?;
                // Its name becomes durable with that of the first segment.
                file.keep_reserve();
                Ok(file)
            }
            Self::Keep(mut file) => {
                file.reconcile()?;
                Ok(file)
            }
        }
    }
}

/// Removes from `bases` those of segments all of whose records are below `start`, and returns them.
fn drain_trimmed(bases: &mut Vec<Offset>, start: Offset) -> Vec<Offset> {
    let started = bases.partition_point(|base| *base <= start);
    bases.drain(..started.saturating_sub(1)).collect()
}

/// Returns the label of a new log's first segment.
fn first_label(checkpoint: &Checkpoint) -> Label {
    Label {
        identity: SegmentIdentity {
            log_id: checkpoint.log_id,
            base_offset: checkpoint.start,
        },
        previous_base: None,
    }
}

/// Makes `recovered`, which is the end of the log, the recovery point of the checkpoint.
fn write_recovered(checkpoint: &mut CheckpointFile, recovered: LogPosition) -> Result<()> {
    let current = checkpoint.current();
    current.check_start(recovered.offset())?;
    let state = LogState::Open(recovered);
    if current.state == state {
        return Ok(());
    }
    let next = Checkpoint {
        state,
        ..current.clone()
    };
    checkpoint.write(next)
}

/// Removes the segments `trimmed`, which an interrupted trim left. Returns the files that stay, since their header is
/// damaged.
fn remove_trimmed(
    directory: &dyn Directory,
    log_id: u128,
    trimmed: &[Offset],
) -> Result<Vec<String>> {
    let (mut own, mut left_over) = (Vec::new(), Vec::new());
    for base in trimmed {
        // Another log's segment is not this log's to remove.
        match SegmentHeader::read(directory, *base) {
            Ok(header) if header.label.identity.log_id == log_id => own.push(*base),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => left_over.push(names::store(*base)),
            Err(error) => return Err(error),
        }
    }
    removal::remove_set_aside(directory, &own)?;
    for base in &own {
        removal::remove_files(directory, *base)?;
    }
    Ok(left_over)
}
