//! Iterating over the records of a log on disk.

use std::sync::Arc;

use proglog_store::Frames;

use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::record::Record;
use crate::segment::OpenSegment;
use crate::shared::{Readable, Shared};

/// A walk over a log's records in large blocks, up to what is visible.
///
/// What it reads ahead never goes beyond what was visible: above that, bytes may still be replaced.
pub(crate) struct Walk {
    shared: Arc<Shared>,
    next: Offset,
    run: Option<Run>,
}

/// Records that lie one behind the other in one segment.
struct Run {
    segment: Arc<OpenSegment>,
    frames: Frames,
    /// The offset behind the last of them.
    end: Offset,
}

impl Walk {
    pub(crate) fn new(shared: Arc<Shared>, from: Offset) -> Self {
        Self {
            shared,
            next: from,
            run: None,
        }
    }

    fn step(&mut self) -> Result<Option<Record>> {
        let run = self.run.take();
        // Closed or not, an iterator that has ended keeps no file open.
        self.shared.check_open()?;
        let offset = self.next;
        let mut run = match run {
            Some(run) if offset < run.end => run,
            _ => match self.start_run(offset)? {
                Some(run) => run,
                None => return Ok(None),
            },
        };
        let record = run.read(offset)?;
        self.run = Some(run);
        self.next = offset.plus(1);
        Ok(Some(record))
    }

    fn start_run(&self, offset: Offset) -> Result<Option<Run>> {
        if self.shared.check_readable(offset)? == Readable::End {
            return Ok(None);
        }
        let segment = self.shared.segment_of(offset).open()?;
        let (end, position) = self.shared.visible_in(segment.base());
        let frames = segment.frames(offset, position)?;
        Ok(Some(Run {
            segment,
            frames,
            end,
        }))
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
        self.step().transpose()
    }
}
