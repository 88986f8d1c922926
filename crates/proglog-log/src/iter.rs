//! Iterating over the records of a log on disk.

use std::sync::Arc;

use proglog_store::{Frame, Frames, Position};

use crate::decode::{self, Plain};
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::open_segment::OpenSegment;
use crate::reader::Reader;
use crate::record::{self, Record};
use crate::view::Readable;

/// A walk over a log's records in large blocks, up to what is visible.
///
/// What it reads ahead never goes beyond what was visible: above that, bytes may still be replaced.
pub(crate) struct Walk {
    reader: Reader,
    next: Offset,
    run: Option<Run>,
    /// How many bytes of a segment a run takes at the most.
    run_bytes_max: Option<usize>,
    /// Whether there was an error, or no further record.
    ended: bool,
}

/// Records that lie one behind the other in one segment.
struct Run {
    segment: Arc<OpenSegment>,
    frames: Frames,
    /// The offset behind the last of them.
    end: Offset,
    /// The state of the view when they were found.
    state: u64,
}

impl Walk {
    pub(crate) fn new(reader: Reader, from: Offset) -> Self {
        Self {
            reader,
            next: from,
            run: None,
            run_bytes_max: None,
            ended: false,
        }
    }

    /// A walk that reads no more than so many bytes at a time, if a record is not longer.
    pub(crate) fn limited(reader: Reader, from: Offset, run_bytes_max: usize) -> Self {
        Self {
            run_bytes_max: Some(run_bytes_max),
            ..Self::new(reader, from)
        }
    }

