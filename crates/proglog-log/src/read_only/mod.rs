//! Reading a log that another process may be writing.
//!
//! Nothing is locked and nothing written: the files alone tell. The newest segment is known to be
//! synced up to its newest sync mark, all before it as a whole, and the checkpoint tells where the log
//! starts. What is not known to be synced is not shown. Segments come, are trimmed and are cut while
//! this looks; one that has vanished was trimmed.

pub(crate) mod snapshot;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proglog_store::Operation;
use proglog_store::io::{Directory, FsDirectory};

use crate::engine::tasks::Task;
use crate::error::{Error, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::options::Visibility;
use crate::read::cursor::Cursor;
use crate::read::follow::Follow;
use crate::read::read_log::ReadLog;
use crate::read::reader::Reader;
use crate::read::records::Records;
use crate::read::view::View;
use crate::read_only::snapshot::Seen;
use crate::record::StoredRecord;
use crate::runtime;
use crate::sync::Mutex;

/// How long a follower waits between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many looks in a row have to fail before followers are told.
const FAILURES_MAX: usize = 10;

/// A log opened only to read it, while another process may have it open and append.
///
/// It takes no lock and writes nothing. It shows what is known to be on the device: up to the newest
/// sync mark, which in a synced log comes with the next append, or once the log is idle
/// ([`Options::idle_after`](crate::Options::idle_after)). It looks anew when it is
/// [refreshed](ReadOnlyLog::refresh), when something past the end is asked for, and, as long as there
/// are followers, all the time. Clones share what they see. Records that the writer trims are gone as
/// they are for the writer: with [`Error::Trimmed`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, Options, ReadOnlyLog};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &Options::new())?;
/// log.append("first")?;
/// log.append("second")?; // says in the file that the first is synced
/// let reader = ReadOnlyLog::open(directory.path())?;
/// assert_eq!(reader.read(0)?.value, "first");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReadOnlyLog {
    shared: Arc<Shared>,
    reader: Reader,
}

struct Shared {
    directory: Arc<dyn Directory>,
    view: Arc<View>,
    seen: Mutex<Seen>,
    /// Held by everyone who follows.
    followers: Arc<()>,
    looking: Mutex<Looking>,
    /// Looks for new records while there are followers.
    look: Task<Self>,
}

/// The looks for those who follow.
#[derive(Default)]
struct Looking {
    /// How many in a row have failed.
    failures: usize,
    /// Why they have failed, if that lasts.
    failure: Option<Error>,
}

