//! What the handles of a log share: the writer's side, the reader's side, and the way between them.

pub(crate) mod append;
pub(crate) mod background;
pub(crate) mod group_commit;
pub(crate) mod trim;
pub(crate) mod truncate;

use std::fmt;
use std::sync::{Arc, Weak};

use proglog_store::{Boundary, Directory, Storage};

use crate::clock::{Clock, SteadyClock};
use crate::engine::append::{Writer, place};
use crate::engine::group_commit::Commit;
use crate::engine::trim::Trimmed;
use crate::error::{Error, Result};
use crate::layout::checkpoint::{self, Checkpoint};
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::open::report::Recovery;
use crate::options::{Durability, Options};
use crate::read::reader::Reader;
use crate::read::view::View;
use crate::segment::Segment;
use crate::sync::{AtomicBool, Mutex, OnceLock};

/// The state of an open log.
///
/// Locks are taken in this order: `lock`, `trimming`, `lead`, `writer`, `checkpoint`, those of the view;
/// then those of a segment, its index and its store. Readers take only those of the view, and of a
/// segment's such as are never held while a file is written or synced.
pub(crate) struct Shared {
    pub(crate) this: Weak<Self>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    pub(crate) log_id: u128,
    recovery: Recovery,
    /// The lock on the directory, until the log is closed.
    lock: Mutex<Option<Arc<dyn Storage>>>,
    /// Held by whoever drops the oldest records.
    pub(crate) trimming: Mutex<Trimmed>,
    /// Held by the one thread that brings groups to their outcome.
    /// Taken with [`Shared::lead`].
    pub(crate) lead: Mutex<()>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) checkpoint: Mutex<CheckpointFile>,
    pub(crate) view: Arc<View>,
    /// Reads as far as the options say.
    pub(crate) reader: Reader,
    /// The failure that stopped the log.
    failure: OnceLock<Error>,
    /// Whether a background thread was asked to commit and has not begun.
    pub(crate) background_commit: AtomicBool,
    /// Whether a sync is to come once the interval has passed.
    pub(crate) sync_scheduled: AtomicBool,
    /// Tells how old records are.
    pub(crate) steady_clock: SteadyClock,
    /// Whether a look is to be taken soon at what retention lets go.
    pub(crate) retain_soon: AtomicBool,
    /// Whether such a look is to be taken at some time.
    pub(crate) retain_scheduled: AtomicBool,
    /// Whether a look is to be taken whether the log is idle.
    pub(crate) rest_scheduled: AtomicBool,
}

