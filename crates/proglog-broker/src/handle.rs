//! Handles of logs: what is done with a log that exists.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use proglog_log::producers::Progress;
use proglog_log::{Append, CommitLog, ErrorKind, Offset, Offsets, StoredRecord, Ticket};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Durability;
use crate::error::{Error, Result};
use crate::id::LogId;
use crate::logs::Logs;
use crate::meta::LogMeta;
use crate::name::LogName;
use crate::open_log::{Gated, OpenLog};
use crate::producers::Submitted;
use crate::slot::Slot;
use crate::verification::{Verification, Verifying};

/// A log of a broker. The log stays open as long as a handle of it exists; clones are the same handle.
///
/// If the log is closed all the same, to be configured, to recover from a failure or for want of another, the handle
/// opens it again where it has to; each operation waits up to 5 seconds for that ([`Error::Timeout`]). A log that has
/// failed refuses operations until it was opened again ([`Error::Poisoned`], [`Error::Failed`]). Once it is deleted,
/// operations fail with [`Error::NotFound`], whether or not another log has got its name, and once the broker is closed
/// with [`Error::Closed`].
///
/// Operations never block the thread that polls them. Those that have begun are completed when their future is dropped,
/// unless they only read.
#[derive(Clone)]
pub struct Handle {
    logs: Arc<Logs>,
    slot: Arc<Slot>,
    /// As it was when the handle was made. The broker may have closed it.
    log: Arc<OpenLog>,
}

/// The result of [`Handle::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The offsets of the records. `None` if they were appended before by the same producer, and too long ago to know
    /// where.
    pub offsets: Option<Offsets>,
    /// True if the records were appended before by the same producer, and not again.
    pub is_duplicate: bool,
    /// What the records survive.
    pub durability: Durability,
}

/// An append that its log has taken, and that is not acknowledged yet; made by [`Handle::submit`]. If it is dropped, the
/// records may be appended or not.
#[derive(Debug)]
#[must_use = "the records are acknowledged by this alone"]
pub struct Pending {
    handle: Handle,
    log: Arc<OpenLog>,
    taken: Taken,
}

/// What a log has made of an append.
#[derive(Debug)]
enum Taken {
    New(Ticket),
    /// It was appended before, with these offsets if they are known.
    Repeated(Option<Offsets>),
}

impl Pending {
    /// Waits until the records are as durable as the log promises.
    ///
    /// # Errors
    ///
    /// [`Error::Log`]; [`Error::outcome`] says whether the records may be stored all the same.
    pub async fn acknowledged(self) -> Result<Appended> {
        let (appended, ..) = self.settle().await?;
        Ok(appended)
    }

    /// Waits until the records are on the device, whatever the durability of the log.
    ///
    /// # Errors
    ///
    /// As [`acknowledged`](Pending::acknowledged); [`Error::NotSynced`] if the records are appended, but the sync failed.
    pub async fn synced(self) -> Result<Appended> {
        let (mut appended, handle, log) = self.settle().await?;
        if appended.durability == Durability::Synced {
            return Ok(appended);
        }
        let offsets = appended.offsets.unwrap_or_else(|| log.log.offsets());
        handle
            .sync(log, offsets)
            .await
            .map_err(|error| Error::NotSynced {
                offsets,
                source: Arc::new(error),
            })?;
        appended.durability = Durability::Synced;
        Ok(appended)
    }

    async fn settle(self) -> Result<(Appended, Handle, Arc<OpenLog>)> {
        let Self { handle, log, taken } = self;
        let (offsets, is_duplicate) = match taken {
            Taken::New(ticket) => (Some(handle.checked(&log, ticket.await).await?), false),
            Taken::Repeated(offsets) => (offsets, true),
        };
        let appended = Appended {
            offsets,
            is_duplicate,
            durability: log.meta().config.durability,
        };
        Ok((appended, handle, log))
    }
}

impl Handle {
    pub(crate) fn new(logs: Arc<Logs>, slot: Arc<Slot>, log: Arc<OpenLog>) -> Self {
        Self { logs, slot, log }
    }