impl ReadOnlyLog {
    /// Opens the log in the directory at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::NotALog`] if there is no log in the directory, [`Error::CheckpointLost`],
    /// [`Error::UnsupportedCheckpoint`], [`Error::WrongSegment`], [`Error::NotASegment`] if files were
    /// damaged or exchanged; [`Error::Store`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let directory = FsDirectory::open(path)
            .map_err(|error| Error::io(Operation::Open, &path.to_string_lossy(), error))?;
        Self::open_in(Arc::new(directory))
    }

    /// As [`ReadOnlyLog::open`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::open`].
    pub fn open_in(directory: Arc<dyn Directory>) -> Result<Self> {
        let mut seen = Seen::default();
        let found = seen.look(&directory)?;
        let view = Arc::new(View::new(found.segments, found.start, found.end));
        let shared = Arc::new_cyclic(|this| Shared {
            directory,
            view: Arc::clone(&view),
            seen: Mutex::new(seen),
            followers: Arc::new(()),
            looking: Mutex::default(),
            look: Task::new(this, |shared: &Shared, ()| shared.look_for_followers()),
        });
        Ok(Self {
            shared,
            reader: Reader::new(view, Visibility::Acknowledged),
        })
    }

    /// Looks what is new, and returns the end of what can be read.
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::open`]; what was seen before can still be read.
    pub fn refresh(&self) -> Result<Offset> {
        self.shared.refresh()?;
        Ok(self.end_offset())
    }

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// As [`Log::read`](crate::Log::read), and as [`ReadOnlyLog::refresh`].
    pub fn read(&self, offset: impl Into<Offset>) -> Result<StoredRecord> {
        let offset = offset.into();
        self.refreshed(|reader| reader.read(offset))
    }

    /// Reads several records at once; see [`Reader::read_batch`].
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::read`].
    pub fn read_batch(
        &self,
        from: impl Into<Offset>,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let from = from.into();
        self.refreshed(|reader| match reader.read_batch(from, bytes_max) {
            Ok(records) if records.is_empty() => {
                self.shared.refresh()?;
                reader.read_batch(from, bytes_max)
            }
            read => read,
        })
    }

    /// Reads once more, after a look, if the first try found that there is nothing, or no file any more.
    fn refreshed<T>(&self, read: impl Fn(&Reader) -> Result<T>) -> Result<T> {
        match read(&self.reader) {
            Err(Error::OutOfRange { .. } | Error::Store(_) | Error::Corrupt { .. }) => {
                self.shared.refresh()?;
                read(&self.reader)
            }
            read => read,
        }
    }

    /// The records of `range`, as [`Log::records`](crate::Log::records), up to the end as it was seen last,
    /// or as it is seen now if the range goes further.
    pub fn records(&self, range: impl Into<OffsetBounds>) -> Records {
        let range = range.into();
        let seen = self.offsets();
        if range.start.is_some_and(|start| start >= seen.end) || range.end > Some(seen.end) {
            // What cannot be seen is not there.
            drop(self.shared.refresh());
        }
        let offsets = self.offsets();
        let mut records = Retrying::new(self, range.start.unwrap_or(offsets.start));
        Records::new(range, offsets, move |offset| records.read(offset))
    }

    /// The records from `from` on, and those still to come, as [`Log::follow`](crate::Log::follow). The
    /// file system does not tell of another process's appends, so as long as someone follows, a
    /// background thread looks every 20 milliseconds. What keeps it from seeing for long, as
    /// [`ReadOnlyLog::refresh`] tells, is told to those who wait at the end; and so is
    /// [`Error::NoThread`], if no thread can be started.
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        let mut follower = Follower {
            records: Retrying::new(self, from.into()),
            _counted: Arc::clone(&self.shared.followers),
        };
        self.shared.begin_looking();
        Follow::new(move || follower.next(), self.shared.view.changed())
    }

    /// The lowest offset that can be read (inclusive), as it was seen last.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.reader.start_offset()
    }

    /// The end of what can be read (exclusive), as it was seen last.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.reader.end_offset()
    }

    /// The offsets that can be read, as they were seen last.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.reader.offsets()
    }

    /// The number of records that can be read, as it was seen last.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// True if no record can be read, as it was seen last.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets().is_empty()
    }

    /// Reads the newest record that was seen; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::read`].
    pub fn last(&self) -> Result<Option<StoredRecord>> {
        ReadLog::last(self)
    }

    /// The offset of the first record that was appended at `time` or later, among those that were seen; the
    /// end if there is none.
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::read`].
    pub fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        ReadLog::offset_for_time(self, time)
    }

    /// The reading operations, on what was seen last: for seeking by time, and verifying.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

impl ReadLog for ReadOnlyLog {
    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        ReadOnlyLog::read(self, offset)
    }

    fn records(&self, range: OffsetBounds) -> Records {
        ReadOnlyLog::records(self, range)
    }

    fn follow(&self, from: Offset) -> Follow {
        ReadOnlyLog::follow(self, from)
    }

    fn start_offset(&self) -> Offset {
        ReadOnlyLog::start_offset(self)
    }

    fn end_offset(&self) -> Offset {
        ReadOnlyLog::end_offset(self)
    }

    fn offsets(&self) -> Offsets {
        ReadOnlyLog::offsets(self)
    }

    fn read_batch(&self, from: Offset, bytes_max: usize) -> Result<Vec<StoredRecord>> {
        ReadOnlyLog::read_batch(self, from, bytes_max)
    }
}

/// A cursor that refreshes the view where a file is missing or has changed, since it may have been trimmed
/// or truncated.
struct Retrying {
    log: ReadOnlyLog,
    cursor: Cursor,
    next: Offset,
}

impl Retrying {
    fn new(log: &ReadOnlyLog, from: Offset) -> Self {
        Self {
            log: log.clone(),
            cursor: log.reader.cursor(from),
            next: from,
        }
    }

    fn next_now(&mut self) -> Result<Option<StoredRecord>> {
        let record = match self.cursor.next_now() {
            Err(Error::Store(_) | Error::Corrupt { .. }) => {
                self.log.shared.refresh()?;
                self.cursor = self.log.reader.cursor(self.next);
                self.cursor.next_now()
            }
            read => read,
        }?;
        self.next = self.next.plus(u64::from(record.is_some()));
        Ok(record)
    }

    /// Reads the record at `offset`, in blocks if it is the next one.
    fn read(&mut self, offset: Offset) -> Result<StoredRecord> {
        if offset != self.next {
            return self.log.read(offset);
        }
        if let Some(record) = self.next_now()? {
            return Ok(record);
        }
        let record = self.log.reader.read(offset)?;
        self.next = offset + 1;
        self.cursor = self.log.reader.cursor(self.next);
        Ok(record)
    }
}

/// Who follows.
struct Follower {
    records: Retrying,
    /// As long as there is one of these, there is a look now and then.
    _counted: Arc<()>,
}

impl Follower {
    fn next(&mut self) -> Result<Option<StoredRecord>> {
        match self.records.next_now()? {
            Some(record) => Ok(Some(record)),
            None => match &self.records.log.shared.looking.lock().failure {
                Some(failure) => Err(failure.clone()),
                None => Ok(None),
            },
        }
    }
}

impl Shared {
    fn refresh(&self) -> Result<()> {
        let mut seen = self.seen.lock();
        let range = self.view.range(Visibility::Acknowledged);
        let found = seen.look(&self.directory)?;
        let shown = self.view.segments();
        // Compared with what is shown: a look that failed may have seen more.
        let are_shown = found.segments.len() == shown.len()
            && found
                .segments
                .iter()
                .zip(&*shown)
                .all(|(a, b)| Arc::ptr_eq(a, b));
        if are_shown && range.start == found.start && range.end <= found.end.offset() {
            self.view.acknowledge(found.end);
        } else {
            self.view.replace(found.segments, found.start, found.end);
        }
        Ok(())
    }

    /// Schedules the looks for a follower that was added.
    fn begin_looking(&self) {
        // Under the lock: a look that is about to end sees the follower, or this sees that the look has begun.
        let mut looking = self.looking.lock();
        match runtime::start() {
            Ok(()) => self.look.arm_after(LOOK_EVERY),
            failed => looking.failure = failed.err(),
        }
    }

    /// Looks for new records, and schedules the next look if there are followers.
    fn look_for_followers(&self) {
        let looked = self.refresh();
        let has_failed = {
            let mut looking = self.looking.lock();
            looking.note(looked);
            if Arc::strong_count(&self.followers) > 1 {
                self.look.arm_after(LOOK_EVERY);
            }
            looking.failure.is_some()
        };
        if has_failed {
            self.view.changed().notify();
        }
    }
}

impl Looking {
    /// Notes how a look went. What cannot be seen now may be seen later, so it has to last.
    fn note(&mut self, looked: Result<()>) {
        match looked {
            Ok(()) => (self.failures, self.failure) = (0, None),
            Err(error) => {
                self.failures += 1;
                self.failure = (self.failures >= FAILURES_MAX).then_some(error);
            }
        }
    }
}

impl fmt::Debug for ReadOnlyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyLog")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
