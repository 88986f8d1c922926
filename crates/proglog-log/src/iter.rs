//! Iterating over the records of a log on disk.

use std::sync::Arc;

use proglog_store::Frames;

use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::reader::Reader;
use crate::record::Record;
use crate::segment::OpenSegment;
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
}

/// Records that lie one behind the other in one segment.
struct Run {
    segment: Arc<OpenSegment>,
    frames: Frames,
    /// The offset behind the last of them.
    end: Offset,
}

impl Walk {
    pub(crate) fn new(reader: Reader, from: Offset) -> Self {
        Self {
            reader,
            next: from,
            run: None,
            run_bytes_max: None,
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

    fn step(&mut self) -> Result<Option<Record>> {
        let run = self.run.take();
        let view = self.reader.view();
        // Closed or not, an iterator that has ended keeps no file open.
        view.check_open()?;
        let offset = self.next;
        let mut run = match run {
            Some(run) if offset < run.end => {
                view.check_not_trimmed(offset, self.reader.visibility())?;
                run
            }
            _ => match self.start_run(offset)? {
                Some(run) => run,
                None => return Ok(None),
            },
        };
        let read = run.read(offset);
        let record = read.map_err(|error| self.reader.or_gone(error, offset))?;
        self.run = Some(run);
        self.next = offset.plus(1);
        Ok(Some(record))
    }

    fn start_run(&self, offset: Offset) -> Result<Option<Run>> {
        let (view, visibility) = (self.reader.view(), self.reader.visibility());
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
            })
        });
        run.map(Some)
            .map_err(|error| self.reader.or_gone(error, offset))
    }
}

impl Run {
    fn read(&mut self, offset: Offset) -> Result<Record> {
        let place = self.frames.position();
        let read = match self.frames.next() {
            Some(Ok(frame)) => self.segment.decode(frame.payload, offset, frame.position),
            Some(Err(error)) => Err(self.segment.corrupt_at(offset, place, error)),
            None => Err(self.segment.corrupt(offset, place, None)),
        };
        match read {
            Err(Error::Corrupt { .. }) => {
                // Damaged, or the index was wrong where this run began: a single read tells.
                let record = self.segment.read(offset)?;
                self.end = offset;
                Ok(record)
            }
            read => read,
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = match self.step() {
            // The segment was closed to be cut: what is left of it is opened anew.
            Err(Error::Closed) => self.step(),
            step => step,
        };
        step.transpose()
    }
}
