//! The cursor: iteration over the records of a log on disk.

use std::sync::Arc;

use bytes::Bytes;
use proglog_store::Frames;

use crate::error::reason::{self, Reason};
use crate::error::{Error, Named, Result};
use crate::offset::Offset;
use crate::options::Visibility;
use crate::read::view::{Readable, View};
use crate::record::decode::{self, Plain};
use crate::record::sequence::Sequence;
use crate::record::{RecordRef, StoredRecord};
use crate::segment::files::SegmentFiles;

/// Iterates over the visible records of a log, and reads them in large blocks.
///
/// It reads no bytes of records that are not visible yet: those may still be replaced. Its errors name the log, so
/// that no result has to be rebuilt for that on the way to the caller.
pub(crate) struct Cursor {
    view: Arc<View>,
    visibility: Visibility,
    next: Offset,
    /// Where the cursor ends (exclusive); `None` is the end of the log.
    end: Option<Offset>,
    run: Option<Run>,
    /// Recognizes the next record, if it is like the one before.
    sequence: Sequence,
    /// Limit on the bytes of a run.
    run_bytes_max: Option<usize>,
    /// True after an error, or at the end.
    ended: bool,
    /// The record that was lent last, if it is not in the run.
    held: Option<StoredRecord>,
}

/// Consecutive records of one segment.
struct Run {
    segment: Arc<SegmentFiles>,
    frames: Frames,
    /// Offset after the last one.
    end: Offset,
    /// Generation of the view when they were found.
    generation: u64,
}

impl Cursor {
    pub(crate) fn new(view: Arc<View>, visibility: Visibility, from: Offset) -> Self {
        Self {
            view,
            visibility,
            next: from,
            end: None,
            run: None,
            sequence: Sequence::new(),
            run_bytes_max: None,
            ended: false,
            held: None,
        }
    }

    /// Ends the cursor at `end` (exclusive). If the log ends before, that is an error there.
    pub(crate) fn with_end(self, end: Option<Offset>) -> Self {
        Self { end, ..self }
    }

    /// Reads the last record before the end of the cursor, and moves that end before it. The first call
    /// determines the end of the log, if the cursor has no other.
    pub(crate) fn next_back(&mut self) -> Option<Result<StoredRecord>> {
        if self.ended {
            return None;
        }
        let record = self.read_last().named(self.view.log());
        if !matches!(record, Ok(Some(_))) {
            // No file stays open.
            self.ended = true;
            self.run = None;
        }
        record.transpose()
    }

    fn read_last(&mut self) -> reason::Result<Option<StoredRecord>> {
        let end = match self.end {
            Some(end) => end,
            None => match self.view.check_readable(self.next, self.visibility) {
                Ok(_) | Err(Reason::Trimmed { .. }) => self.view.range(self.visibility).end,
                Err(error) => return Err(error),
            },
        };
        if end <= self.next {
            return Ok(None);
        }
        let last = end.saturating_sub(1);
        self.end = Some(last);
        if let Some(run) = &mut self.run {
            run.end = run.end.min(last);
        }
        read(&self.view, self.visibility, last).map(Some)
    }

    /// Limits the bytes of records that are read at a time, unless one record is longer.
    pub(crate) fn with_run_bytes_max(self, run_bytes_max: usize) -> Self {
        Self {
            run_bytes_max: Some(run_bytes_max),
            ..self
        }
    }

    /// Returns whether the next record needs a new run.
    pub(crate) fn run_is_over(&self) -> bool {
        self.run.as_ref().is_none_or(|run| self.next >= run.end)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns the next record, lent from the run's memory.
    #[inline]
    pub(crate) fn next_ref(&mut self) -> Option<Result<RecordRef<'_>>> {
        if !self.is_in_run()
            && let Err(error) = self.start_run()?
        {
            return Some(Err(error));
        }
        let Some(Ok(frame)) = self.run.as_mut()?.frames.next_ref() else {
            return self.hold_next();
        };
        match self.sequence.recognize(frame.payload) {
            Some(record) if self.next == record.offset => {
                self.next = self.next.saturating_add(1);
                let payload = self.run.as_ref()?.frames.lent()?;
                Some(Ok(record.record_ref(payload)))
            }
            _ => self.next_plain(),
        }
    }

