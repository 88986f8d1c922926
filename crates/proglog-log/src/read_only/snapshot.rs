//! Snapshot of a log's directory, without its lock, while another process may append, trim or truncate.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use proglog_store::io::{Directory, OpenMode};
use proglog_store::segment::StoreExt;
use proglog_store::{Boundary, Store};

use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::Checkpoint;
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory::{self, Gap, Inventory, SegmentHeader};
use crate::layout::log_position::LogPosition;
use crate::layout::names;
use crate::offset::Offset;
use crate::record::decode;
use crate::segment::Segment;
use crate::segment::cache::Cache;

/// Most attempts to read the directory while segments are removed from it.
const ATTEMPTS_MAX: usize = 10;

/// The state of a log's directory when it was last read.
pub(crate) struct Snapshot {
    pub(super) cache: Cache,
    pub(super) segments: BTreeMap<Offset, KnownSegment>,
    /// The places of missing segments.
    pub(super) missing: BTreeMap<Offset, Arc<Segment>>,
    /// The newest segment, which is followed.
    pub(super) newest: Option<(Offset, Store)>,
    /// Id of the log and number of its checkpoint. While they stay the same, only the newest segment can have
    /// been replaced by another one of its name.
    pub(super) checkpoint: Option<(u128, u64)>,
    /// Number of truncations in the checkpoint, and whether one is under way. Once that changes, bytes below the
    /// newest mark of the newest segment may have been replaced.
    pub(super) truncations: Option<(u32, bool)>,
    /// Start of the log.
    pub(super) start: Offset,
    /// False if the last refresh failed and may have changed a part of the state.
    pub(super) is_complete: bool,
}

