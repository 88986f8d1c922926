//! What can be seen of a log by its files alone, while another process may be writing them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use proglog_store::Store;
use proglog_store::io::Directory;
use proglog_store::segment::StoreExt;

use crate::error::{Error, Result};
use crate::layout::checkpoint::Checkpoint;
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory::{Inventory, SegmentHeader};
use crate::layout::log_position::LogPosition;
use crate::layout::names;
use crate::offset::Offset;
use crate::segment::Segment;

/// How often opening is tried while segments are trimmed under its hands.
const TRIES: usize = 10;

/// What was found the last time.
#[derive(Default)]
pub(crate) struct Seen {
    segments: BTreeMap<Offset, SeenSegment>,
    /// The newest segment.
    newest: Option<(Offset, Store)>,
    /// The id of the log and the number of its checkpoint: as long as they are the same, no segment but the newest
    /// was made anew.
    checkpoint: Option<(u128, u64)>,
}

#[derive(Clone)]
struct SeenSegment {
    segment: Arc<Segment>,
    header: SegmentHeader,
}

/// What there is to see.
pub(crate) struct Found {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) start: Offset,
    pub(crate) end: LogPosition,
}

impl Seen {
    /// Finds out what there is. A segment that was there the last time is the same one.
    pub(crate) fn look(&mut self, directory: &Arc<dyn Directory>) -> Result<Found> {
        let mut tries = 0;
        loop {
            match self.try_look(directory) {
                // A segment that is trimmed or cut right now.
                Err(error) if is_missing(&error) && tries < TRIES => tries += 1,
                found => return found,
            }
        }
    }

    fn try_look(&mut self, directory: &Arc<dyn Directory>) -> Result<Found> {
        let inventory = Inventory::read(&**directory)?;
        if !inventory.has_checkpoint() {
            if inventory.bases.is_empty() {
                // It was not created yet.
                return Err(Error::NotALog { found: None });
            }
            return Err(Error::CheckpointLost {
                problem: "its file is missing",
            });
        }
        let file = CheckpointFile::open(Arc::clone(directory))?;
        let checkpoint = file.current();
        let number = (checkpoint.log_id, file.number());
        if self.checkpoint.replace(number) != Some(number) {
            // Segments may have been cut and made anew under their names, or be those of another log.
            self.check_salts(directory, checkpoint.log_id);
        }
        let mut bases = inventory.bases;
        let truncation = checkpoint.truncation();
        bases.retain(|base| !truncation.is_some_and(|truncation| truncation.drops(*base)));
        let started = bases.partition_point(|base| *base <= checkpoint.start);
        bases.drain(..started.saturating_sub(1));
        self.note(directory, &bases, checkpoint.log_id)?;
        let first = self.first_of_chain();
        self.segments.retain(|base, _| *base >= first);
        let end = self.end(directory, checkpoint)?;
        let segments = self.segments.values();
        Ok(Found {
            segments: segments.map(|seen| Arc::clone(&seen.segment)).collect(),
            start: checkpoint.start.max(first).min(end.offset()),
            end,
        })
    }

    /// Forgets the segments that are not what they were.
    fn check_salts(&mut self, directory: &Arc<dyn Directory>, log_id: u128) {
        self.segments.retain(|base, known| {
            see(directory, *base, log_id).is_ok_and(|seen| seen.header.salt == known.header.salt)
        });
    }

    /// Notes the segments with these base offsets, and forgets all others.
    fn note(
        &mut self,
        directory: &Arc<dyn Directory>,
        bases: &[Offset],
        log_id: u128,
    ) -> Result<()> {
        let newest = bases.last();
        let mut segments = BTreeMap::new();
        for base in bases {
            let known = self.segments.get(base);
            let seen = match known {
                // The newest one may have been cut and made anew.
                Some(known) if Some(base) != newest => known.clone(),
                _ => {
                    let seen = see(directory, *base, log_id)?;
                    match known {
                        Some(known) if known.header.salt == seen.header.salt => known.clone(),
                        _ => seen,
                    }
                }
            };
            segments.insert(*base, seen);
        }
        self.segments = segments;
        Ok(())
    }

    /// The base offset of the oldest segment from which on none is missing: what came before was
    /// trimmed while the directory was listed.
    fn first_of_chain(&self) -> Offset {
        let mut first = None;
        for (base, seen) in self.segments.iter().rev() {
            if first.is_some_and(|(_, previous)| previous != Some(*base)) {
                break;
            }
            first = Some((*base, seen.header.label.previous_base));
        }
        first.map_or(Offset::ZERO, |(base, _)| base)
    }

    /// Where the log ends. The newest segment is followed from here on.
    fn end(
        &mut self,
        directory: &Arc<dyn Directory>,
        checkpoint: &Checkpoint,
    ) -> Result<LogPosition> {
        let Some((base, seen)) = self.segments.last_key_value() else {
            self.newest = None;
            return Ok(LogPosition::start_of(checkpoint.start));
        };
        let known = checkpoint.recovery_point_in(*base);
        let current = self.newest.take();
        let same =
            current.filter(|(newest, store)| newest == base && store.salt() == seen.header.salt);
        let store = if let Some((_, store)) = same {
            store
        } else {
            seen.segment.unfollow();
            proglog_store::segment::open_following(&**directory, &names::store(*base), known)?
        };
        // One that was cut is not what it was: then the next try opens it anew.
        let boundary = store.refresh()?;
        seen.segment.follow(&store);
        self.newest = Some((*base, store));
        // Those before it are sealed, and opened as such when they are read.
        let sealed = self.segments.values().rev().skip(1);
        sealed.for_each(|seen| seen.segment.unfollow());
        let boundary = match checkpoint.truncation() {
            Some(truncation) => boundary.min(truncation.to.boundary),
            None => boundary,
        };
        Ok(LogPosition {
            segment_base: *base,
            boundary,
        })
    }
}

fn see(directory: &Arc<dyn Directory>, base: Offset, log_id: u128) -> Result<SeenSegment> {
    Ok(SeenSegment {
        header: SegmentHeader::read_own(&**directory, base, log_id)?,
        segment: Arc::new(Segment::sealed(Arc::clone(directory), base)),
    })
}

fn is_missing(error: &Error) -> bool {
    match error {
        Error::Store(proglog_store::Error::Io { source, .. }) => {
            source.kind() == io::ErrorKind::NotFound
        }
        Error::Store(
            proglog_store::Error::Truncated { .. } | proglog_store::Error::NotAStore { .. },
        ) => true,
        _ => false,
    }
}
