//! The engine: the state that all handles of a log share, and the operations that change it.
//!
//! Each file calls only those above it: `writer`, `tasks` and `failures`, this one, `group_commit`, `truncation`, `roll`,
//! `append`, `truncate`, `trim`, `apply_retention`, `idle`, `background`, `close`, `stat`. Work for later is armed as a
//! task, whose function `background` sets when the log is opened.

pub(crate) mod append;
pub(crate) mod apply_retention;
pub(crate) mod background;
pub(crate) mod close;
pub(crate) mod failures;
pub(crate) mod group_commit;
pub(crate) mod idle;
pub(crate) mod roll;
pub(crate) mod stat;
pub(crate) mod tasks;
pub(crate) mod trim;
pub(crate) mod truncate;
pub(crate) mod truncation;
pub(crate) mod writer;

use std::fmt;
use std::sync::{Arc, Weak};

use proglog_store::Boundary;
use proglog_store::io::{Directory, FileId, Storage};
use proglog_store::segment::StoreExt;

use crate::clock::{AgeClock, Clock};
use crate::engine::failures::BackgroundFailures;
use crate::engine::tasks::Task;
use crate::engine::writer::Writer;
use crate::error::LogName;
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint;
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::inventory;
use crate::layout::log_position::LogPosition;
use crate::layout::names::LOCK;
use crate::observer::Notices;
use crate::offset::Offset;
use crate::options::{Durability, LogOptions};
use crate::read::reader::Reader;
use crate::read::view::View;
use crate::retention::Retention;
use crate::runtime::RuntimeHandle;
use crate::runtime::process::Owner;
use crate::segment::Segment;
use crate::segment::files::SegmentFiles;
use crate::sync::{Mutex, OnceLock};

/// Bytes synced after the checkpoint was last written before it is written again.
const CHECKPOINT_BYTES: u64 = 16 << 20;

/// An open log.
///
/// Locks are taken in this order: `lock`, `trimming`, `lead`, `writer`, `checkpoint`, those of the view, then
/// those of a segment, its index and its store. Readers take only the view's, and those of a segment that are
/// never held while a file is written or synced.
pub(crate) struct Engine {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: LogOptions,
    pub(crate) log_id: u128,
    /// The process that has opened the log.
    pub(crate) owner: Owner,
    /// The lock on the directory, until the log is closed.
    lock: Mutex<Option<Arc<dyn Storage>>>,
    /// The file that is locked, until the log is closed; without taking `lock`.
    locked: Weak<dyn Storage>,
    /// Identity of that file.
    lock_id: Option<FileId>,
    /// Held while the oldest records are dropped.
    pub(crate) trimming: Mutex<Trimmed>,
    /// Held by the leader: the one thread that commits groups. Taken with [`Engine::lead`].
    lead: Mutex<()>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) checkpoint: Mutex<CheckpointFile>,
    pub(crate) view: Arc<View>,
    /// Reads at the visibility of the options.
    pub(crate) reader: Reader,
    /// The failure that poisoned the log.
    failure: OnceLock<Reason>,
    pub(crate) notices: Notices,
    /// Nothing is locked under it.
    background_failures: Mutex<BackgroundFailures>,
    /// Measures the age of records. Nothing is locked under it.
    pub(crate) age_clock: Mutex<AgeClock>,
    /// What the log keeps. Nothing is locked under it.
    pub(crate) retention: Mutex<Retention>,
    tasks: Tasks,
}

/// Segments that were trimmed and whose files could not be removed.
pub(crate) type Trimmed = Vec<Arc<Segment>>;

/// The background work of a log.
pub(crate) struct Tasks {
    /// Commits the open group.
    pub(crate) commit: Task<Engine>,
    /// Syncs acknowledged records.
    pub(crate) sync: Task<Engine>,
    /// Quiesces the log if it still ends at the given position.
    pub(crate) quiesce: Task<Engine, LogPosition>,
    /// Applies retention, after a roll.
    pub(crate) retention: Task<Engine>,
    /// Applies retention, once a segment is too old.
    pub(crate) retention_by_age: Mutex<Task<Engine>>,
}

