//! Snapshot of a log's directory, without its lock, while another process may append, trim or truncate.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use proglog_store::Store;
use proglog_store::io::Directory;
use proglog_store::segment::StoreExt;

use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::Checkpoint;
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory::{Inventory, SegmentHeader};
use crate::layout::log_position::LogPosition;
use crate::layout::names;
use crate::offset::Offset;
use crate::segment::Segment;
use crate::segment::cache::Cache;

/// Most attempts to read the directory while segments are removed from it.
const ATTEMPTS_MAX: usize = 10;

/// The state of a log's directory when it was last read.
pub(crate) struct Snapshot {
    cache: Cache,
    segments: BTreeMap<Offset, KnownSegment>,
    /// The newest segment, which is followed.
    newest: Option<(Offset, Store)>,
    /// Id of the log and number of its checkpoint. While they stay the same, only the newest segment can have
    /// been replaced by another one of its name.
    checkpoint: Option<(u128, u64)>,
}

#[derive(Clone)]
struct KnownSegment {
    segment: Arc<Segment>,
    header: SegmentHeader,
}

/// The part of a log that is known to be on the device.
pub(crate) struct Durable {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) start: Offset,
    pub(crate) end: LogPosition,
}

impl Snapshot {
    /// Returns the state before the directory is read. Its segments use `cache`.
    pub(crate) fn new(cache: Cache) -> Self {
        Self {
            cache,
            segments: BTreeMap::new(),
            newest: None,
            checkpoint: None,
        }
    }

    /// Reads the directory again. Segments that are still the same keep their identity.
    pub(crate) fn refresh(&mut self, directory: &Arc<dyn Directory>) -> Result<Durable> {
        let mut attempts = 0;
        loop {
            match self.try_refresh(directory) {
                // A segment is being trimmed or truncated.
                Err(error) if is_missing(&error) && attempts < ATTEMPTS_MAX => attempts += 1,
                refreshed => return refreshed,
            }
        }
    }

    fn try_refresh(&mut self, directory: &Arc<dyn Directory>) -> Result<Durable> {
        let inventory = Inventory::read(&**directory)?;
        if !inventory.has_checkpoint() {
            if inventory.bases.is_empty() {
                // The log was not created yet.
                return Err(Reason::NotALog { found: None });
            }
            return Err(Reason::CheckpointLost {
                problem: "its file is missing",
            });
        }
        let file = CheckpointFile::open(Arc::clone(directory))?;
        let checkpoint = file.current();
        let number = (checkpoint.log_id, file.number());
        if self.checkpoint.replace(number) != Some(number) {
            self.forget_replaced(directory, checkpoint.log_id);
        }
        let mut bases = inventory.bases;
        let truncation = checkpoint.truncation();
        bases.retain(|base| !truncation.is_some_and(|truncation| truncation.drops(*base)));
        let started = bases.partition_point(|base| *base <= checkpoint.start);
        bases.drain(..started.saturating_sub(1));
        self.set_segments(directory, &bases, checkpoint.log_id)?;
        let first = self.first_of_chain();
        self.segments.retain(|base, _| *base >= first);
        let end = self.follow_newest(directory, checkpoint)?;
        let segments = self.segments.values();
        Ok(Durable {
            segments: segments.map(|known| Arc::clone(&known.segment)).collect(),
            start: checkpoint.start.max(first).min(end.offset()),
            end,
        })
    }

    /// Forgets segments that a truncation has replaced by others of their names, or that are another log's.
    fn forget_replaced(&mut self, directory: &Arc<dyn Directory>, log_id: u128) {
        self.segments.retain(|base, known| {
            let header = SegmentHeader::read_own(&**directory, *base, log_id);
            header.is_ok_and(|header| header.salt == known.header.salt)
        });
    }

    /// Keeps the segments with these base offsets, adds new ones, and forgets all others.
    fn set_segments(
        &mut self,
        directory: &Arc<dyn Directory>,
        bases: &[Offset],
        log_id: u128,
    ) -> Result<()> {
        let newest = bases.last();
        let mut segments = BTreeMap::new();
        for base in bases {
            let known = self.segments.get(base);
            let segment = match known {
                Some(known) if Some(base) != newest => known.clone(),
                // The newest one may have been replaced.
                _ => {
                    let header = SegmentHeader::read_own(&**directory, *base, log_id)?;
                    match known {
                        Some(known) if known.header.salt == header.salt => known.clone(),
                        _ => self.known(directory, *base, header),
                    }
                }
            };
            segments.insert(*base, segment);
        }
        self.segments = segments;
        Ok(())
    }

    fn known(
        &self,
        directory: &Arc<dyn Directory>,
        base: Offset,
        header: SegmentHeader,
    ) -> KnownSegment {
        let segment = Segment::sealed(Arc::clone(directory), self.cache.clone(), base);
        KnownSegment {
            segment: Arc::new(segment),
            header,
        }
    }

    /// Returns the base offset of the oldest segment after which none is missing: those before it were trimmed
    /// while the directory was listed.
    fn first_of_chain(&self) -> Offset {
        let mut first = None;
        for (base, known) in self.segments.iter().rev() {
            if first.is_some_and(|(_, previous)| previous != Some(*base)) {
                break;
            }
            first = Some((*base, known.header.label.previous_base));
        }
        first.map_or(Offset::ZERO, |(base, _)| base)
    }

    /// Returns the durable end of the log. The newest segment is followed from here on.
    fn follow_newest(
        &mut self,
        directory: &Arc<dyn Directory>,
        checkpoint: &Checkpoint,
    ) -> Result<LogPosition> {
        let Some((base, newest)) = self.segments.last_key_value() else {
            self.newest = None;
            return Ok(LogPosition::start_of(checkpoint.start));
        };
        let followed = self
            .newest
            .take()
            .filter(|(followed, store)| followed == base && store.salt() == newest.header.salt);
        let store = if let Some((_, store)) = followed {
            store
        } else {
            newest.segment.unfollow();
            let recovery_point = checkpoint.recovery_point_in(*base);
            proglog_store::segment::open_following(
                &**directory,
                &names::store(*base),
                recovery_point,
            )?
        };
        // Fails if the segment was truncated; the next attempt opens it again.
        let boundary = store.refresh()?;
        newest.segment.follow(&store);
        self.newest = Some((*base, store));
        // The others are sealed, and opened as such when they are read.
        let sealed = self.segments.values().rev().skip(1);
        sealed.for_each(|known| known.segment.unfollow());
        Ok(LogPosition {
            segment_base: *base,
            boundary: match checkpoint.truncation() {
                Some(truncation) => boundary.min(truncation.to.boundary),
                None => boundary,
            },
        })
    }
}

/// Returns whether a file was missing, or truncated below what was expected of it.
fn is_missing(error: &Reason) -> bool {
    match error {
        Reason::Io { source, .. } | Reason::Store(proglog_store::Error::Io { source, .. }) => {
            source.kind() == io::ErrorKind::NotFound
        }
        Reason::Store(
            proglog_store::Error::Truncated { .. } | proglog_store::Error::NotAStore { .. },
        ) => true,
        _ => false,
    }
}