    /// Returns the next record, which is lent, if it is not like the one before.
    fn next_plain(&mut self) -> Option<Result<RecordRef<'_>, Error>> {
        let payload = self.run.as_ref()?.frames.lent()?;
        match Plain::of(payload) {
            Some(plain) if self.next == plain.offset => {
                self.next = self.next.saturating_add(1);
                self.sequence = plain.sequence();
                let payload = self.run.as_ref()?.frames.lent()?;
                Some(Ok(plain.record_ref(payload)))
            }
            _ => self.hold_next(),
        }
    }

    /// Returns the next record, if the fast path of [`Cursor::next_ref`] could not read it.
    #[cold]
    fn hold_next(&mut self) -> Option<Result<RecordRef<'_>>> {
        let lent = self.run.as_ref()?.frames.lent();
        let record = match lent.map(Bytes::copy_from_slice) {
            Some(payload) => self.read_uncommon(payload),
            None => self.read_otherwise(),
        };
        Some(record?.map(|record| RecordRef::from(&*self.held.insert(record))))
    }

    /// Returns the next record, or `None` if there is none yet. Works again after `None`.
    pub(crate) fn next_now(&mut self) -> Result<Option<StoredRecord>> {
        self.ended = false;
        self.next().transpose()
    }

    /// Returns whether the run holds the next record and is still valid.
    #[inline]
    fn is_in_run(&self) -> bool {
        let generation = self.view.generation();
        self.run
            .as_ref()
            .is_some_and(|run| self.next < run.end && run.generation == generation)
            && !self.view.is_trimmed(self.next)
    }

    /// Returns whether the log is open and was truncated, or appends were rolled back, since `generation`: a
    /// failure may be due to that, and the next record must be looked up again.
    fn was_truncated_since(&self, generation: u64) -> bool {
        self.view.generation() != generation && self.view.is_open()
    }

    /// Starts a run at the next record; returns `None` if there is no such record. A cursor that has ended
    /// keeps no file open.
    #[cold]
    fn start_run(&mut self) -> Option<Result<()>> {
        self.run = None;
        if self.end.is_some_and(|end| self.next >= end) {
            self.ended = true;
        }
        while !self.ended {
            let generation = self.view.generation();
            match self.find_run(self.next) {
                Ok(Some(run)) => {
                    self.run = Some(run);
                    return Some(Ok(()));
                }
                Ok(None) if self.end.is_some() => {
                    self.ended = true;
                    let reason = self.view.out_of_range(self.next, self.visibility);
                    return Some(Err(self.error(reason)));
                }
                Ok(None) => self.ended = true,
                Err(_) if self.was_truncated_since(generation) => {}
                Err(reason) => {
                    self.ended = true;
                    return Some(Err(self.error(reason)));
                }
            }
        }
        None
    }

    /// Returns the next record from `payload`, which the fast path could not decode.
    #[cold]
    fn read_uncommon(&mut self, payload: Bytes) -> Option<Result<StoredRecord>> {
        match decode::record(payload) {
            Ok(record) if record.offset == self.next => {
                self.next = self.next.saturating_add(1);
                Some(Ok(record))
            }
            _ => self.read_otherwise(),
        }
    }

    /// Returns the next record by a single read, and ends the run: the record is damaged or unreadable, or the
    /// index was wrong where the run began.
    #[cold]
    fn read_otherwise(&mut self) -> Option<Result<StoredRecord>> {
        let (run, offset) = (self.run.take()?, self.next);
        match run.segment.read(offset) {
            Ok(record) => {
                self.next = offset.saturating_add(1);
                Some(Ok(record))
            }
            Err(_) if self.was_truncated_since(run.generation) => self.next(),
            Err(reason) => {
                self.ended = true;
                let reason = self.view.or_gone(reason, offset, self.visibility);
                Some(Err(self.error(reason)))
            }
        }
    }

    fn error(&self, reason: Reason) -> Error {
        self.view.log().error(reason)
    }

    fn find_run(&self, offset: Offset) -> reason::Result<Option<Run>> {
        let (view, visibility) = (&self.view, self.visibility);
        let generation = view.generation();
        if view.check_readable(offset, visibility)? == Readable::End {
            return Ok(None);
        }
        // The segment, or the record in it, is missing only if the log was truncated or trimmed just now.
        let segment = view.segment_of(offset);
        let segment = segment.ok_or_else(|| view.gone(offset, visibility))?;
        let bound = view.bound_in(segment.base(), visibility);
        let (end, position) = bound
            .filter(|(end, _)| offset < *end)
            .ok_or_else(|| view.gone(offset, visibility))?;
        let bound = self.end.filter(|bound| *bound < end);
        let end = bound.unwrap_or(end);
        let run = segment.open().and_then(|segment| {
            let position = match bound {
                Some(bound) => segment.end_before(bound, position),
                None => position,
            };
            let (end, frames) = segment.run(offset..end, position, self.run_bytes_max)?;
            Ok(Run {
                segment,
                frames,
                end,
                generation,
            })
        });
        run.map(Some)
            .map_err(|reason| view.or_gone(reason, offset, visibility))
    }
}

/// Reads the record at `offset` alone.
pub(crate) fn read(
    view: &View,
    visibility: Visibility,
    offset: Offset,
) -> reason::Result<StoredRecord> {
    loop {
        let generation = view.generation();
        let read = match view.check_readable(offset, visibility)? {
            Readable::Record => read_readable(view, visibility, offset),
            Readable::End => Err(view.out_of_range(offset, visibility)),
        };
        // A read that failed while the log was truncated may have failed because of that.
        if read.is_ok() || view.generation() == generation {
            return read;
        }
    }
}

fn read_readable(
    view: &View,
    visibility: Visibility,
    offset: Offset,
) -> reason::Result<StoredRecord> {
    let Some(files) = view.files_of(offset) else {
        return Err(view.gone(offset, visibility));
    };
    let read = files.and_then(|files| files.read(offset));
    // The segment may have been trimmed in the meantime.
    read.map_err(|reason| view.or_gone(reason, offset, visibility))
}

/// Ends at the end of the log, or with an error.
impl Iterator for Cursor {
    type Item = Result<StoredRecord>;

    // Builds the record in place, so that it is not moved from one result to the next.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.is_in_run()
            && let Err(error) = self.start_run()?
        {
            return Some(Err(error));
        }
        match self.run.as_mut()?.frames.next() {
            Some(Ok(frame)) => match Plain::of(&frame.payload) {
                Some(plain) if self.next == plain.offset => {
                    self.next = self.next.saturating_add(1);
                    Some(Ok(plain.record(frame.payload)))
                }
                _ => self.read_uncommon(frame.payload),
            },
            _ => self.read_otherwise(),
        }
    }
}