    /// Whether the next record takes another run.
    pub(crate) fn run_is_over(&self) -> bool {
        self.run.as_ref().is_none_or(|run| self.next >= run.end)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Verifies the next record, and returns its [size](record::size): for who does not want it.
    #[inline]
    pub(crate) fn verify_next(&mut self) -> Result<Option<usize>> {
        let state = self.reader.view().state();
        match self.try_verify_next() {
            Err(_) if self.was_cut_since(state) => self.verify_next(),
            verified => verified,
        }
    }

    #[inline]
    fn try_verify_next(&mut self) -> Result<Option<usize>> {
        if !self.is_in_run() {
            self.start_run()?;
        }
        let (offset, run) = match &mut self.run {
            Some(run) => (self.next, run),
            None => return Ok(None),
        };
        let place = run.frames.position();
        // Any but the one that is to come, as long as none is read.
        let (mut found, mut size) = (!offset.get(), 0);
        let looked = run.frames.next_ref().map(|frame| {
            if let Ok(read) = decode::offset_and_size(frame?.payload) {
                (found, size) = read;
            }
            Ok(())
        });
        match looked {
            Some(Ok(())) if found == offset.get() => {
                self.next = offset.plus(1);
                Ok(Some(size))
            }
            other => {
                let error = other.and_then(Result::err);
                let record = self.read_otherwise(place, error)?;
                Ok(Some(record::size(&record)))
            }
        }
    }

    /// The next record, if there is one now.
    pub(crate) fn next_now(&mut self) -> Result<Option<Record>> {
        self.ended = false;
        self.next().transpose()
    }

    /// Ends with `error`, or tries again if the log was cut since the view had this state.
    #[cold]
    fn fail_unless_cut(&mut self, error: Error, state: u64) -> Option<Result<Record>> {
        if self.was_cut_since(state) {
            return self.next();
        }
        self.ended = true;
        Some(Err(error))
    }

    /// Whether the next record can be read where the last one was.
    #[inline]
    fn is_in_run(&self) -> bool {
        let view = self.reader.view();
        self.run
            .as_ref()
            .is_some_and(|run| self.next < run.end && run.state == view.state())
            && !view.is_trimmed(self.next)
    }

    /// Whether the log was cut since the view had this state, and is open: then whatever failed may have
    /// failed because of that, and the next record is to be looked for anew.
    #[cold]
    fn was_cut_since(&mut self, state: u64) -> bool {
        let view = self.reader.view();
        let was_cut = view.state() != state && view.is_open();
        if was_cut {
            self.run = None;
        }
        was_cut
    }

    /// Starts the run that begins with the next record, if there is one. Whatever ends the walk, it
    /// keeps no file open then.
    #[cold]
    fn start_run(&mut self) -> Result<()> {
        self.run = None;
        self.run = self.find_run(self.next)?;
        self.ended = self.run.is_none();
        Ok(())
    }

    /// The next record, which did not come in the common shape. `frame` is what lies at `place`, where
    /// the run goes on.
    #[cold]
    fn read_uncommon(
        &mut self,
        place: Position,
        frame: Option<proglog_store::Result<Frame>>,
    ) -> Result<Record> {
        let (run, offset) = (self.run.as_ref(), self.next);
        match (frame, run) {
            (
                Some(Ok(Frame {
                    payload, position, ..
                })),
                Some(run),
            ) => match run.segment.decode(payload, offset, position) {
                Ok(record) => {
                    self.next = offset.plus(1);
                    Ok(record)
                }
                Err(_) => self.read_otherwise(place, None),
            },
            (frame, _) => self.read_otherwise(place, frame.and_then(Result::err)),
        }
    }

    /// The next record, where the run does not have it: there was this error, or something else. It is
    /// damaged, or the index was wrong where the run began. A single read tells, and the run is over.
    #[cold]
    fn read_otherwise(
        &mut self,
        place: Position,
        error: Option<proglog_store::Error>,
    ) -> Result<Record> {
        let offset = self.next;
        let run = self.run.take().expect("something was read from it");
        let error = error.map(|error| run.segment.corrupt_at(offset, place, error));
        let read = match error {
            None | Some(Error::Corrupt { .. }) => run.segment.read(offset),
            Some(error) => Err(error),
        };
        let record = read.map_err(|error| self.reader.or_gone(error, offset))?;
        self.next = offset.plus(1);
        Ok(record)
    }

    fn find_run(&self, offset: Offset) -> Result<Option<Run>> {
        let (view, visibility) = (self.reader.view(), self.reader.visibility());
        let state = view.state();
        if view.check_readable(offset, visibility)? == Readable::End {
            return Ok(None);
        }
        // Only where the log was cut or trimmed at this moment is there no such segment, or no record
        // in it.
        let segment = view.segment_of(offset);
        let segment = segment.ok_or_else(|| self.reader.gone(offset))?;
        let bound = view.bound_in(segment.base(), visibility);
        let (end, position) = bound
            .filter(|(end, _)| offset < *end)
            .ok_or_else(|| self.reader.gone(offset))?;
        let run = segment.open().and_then(|segment| {
            let (end, frames) = segment.run(offset..end, position, self.run_bytes_max)?;
            Ok(Run {
                segment,
                frames,
                end,
                state,
            })
        });
        run.map(Some)
            .map_err(|error| self.reader.or_gone(error, offset))
    }
}

/// Ends at the end of the log, or with an error.
impl Iterator for Walk {
    type Item = Result<Record>;

    // The record is made here and nowhere else, so that it is not moved from one result to the next.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let state = self.reader.view().state();
        if !self.is_in_run()
            && let Err(error) = self.start_run()
        {
            return self.fail_unless_cut(error, state);
        }
        let run = self.run.as_mut()?;
        let place = run.frames.position();
        let frame = run.frames.next();
        let frame = match frame {
            Some(Ok(frame)) => match Plain::of(&frame.payload) {
                Some(plain) if plain.offset == self.next.get() => {
                    self.next = self.next.plus(1);
                    return Some(Ok(plain.record(frame.payload)));
                }
                _ => Some(Ok(frame)),
            },
            other => other,
        };
        match self.read_uncommon(place, frame) {
            Ok(record) => Some(Ok(record)),
            Err(error) => self.fail_unless_cut(error, state),
        }
    }
}