    /// Returns the name of the log.
    #[must_use]
    pub fn name(&self) -> &LogName {
        &self.slot.name
    }

    /// Returns what is stored about the log.
    #[must_use]
    pub fn meta(&self) -> Arc<LogMeta> {
        self.newest().meta()
    }

    /// Returns the id of the log.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.log.meta().id
    }

    /// Returns the offsets of the readable records.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.newest().log.offsets()
    }

    /// Appends records, and waits until they are as durable as the log promises. If the future is dropped before, the
    /// records may be appended or not.
    ///
    /// If the append has a [producer](proglog_log::producers), it is compared with what this has appended before: a batch
    /// that is sent again is answered with the offsets of the first, once that is as durable as the log promises. Contents
    /// are not compared. A producer is known as long as it has appended within the last hour, and longer unless many
    /// others have; its records are not needed for that, and may be trimmed. A batch of a producer that is not known is
    /// refused, unless it has the sequence number 0: that is the first batch of a new producer. If what was known is lost,
    /// a first batch that is sent again is therefore appended again.
    ///
    /// # Errors
    ///
    /// [`Error::Log`], among others since records are too large, the end is not the expected one or the device is full;
    /// [`Error::Refused`] and [`Error::TooManyProducers`]; and those that [`Handle`] lists. [`Error::outcome`] says whether
    /// the records may be stored all the same.
    pub async fn append(&self, append: Append) -> Result<Appended> {
        self.submit(append).await?.acknowledged().await
    }

    /// Appends records, and waits until they are on the device, whatever the durability of the log.
    ///
    /// # Errors
    ///
    /// As [`Handle::append`]; [`Error::NotSynced`] if the records are appended, but the sync failed.
    pub async fn append_synced(&self, append: Append) -> Result<Appended> {
        self.submit(append).await?.synced().await
    }

    /// Appends records after all that were submitted before, and returns as soon as the log has taken them. They are
    /// acknowledged later, so many appends may be under way in their order and share a sync.
    ///
    /// # Errors
    ///
    /// As [`Handle::append`], of failures that are known at once. Nothing is appended then.
    pub async fn submit(&self, append: Append) -> Result<Pending> {
        let (log, submitted) = self.take(append).await?;
        let taken = match submitted {
            Submitted::Taken(ticket) => Taken::New(ticket),
            Submitted::Repeated(offsets) => Taken::Repeated(offsets),
            Submitted::Refused(error) => return Err(error),
            Submitted::Blocked(_) => {
                let log = self.name().clone();
                return Err(Error::Timeout { log });
            }
        };
        if matches!(taken, Taken::New(_)) && log.producers.take_due(Instant::now().into_std()) {
            let stored = Arc::clone(&log);
            drop(self.logs.changes.call(move || stored.store_snapshot()));
        }
        Ok(Pending {
            handle: self.clone(),
            log,
            taken,
        })
    }

    async fn take(&self, mut append: Append) -> Result<(Arc<OpenLog>, Submitted)> {
        let mut log = self.current();
        loop {
            let submitted = match log.try_submit(append) {
                Ok(Gated::Done(Submitted::Blocked(append))) => {
                    let blocked = Arc::clone(&log);
                    self.logs
                        .appends
                        .call(move || blocked.submit(append))
                        .await?
                }
                submitted => submitted,
            };
            match self.checked(&log, submitted).await? {
                Gated::Done(submitted) => return Ok((log, submitted)),
                Gated::Closing(back) => append = back,
            }
            log = self.reopened().await?;
        }
    }

    /// Makes the records with these offsets durable.
    async fn sync(&self, log: Arc<OpenLog>, offsets: Offsets) -> Result<()> {
        let synced = Arc::clone(&log);
        let synced = self.logs.appends.call(move || synced.log.sync()).await?;
        match synced {
            Err(error) if error.kind() == ErrorKind::Closed => {
                // Opening a log syncs what it finds.
                let reopened = self.reopened().await?;
                let is_kept = reopened.log.offsets().end >= offsets.end;
                if is_kept { Ok(()) } else { Err(error.into()) }
            }
            synced => self.checked(&log, synced).await,
        }
    }

    /// Reads consecutive records from `from` on: at most `limit`, and at most `bytes` bytes of values, keys and headers,
    /// but at least one record if there is any. There may be fewer than fit. At the end of the log there are none.
    ///
    /// # Errors
    ///
    /// [`Error::Log`]: [`OutOfRange`](ErrorKind::OutOfRange) past the end, [`Trimmed`](ErrorKind::Trimmed) below the
    /// start, [`Corrupt`](ErrorKind::Corrupt) if the first record is damaged; errors of the file system; and those that
    /// [`Handle`] lists.
    pub async fn read(
        &self,
        from: Offset,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<StoredRecord>> {
        let try_read = |log: &dyn CommitLog| log.try_read_batch(from, limit, bytes);
        let read = move |log: &dyn CommitLog| log.read_batch(from, limit, bytes);
        self.try_or_call(try_read, read).await
    }

    /// Reads one record.
    ///
    /// # Errors
    ///
    /// As [`Handle::read`]; at the end [`OutOfRange`](ErrorKind::OutOfRange), too.
    pub async fn read_one(&self, offset: Offset) -> Result<StoredRecord> {
        let try_read = |log: &dyn CommitLog| log.try_read(offset);
        let read = move |log: &dyn CommitLog| log.read(offset);
        self.try_or_call(try_read, read).await
    }

    /// Returns the offset of the first record that was appended at `time` or later; the end if there is none.
    ///
    /// # Errors
    ///
    /// Errors of the file system, and those that [`Handle`] lists.
    pub async fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        self.call_to_read(move |log| log.offset_for_time(time))
            .await
    }

    /// Drops the records below `start`, for good; returns the offsets that are left. Does nothing if it is not above the
    /// log's start.
    ///
    /// # Errors
    ///
    /// [`Error::Log`]: [`OutOfRange`](ErrorKind::OutOfRange) if `start` is past the end, and errors of the file system;
    /// and those that [`Handle`] lists.
    pub async fn trim(&self, start: Offset) -> Result<Offsets> {
        let mut log = self.current();
        loop {
            let trimmed = Arc::clone(&log);
            let trim = move || trimmed.trim(start);
            match self.logs.appends.call(trim).await? {
                Err(error) if self.is_stale(&log, &error) => log = self.reopened().await?,
                trimmed => return self.checked(&log, trimmed).await,
            }
        }
    }

    /// Returns how far a producer has come with the records that can be read; `None` if it is not known.
    #[must_use]
    pub fn producer(&self, id: &str) -> Option<Progress> {
        self.newest().producers.get(id)
    }

    /// Returns the number of producers that are known.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.newest().producers.len()
    }

    /// Returns the offsets of the log, as they are now and after each change. What waits for them costs the log nothing:
    /// one task waits for it, whatever their number.
    ///
    /// Once the log is closed, the receiver has the last offsets and its sender is gone. To wait on, get another
    /// [handle](crate::Broker::log): the log may only have been closed to be opened again.
    #[must_use]
    pub fn ends(&self) -> watch::Receiver<Offsets> {
        self.newest().ends(&self.logs.runtime)
    }

    /// Reads every record up to the present end, and verifies it. Damaged records are part of the result. One log of the
    /// broker is verified at a time; others wait. Dropping the future ends it.
    ///
    /// # Errors
    ///
    /// Errors of the file system, and those that [`Handle`] lists.
    pub async fn verify(&self) -> Result<Verification> {
        let _permit = self
            .logs
            .verifying
            .acquire()
            .await
            .map_err(|_| Error::Closed)?;
        let mut log = self.current();
        let mut verifying = Verifying::new(self.offsets());
        loop {
            if let Some(result) = verifying.result() {
                return Ok(result.clone());
            }
            let read = Arc::clone(&log);
            let step = move || {
                let step = verifying.step(&*read.log);
                (verifying, step)
            };
            let stepped;
            (verifying, stepped) = self.logs.reads.call_if_awaited(step).await?;
            match stepped {
                Err(error) if self.is_stale(&log, &error) => log = self.reopened().await?,
                stepped => self.checked(&log, stepped).await?,
            }
        }
    }

    /// Reads without waiting for the device if that is possible, and on a thread otherwise.
    async fn try_or_call<T: Send + 'static>(
        &self,
        try_read: impl FnOnce(&dyn CommitLog) -> proglog_log::Result<Option<T>>,
        read: impl Fn(&dyn CommitLog) -> proglog_log::Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let log = self.current();
        match try_read(&*log.log) {
            Ok(Some(read)) => return Ok(read),
            Err(error) if error.kind() != ErrorKind::Closed => {
                return self.checked(&log, Err(error)).await;
            }
            _ => {}
        }
        self.call_to_read(read).await
    }

    /// Reads the log on a thread, and again if it was closed by the broker meanwhile.
    async fn call_to_read<T: Send + 'static>(
        &self,
        read: impl Fn(&dyn CommitLog) -> proglog_log::Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let mut log = self.current();
        loop {
            let (read, called) = (read.clone(), Arc::clone(&log));
            let call = move || read(&*called.log);
            match self.logs.reads.call_if_awaited(call).await? {
                Err(error) if self.is_stale(&log, &error) => log = self.reopened().await?,
                result => return self.checked(&log, result).await,
            }
        }
    }

    /// Returns the log, as it was opened again if it was closed.
    fn current(&self) -> Arc<OpenLog> {
        if self.log.log.is_closed() {
            self.newest()
        } else {
            Arc::clone(&self.log)
        }
    }

    /// Returns what returns the end of the log, as long as the log that is open now stays open; [`Error::Closed`] after.
    pub(crate) async fn end_while_open(
        &self,
    ) -> Result<impl Fn() -> Result<Offset> + Send + Sync + 'static> {
        let log = self.reopened().await?;
        let slot = Arc::clone(&self.slot);
        Ok(move || {
            let open = slot.peek().filter(|open| Arc::ptr_eq(open, &log));
            let end = open.map(|open| open.log.end_offset());
            end.ok_or(Error::Closed)
        })
    }

    /// Returns the log as it is open now, or as it was last.
    fn newest(&self) -> Arc<OpenLog> {
        self.slot.peek().unwrap_or_else(|| Arc::clone(&self.log))
    }

    /// Returns whether the error only says that the broker has closed the log.
    fn is_stale(&self, log: &Arc<OpenLog>, error: &proglog_log::Error) -> bool {
        let is_open = || self.slot.peek().is_some_and(|open| Arc::ptr_eq(&open, log));
        error.kind() == ErrorKind::Closed && !is_open()
    }

    /// Returns the log, opened again if it was closed.
    async fn reopened(&self) -> Result<Arc<OpenLog>> {
        if self.logs.is_closed() {
            return Err(Error::Closed);
        }
        self.logs.open(&self.slot).await
    }

    /// Takes note of a failure of the log.
    async fn checked<T>(&self, log: &Arc<OpenLog>, result: proglog_log::Result<T>) -> Result<T> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        // What was to be written may have poisoned the log, which the next sync says, at no cost.
        if error.kind() == ErrorKind::Io {
            let failed = Arc::clone(log);
            let synced = self.logs.appends.call(move || failed.log.sync()).await;
            if let Ok(Err(poisoned)) = synced {
                self.report(log, poisoned);
            }
        }
        Err(self.report(log, error))
    }

    fn report(&self, log: &Arc<OpenLog>, error: proglog_log::Error) -> Error {
        let (error, is_news) = self.slot.report(log, error, Instant::now());
        if is_news {
            self.logs.upkeep.notify_one();
        }
        error
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", self.name())
            .field("offsets", &self.offsets())
            .finish_non_exhaustive()
    }
}