#[derive(Clone)]
pub(super) struct KnownSegment {
    pub(super) segment: Arc<Segment>,
    pub(super) header: SegmentHeader,
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
            missing: BTreeMap::new(),
            newest: None,
            checkpoint: None,
            truncations: None,
            start: Offset::ZERO,
            is_complete: false,
        }
    }

    /// Reads the whole directory. Segments that are still the same keep their identity.
    pub(crate) fn read(&mut self, directory: &Arc<dyn Directory>) -> Result<Durable> {
        self.is_complete = false;
        let mut attempts = 0;
        let durable = loop {
            match self.try_read(directory) {
                // A segment is being created, trimmed or truncated.
                Err(error) if is_missing(&error) && attempts < ATTEMPTS_MAX => attempts += 1,
                read => break read?,
            }
        };
        self.is_complete = true;
        Ok(durable)
    }

    /// Returns the newest segment, which is followed.
    pub(crate) fn newest(&self) -> Option<(Offset, Store)> {
        self.newest.clone()
    }

    fn try_read(&mut self, directory: &Arc<dyn Directory>) -> Result<Durable> {
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
        let truncation = checkpoint.truncation();
        let truncations = (checkpoint.truncations, truncation.is_some());
        if self.truncations.replace(truncations) != Some(truncations) {
            self.forget_newest();
        }
        let mut bases = inventory.bases;
        bases.retain(|base| !truncation.is_some_and(|truncation| truncation.drops(*base)));
        let started = bases.partition_point(|base| *base <= checkpoint.start);
        bases.drain(..started.saturating_sub(1));
        self.set_segments(directory, &bases, checkpoint.log_id)?;
        let gaps = self.find_gaps(directory, &file)?;
        self.set_missing(directory, checkpoint.start, &gaps)?;
        let end = match checkpoint.state.position() {
            Some(end) if gaps.last().is_some_and(|gap| gap.before.is_none()) => {
                self.unfollow_all();
                end
            }
            _ => self.follow_newest(directory, checkpoint)?,
        };
        self.start = checkpoint.start;
        let known = self.segments.iter();
        let known = known.map(|(base, known)| (*base, Arc::clone(&known.segment)));
        let missing = self.missing.clone();
        let all = missing.into_iter().chain(known).collect::<BTreeMap<_, _>>();
        Ok(Durable {
            segments: all.into_values().collect(),
            start: checkpoint.start.min(end.offset()),
            end,
        })
    }

    /// Returns where segments are missing. Fails with [`Reason::MissingSegment`] if it is not certain that they are:
    /// one was created since the directory was listed, or the checkpoint, read again, has changed.
    fn find_gaps(&self, directory: &Arc<dyn Directory>, file: &CheckpointFile) -> Result<Vec<Gap>> {
        let labels = self.segments.values().map(|known| known.header.label);
        let gaps = inventory::gaps(&labels.collect::<Vec<_>>(), file.current());
        for gap in &gaps {
            let name = names::store(gap.missing);
            let is_there = directory.open(&name, OpenMode::Read).is_ok();
            if is_there && !self.segments.contains_key(&gap.missing) {
                return Err(Reason::MissingSegment {
                    base_offset: gap.missing,
                });
            }
        }
        if let Some(gap) = gaps.first()
            && CheckpointFile::open(Arc::clone(directory))?.number() != file.number()
        {
            return Err(Reason::MissingSegment {
                base_offset: gap.missing,
            });
        }
        Ok(gaps)
    }

    /// Makes places for the segments that are missing in `gaps`: one from the end of the segment before, or the start
    /// of the log, and the last one, whose name is known.
    fn set_missing(
        &mut self,
        directory: &Arc<dyn Directory>,
        start: Offset,
        gaps: &[Gap],
    ) -> Result<()> {
        let mut missing = BTreeMap::new();
        for gap in gaps {
            let first = match gap.after {
                Some(before) => end_of_sealed(directory, before)?,
                None => start.min(gap.missing),
            };
            let bases = [first, gap.missing.max(first)];
            for base in bases
                .into_iter()
                .filter(|base| gap.before.is_none_or(|end| *base < end))
            {
                let segment = self.missing.get(&base).cloned().unwrap_or_else(|| {
                    let (directory, cache) = (Arc::clone(directory), self.cache.clone());
                    Arc::new(Segment::missing(directory, cache, base))
                });
                missing.insert(base, segment);
            }
        }
        self.missing = missing;
        Ok(())
    }

    /// Ends following: the newest segment is missing, and the others are sealed.
    fn unfollow_all(&mut self) {
        self.newest = None;
        let segments = self.segments.values();
        segments.for_each(|known| known.segment.unfollow());
    }

    /// Forgets segments that a truncation has replaced by others of their names, or that are another log's.
    fn forget_replaced(&mut self, directory: &Arc<dyn Directory>, log_id: u128) {
        self.segments.retain(|base, known| {
            let header = SegmentHeader::read_own(&**directory, *base, log_id);
            header.is_ok_and(|header| header.salt == known.header.salt)
        });
    }

    /// Forgets the newest segment, whose newest records may have been erased.
    fn forget_newest(&mut self) {
        self.newest = None;
        if let Some((_, newest)) = self.segments.pop_last() {
            newest.segment.unfollow();
        }
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

    pub(super) fn known(
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
            open_following(directory, checkpoint, *base)?
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

/// Opens the segment with base offset `base`, to which another process may append.
pub(super) fn open_following(
    directory: &Arc<dyn Directory>,
    checkpoint: &Checkpoint,
    base: Offset,
) -> Result<Store> {
    let (name, known) = (names::store(base), checkpoint.recovery_point_in(base));
    Ok(proglog_store::segment::open_following(
        &**directory,
        &name,
        known,
    )?)
}

/// Returns the end of the records of the segment with base offset `base`, which is sealed: what its newest mark claims,
/// and what follows.
fn end_of_sealed(directory: &Arc<dyn Directory>, base: Offset) -> Result<Offset> {
    let name = names::store(base);
    let marked =
        proglog_store::segment::open_following(&**directory, &name, Boundary::START)?.end();
    let store = proglog_store::segment::open_sealed(&**directory, &name)?;
    let after = store.frames(marked.position..).map_while(Result::ok);
    let offsets = after.filter_map(|frame| decode::offset_and_size(&frame.payload).ok());
    let last = offsets
        .map(|(offset, _)| Offset::new(offset).saturating_add(1))
        .max();
    let end = base.saturating_add(marked.frames);
    Ok(last.map_or(end, |last| last.max(end)))
}

/// Returns whether a file was missing, or truncated below what was expected of it, which may be due to a change under way.
pub(super) fn is_missing(error: &Reason) -> bool {
    match error {
        Reason::Io { source, .. } | Reason::Store(proglog_store::Error::Io { source, .. }) => {
            source.kind() == io::ErrorKind::NotFound
        }
        Reason::Store(
            proglog_store::Error::Truncated { .. } | proglog_store::Error::NotAStore { .. },
        )
        | Reason::MissingSegment { .. } => true,
        _ => false,
    }
}

/// Returns whether there is a file `name`, or it cannot be found out.
pub(super) fn exists(directory: &dyn Directory, name: &str) -> bool {
    match directory.id_of(name) {
        Ok(Some(_)) => true,
        // It has no identity here, whether it exists or not.
        Ok(None) => directory.open(name, OpenMode::Read).is_ok(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}
