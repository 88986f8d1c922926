//! Advancing a snapshot: the log has only got longer at its end, and shorter at its start, as it does day in, day out.
//!
//! That takes the same number of calls however many segments there are. Each segment's label names the one before it, so
//! the new ones are found from the newest that the checkpoint knows, back to the newest that the snapshot knows. As long
//! as that is the same file, no truncation has dropped anything before it: it would have gone too. Whether one has
//! erased records in it is in the checkpoint.

use std::sync::Arc;

use proglog_store::Store;
use proglog_store::io::Directory;
use proglog_store::segment::StoreExt;

use crate::error::reason::Result;
use crate::layout::checkpoint::Checkpoint;
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory::SegmentHeader;
use crate::layout::log_position::LogPosition;
use crate::layout::names;
use crate::offset::Offset;
use crate::read_only::snapshot::{
    Durable, KnownSegment, Snapshot, exists, is_missing, open_following,
};
use crate::segment::Segment;

/// The news of a log's directory.
pub(crate) enum News {
    /// The log has only got longer at its end and shorter at its start.
    Advanced(Advanced),
    /// Anything may have changed.
    Read(Durable),
}

/// The part of a log that is known to be on the device, beside what was known before.
pub(crate) struct Advanced {
    /// Segments after those that were known.
    pub(crate) added: Vec<Arc<Segment>>,
    pub(crate) start: Offset,
    pub(crate) end: LogPosition,
}

impl Snapshot {
    /// Brings the snapshot up to date.
    pub(crate) fn refresh(&mut self, directory: &Arc<dyn Directory>) -> Result<News> {
        if std::mem::take(&mut self.is_complete)
            && let Some(advanced) = self.advance(directory)?
        {
            self.is_complete = true;
            return Ok(News::Advanced(advanced));
        }
        self.read(directory).map(News::Read)
    }

    /// Advances the snapshot; returns `None` if the whole directory has to be read.
    fn advance(&mut self, directory: &Arc<dyn Directory>) -> Result<Option<Advanced>> {
        match self.try_advance(directory) {
            Err(error) if is_missing(&error) => Ok(None),
            advanced => advanced,
        }
    }

    fn try_advance(&mut self, directory: &Arc<dyn Directory>) -> Result<Option<Advanced>> {
        // After a failure it is opened again.
        let Some((known, store)) = self.newest.take() else {
            return Ok(None);
        };
        let file = CheckpointFile::open(Arc::clone(directory))?;
        let checkpoint = file.current();
        let is_same = (self.checkpoint).is_some_and(|(log_id, _)| log_id == checkpoint.log_id)
            && SegmentHeader::read_own(&**directory, known, checkpoint.log_id)?.salt
                == store.salt();
        let may_advance = self.missing.is_empty()
            && self.truncations == Some((checkpoint.truncations, false))
            && checkpoint.start >= self.start;
        if !is_same || !may_advance {
            return Ok(None);
        }
        // Fails if it was truncated below what is shown.
        let boundary = store.refresh()?;
        let mut end = LogPosition {
            segment_base: known,
            boundary,
        };
        let Some(mut added) = self.added_since(directory, checkpoint, known)? else {
            return Ok(None);
        };
        let mut newest = store;
        if let Some(last) = added.last() {
            (newest, end) = follow(directory, checkpoint, last)?;
        }
        while let Some(next) = self.next_after(directory, checkpoint, end)? {
            (newest, end) = follow(directory, checkpoint, &next)?;
            added.push(next);
        }
        if !added.is_empty() {
            // Sealed, and opened as such when it is read.
            self.segments[&known].segment.unfollow();
        }
        let by_base = |known: &KnownSegment| (known.segment.base(), known.clone());
        self.segments.extend(added.iter().map(by_base));
        self.segments[&end.segment_base].segment.follow(&newest);
        self.newest = Some((end.segment_base, newest));
        self.checkpoint = Some((checkpoint.log_id, file.number()));
        self.start = checkpoint.start;
        self.drop_trimmed();
        Ok(Some(Advanced {
            added: added.into_iter().map(|known| known.segment).collect(),
            start: self.start.min(end.offset()),
            end,
        }))
    }

    /// Returns the segments after the one with base offset `known`, up to the newest that the checkpoint knows, the
    /// oldest first; `None` if they are not successors of that one.
    fn added_since(
        &self,
        directory: &Arc<dyn Directory>,
        checkpoint: &Checkpoint,
        known: Offset,
    ) -> Result<Option<Vec<KnownSegment>>> {
        let newest = checkpoint.state.position();
        let mut base = newest.map_or(known, |position| position.segment_base.max(known));
        let mut added = Vec::new();
        while base > known {
            let header = SegmentHeader::read_own(&**directory, base, checkpoint.log_id)?;
            added.push(self.known(directory, base, header));
            match header.label.previous_base {
                Some(previous) if (known..base).contains(&previous) => base = previous,
                _ => return Ok(None),
            }
        }
        added.reverse();
        Ok(Some(added))
    }

    /// Returns the segment after the one that ends at `end`, if there is one: the checkpoint may not know of it yet.
    fn next_after(
        &self,
        directory: &Arc<dyn Directory>,
        checkpoint: &Checkpoint,
        end: LogPosition,
    ) -> Result<Option<KnownSegment>> {
        let base = end.offset();
        // If that one has no record, the next would have its name.
        if base == end.segment_base || !exists(&**directory, &names::store(base)) {
            return Ok(None);
        }
        match SegmentHeader::read_own(&**directory, base, checkpoint.log_id) {
            Ok(header) => {
                let is_next = header.label.previous_base == Some(end.segment_base);
                Ok(is_next.then(|| self.known(directory, base, header)))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Drops the segments all of whose records are below the start.
    fn drop_trimmed(&mut self) {
        while let Some((second, _)) = self.segments.iter().nth(1)
            && *second <= self.start
        {
            self.segments.pop_first();
        }
    }
}

/// Opens `segment`, to which another process may append, and returns it and its end.
fn follow(
    directory: &Arc<dyn Directory>,
    checkpoint: &Checkpoint,
    segment: &KnownSegment,
) -> Result<(Store, LogPosition)> {
    let base = segment.segment.base();
    let store = open_following(directory, checkpoint, base)?;
    let end = LogPosition {
        segment_base: base,
        boundary: store.end(),
    };
    Ok((store, end))
}