/// The parts that opening puts together.
pub(crate) struct Parts {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: LogOptions,
    pub(crate) lock: Arc<dyn Storage>,
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// When the newest record was appended.
    pub(crate) last_appended_at: i64,
    /// Makes the tasks of an engine.
    pub(crate) tasks: fn(&Weak<Engine>, &RuntimeHandle) -> Tasks,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>> {
        let Parts {
            directory,
            options,
            lock,
            checkpoint,
            segments,
            last_appended_at,
            tasks,
        } = parts;
        let segment = Arc::clone(segments.last().expect("an open log has an active segment"));
        let active = segment.open()?;
        let (log_id, start) = (checkpoint.current().log_id, checkpoint.current().start);
        let log = LogName::of_directory(&*directory);
        let runtime = options.runtime.clone();
        let notices = Notices::new(options.observer.clone(), runtime.clone(), active.end());
        let view = View::new(log, segments, start, active.end(), runtime.clone());
        let view = view.observed(notices.clone());
        let at_once = options.durability == Durability::Buffered;
        let view = Arc::new(if at_once { view.at_once() } else { view });
        let time_source = &options.time_source;
        let clock = Clock::after(last_appended_at, time_source.clone(), at_once);
        let age_clock = AgeClock::new(time_source.clone());
        let writer = Writer::new(active, segment, clock, runtime.clone());
        let (visibility, retention) = (options.visibility, options.retention);
        Ok(Arc::new_cyclic(|this| Self {
            directory,
            options,
            log_id,
            owner: Owner::current(),
            locked: Arc::downgrade(&lock),
            lock_id: inventory::id_of(&*lock),
            lock: Mutex::new(Some(lock)),
            trimming: Mutex::default(),
            lead: Mutex::new(()),
            writer: Mutex::new(writer),
            checkpoint: Mutex::new(checkpoint),
            reader: Reader::new(Arc::clone(&view), visibility),
            view,
            failure: OnceLock::new(),
            notices,
            background_failures: Mutex::default(),
            age_clock: Mutex::new(age_clock),
            retention: Mutex::new(retention),
            tasks: tasks(this, &runtime),
        }))
    }

    /// Checks that the log is neither closed nor poisoned.
    pub(crate) fn check_appendable(&self) -> Result<()> {
        self.view.check_open()?;
        match self.failure.get() {
            Some(failure) => Err(Reason::Poisoned {
                source: Arc::new(failure.clone()),
            }),
            None => Ok(()),
        }
    }

    /// Checks that this process has opened the log. The copy of one that was forked is poisoned: it must change no
    /// file.
    pub(crate) fn check_process(&self) -> Result<()> {
        match self.owner.check() {
            Ok(()) => Ok(()),
            Err(forked) => {
                self.poison(&forked);
                self.check_appendable()
            }
        }
    }

    /// Checks that the directory is still at its path, and in it the file that was locked. Otherwise another log may
    /// be there, and this one is poisoned.
    ///
    /// Called before every change of the files but appends, before the first append after a pause, and while there
    /// are appends, each time the log may have become idle.
    #[cold]
    pub(crate) fn check_directory(&self) -> Result<()> {
        self.view.check_open()?;
        self.check_process()?;
        // It stays so if the directory comes back, since another log may have been there.
        let has_moved = matches!(self.failure.get(), Some(Reason::DirectoryMoved));
        if !has_moved && inventory::is_in_place(&*self.directory, self.lock_id) {
            return Ok(());
        }
        self.poison(&Reason::DirectoryMoved);
        self.check_appendable()
    }

    /// Lets go of the directory, until the next append. The file that is locked shows that it is the same.
    pub(crate) fn release_directory(&self) {
        if let Some(locked) = self.locked.upgrade() {
            self.directory.release(LOCK, &locked);
        }
    }

    /// Holds the directory from here on, and checks it, before the first append after a pause.
    #[cold]
    pub(crate) fn end_pause(&self) -> Result<()> {
        // If there is no descriptor for it, each operation finds the directory for itself.
        drop(self.directory.hold());
        self.check_directory()
    }

    /// Stops all appends from here on. The first failure is the one that later errors report.
    pub(crate) fn poison(&self, failure: &Reason) {
        if self.failure.set(failure.clone()).is_ok() {
            let error = || self.view.log().error(failure.clone());
            self.notices.poisoned(error);
            #[cfg(feature = "tracing")]
            tracing::error!(
                log_id = format_args!("{:032x}", self.log_id),
                error = &error() as &dyn std::error::Error,
                "log poisoned"
            );
        }
    }

    /// Syncs the active segment up to `to`.
    pub(crate) fn sync_segment(
        &self,
        segment: &SegmentFiles,
        to: Boundary,
    ) -> Result<Boundary, proglog_store::Error> {
        let begun = self.notices.begin_sync();
        let synced = segment.store.sync_to(to)?;
        self.notices.synced(begun, segment.base(), synced);
        Ok(synced)
    }

    /// Counts a failure of background work, and emits the event `event`. That the log was closed meanwhile is none.
    #[cold]
    pub(crate) fn count_failure(&self, event: &'static str, error: &Reason) {
        if error.kind() == ErrorKind::Closed {
            return;
        }
        let error = self.view.log().error(error.clone());
        #[cfg(feature = "tracing")]
        tracing::warn!(
            log_id = format_args!("{:032x}", self.log_id),
            error = &error as &dyn std::error::Error,
            "{event}"
        );
        #[cfg(not(feature = "tracing"))]
        let _ = event;
        self.background_failures.lock().add(error);
    }

    /// Returns the failures of background work so far.
    pub(crate) fn background_failures(&self) -> BackgroundFailures {
        self.background_failures.lock().clone()
    }