/// What it takes to put a log together.
pub(crate) struct Parts {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    pub(crate) lock: Arc<dyn Storage>,
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) recovery: Recovery,
    /// When the newest record was appended.
    pub(crate) last_appended_at: i64,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>> {
        let Parts {
            directory,
            options,
            lock,
            checkpoint,
            segments,
            recovery,
            ..
        } = parts;
        let segment = Arc::clone(segments.last().expect("an open log has an active segment"));
        let active = segment.open()?;
        let boundary = active.store.end();
        let end = active.base().plus(boundary.frames);
        let (log_id, start) = (checkpoint.current().log_id, checkpoint.current().start);
        let place = place(&active, (end, boundary));
        let view = Arc::new(View::new(segments, start, place));
        let is_coarse = options.durability == Durability::Buffered;
        let clock = Clock::after(parts.last_appended_at, is_coarse);
        let writer = Writer::new(active, segment, clock);
        let visibility = options.visibility;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            directory,
            options,
            log_id,
            recovery,
            lock: Mutex::new(Some(lock)),
            trimming: Mutex::default(),
            lead: Mutex::new(()),
            writer: Mutex::new(writer),
            checkpoint: Mutex::new(checkpoint),
            reader: Reader::new(Arc::clone(&view), visibility),
            view,
            failure: OnceLock::new(),
            background_commit: AtomicBool::new(false),
            sync_scheduled: AtomicBool::new(false),
            steady_clock: SteadyClock::new(),
            retain_soon: AtomicBool::new(false),
            retain_scheduled: AtomicBool::new(false),
            rest_scheduled: AtomicBool::new(false),
        }))
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub(crate) fn check_appendable(&self) -> Result<()> {
        self.view.check_open()?;
        match self.failure.get() {
            Some(failure) => Err(Error::Poisoned {
                source: Arc::new(failure.clone()),
            }),
            None => Ok(()),
        }
    }

    /// Stops the log.
    pub(crate) fn poison(&self, failure: &Error) {
        // The first failure is the one to tell of.
        drop(self.failure.set(failure.clone()));
    }

    /// Notes that the segment with base offset `base` is durable up to `recovery_point`, if the state of
    /// the view is still the one in which that was found: a log that was cut since has lost that segment,
    /// or has another one of that name.
    pub(crate) fn write_checkpoint(
        &self,
        base: Offset,
        recovery_point: Boundary,
        state: u64,
    ) -> Result<()> {
        let mut file = self.checkpoint.lock();
        // Under the lock: closing waits for it before others may open the log, and cutting takes it.
        if self.view.is_open() && self.view.state() == state {
            Self::write_checkpoint_to(&mut file, base, recovery_point)
        } else {
            Ok(())
        }
    }

    fn write_checkpoint_to(
        file: &mut CheckpointFile,
        base: Offset,
        recovery_point: Boundary,
    ) -> Result<()> {
        let next = file.current().with_recovery_point(LogPosition {
            segment_base: base,
            boundary: recovery_point,
        });
        if next == *file.current() {
            return Ok(());
        }
        file.write(next)
    }

    pub(crate) fn application_data(&self) -> Vec<u8> {
        self.checkpoint.lock().current().data.clone()
    }

    pub(crate) fn set_application_data(&self, data: &[u8]) -> Result<()> {
        let (len, max) = (data.len(), checkpoint::DATA_LEN_MAX);
        if len > max {
            return Err(Error::ApplicationDataTooLarge { len, max });
        }
        let mut file = self.checkpoint.lock();
        // Under the lock: closing waits for it before others may open the log.
        self.view.check_open()?;
        let next = Checkpoint {
            data: data.to_vec(),
            ..file.current().clone()
        };
        file.write_twice(&next)
    }

    pub(crate) fn publish(&self, end: Offset) -> Result<()> {
        self.view.check_open()?;
        let offset = end;
        // Held, so that what is appended there is not taken back in between.
        let writer = self.writer.lock();
        let (start, end) = (self.reader.start_offset(), writer.next);
        if offset > end {
            return Err(Error::OutOfRange { offset, start, end });
        }
        self.view.publish(offset);
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.check_appendable()?;
        self.commit(Commit::Sync)
    }

    pub(crate) fn close(&self) -> Result<()> {
        // Held to the end: who closes a log that is being closed waits until it is.
        let mut lock = self.lock.lock();
        // Who is trimming the log is done with its files before others may open it.
        let _trimming = self.trimming.lock();
        {
            // Appends check it under this lock.
            let _writer = self.writer.lock();
            if !self.view.close() {
                return Ok(());
            }
        }
        let committed = self.commit(Commit::Sync);
        let closed = self.close_files();
        // Whoever writes the checkpoint has begun before; nobody begins any more.
        drop(self.checkpoint.lock());
        if let Some(lock) = lock.take() {
            // Dropping the handle gives it up in any case.
            drop(lock.unlock());
        }
        committed.and(closed)
    }

    fn close_files(&self) -> Result<()> {
        let _lead = self.lead();
        let writer = self.writer.lock();
        let active = &writer.active;
        let closed = active.store.close();
        if closed.is_ok() && !writer.sealed {
            active.index.write_all(false);
        }
        for segment in self.view.segments().iter() {
            segment.release();
        }
        closed?;
        let end = active.store.recovery_point();
        Self::write_checkpoint_to(&mut self.checkpoint.lock(), active.base(), end)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("reader", &self.reader)
            .field("durability", &self.options.durability)
            .field("failure", &self.failure.get())
            .finish_non_exhaustive()
    }
}