    /// Returns the error of an append that `error` prevented. Poisons the log if the store is poisoned: earlier
    /// appends may be affected then, but nothing of this one was stored.
    #[cold]
    pub(crate) fn append_error(&self, error: impl Into<Reason>) -> Reason {
        let error = error.into();
        if error.kind() != ErrorKind::Poisoned {
            return error;
        }
        let failure = error.of_poisoned_store();
        self.poison(&failure);
        Reason::Poisoned {
            source: Arc::new(failure),
        }
    }

    /// Records in the checkpoint that the log is durable up to `recovery_point`, which was found when the view
    /// had this generation. Writes nothing if it has another one now: after a truncation the segment is gone,
    /// or is another of that name.
    pub(crate) fn write_checkpoint(
        &self,
        recovery_point: LogPosition,
        generation: u64,
    ) -> Result<()> {
        let mut file = self.checkpoint.lock();
        // Under the lock: closing takes it before another process may open the log, and so does truncating.
        if self.view.is_open() && self.view.generation() == generation {
            raise_recovery_point(&mut file, recovery_point)
        } else {
            Ok(())
        }
    }

    /// Writes the checkpoint if it does not know of this segment or lags far behind. `generation` is that of
    /// the view when this was the active segment.
    pub(crate) fn write_checkpoint_if_due(&self, segment: &SegmentFiles, generation: u64) {
        let recovery_point = segment.recovery_point();
        let last = self.checkpoint.lock().current().state.position();
        let is_due = last.is_none_or(|last| {
            let synced = recovery_point.boundary.position.get();
            let since = synced.saturating_sub(last.boundary.position.get());
            last.segment_base != segment.base() || since >= CHECKPOINT_BYTES
        });
        if is_due && self.check_directory().is_ok() {
            // The checkpoint may lag: recovery reads the segments.
            if let Err(error) = self.write_checkpoint(recovery_point, generation) {
                self.count_failure("checkpoint not written", &error);
            }
        }
    }

    pub(crate) fn application_data(&self) -> Vec<u8> {
        self.checkpoint.lock().current().data.clone()
    }

    pub(crate) fn set_application_data(&self, data: &[u8]) -> Result<()> {
        checkpoint::check_data(Some(data))?;
        self.check_directory()?;
        let mut file = self.checkpoint.lock();
        // Under the lock: closing takes it before another process may open the log.
        self.view.check_open()?;
        let next = file.current().clone().with_data(Some(data));
        file.write(next)
    }

    /// Raises the high watermark to `end`.
    pub(crate) fn set_high_watermark(&self, end: Offset) -> Result<()> {
        self.view.check_open()?;
        let offset = end;
        // Held, so that no roll-back comes between the check and the change.
        let writer = self.writer.lock();
        let (start, end) = (self.reader.start_offset(), writer.next);
        if offset > end {
            return Err(Reason::OutOfRange { offset, start, end });
        }
        self.view.raise_high_watermark(offset);
        Ok(())
    }
}

/// Records in the checkpoint that the log is durable up to `recovery_point`, if that is news.
fn raise_recovery_point(file: &mut CheckpointFile, recovery_point: LogPosition) -> Result<()> {
    let next = file.current().with_recovery_point(recovery_point);
    if next == *file.current() {
        return Ok(());
    }
    file.write(next)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("reader", &self.reader)
            .field("durability", &self.options.durability)
            .field("failure", &self.failure.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::record::Record;

    #[test]
    fn a_sync_that_a_truncation_overtakes_leaves_the_checkpoint_alone() {
        let disk = SimDisk::new();
        let never = LogOptions::new()
            .idle_after(Duration::MAX)
            .segment_bytes_max(1 << 10);
        let (log, _) = open::open(disk.directory(), &never).unwrap();
        for _ in 0..40 {
            log.append((&Record::new("a".repeat(100))).into()).unwrap();
        }
        // The state that a background sync has when it is done.
        let (segment, generation) = (log.writer.lock().active.clone(), log.view.generation());
        log.truncate(Offset::new(10), None).unwrap();
        let before = log.checkpoint.lock().current().clone();
        log.write_checkpoint_if_due(&segment, generation);
        assert_eq!(*log.checkpoint.lock().current(), before);
        log.close().unwrap();
        let (log, _) = open::open(disk.directory(), &never).unwrap();
        assert_eq!(log.reader.end_offset(), Offset::new(10));
    }

    #[test]
    fn the_checkpoint_is_written_again_once_much_was_synced() {
        let disk = SimDisk::new();
        let options = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &options).unwrap();
        let record = Record::new(vec![7; 1 << 20]);
        let recovery_point = || {
            let checkpoint = log.checkpoint.lock();
            checkpoint.current().recovery_point_in(Offset::ZERO).frames
        };
        for appended in 1..=40 {
            log.append((&record).into()).unwrap();
            // Every 16 MiB, of which each record has a little more than one.
            assert_eq!(recovery_point(), appended / 16 * 16, "after {appended}");
        }
    }
}
