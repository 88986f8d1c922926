//! Followers: iterators and streams that wait for new records at the end of a log.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::read::notify::Notify;
use crate::record::StoredRecord;
use crate::runtime::RuntimeHandle;
use crate::sync::{EventListener, Listener, Mutex};

type Next = Box<dyn FnMut() -> Result<Option<StoredRecord>> + Send>;

/// The existing records of a log, and then the new ones as they are appended. Made by
/// [`ReadLog::follow`](crate::ReadLog::follow).
///
/// As an iterator it blocks at the end of the log until an append wakes it; it does not poll.
/// [`into_stream`](Follow::into_stream) turns it into a stream, which waits without blocking.
///
/// It ends after an error, whose reason is one of these:
///
/// - [`Reason::Closed`] once the log is closed;
/// - [`Reason::Corrupt`] if the next record is damaged, and a new follower may start after it;
/// - [`Reason::Trimmed`] if the next record was dropped before it was read;
/// - [`Reason::OutOfRange`] if the follower was to start past the end of the log, or the log was truncated below the
///   next record;
/// - [`Reason::Io`] or [`Reason::Store`] if the file system fails;
/// - for a [`ReadOnlyLog`](crate::ReadOnlyLog) also those of [`ReadOnlyLog::refresh`](crate::ReadOnlyLog::refresh), and
///   [`Reason::NoThread`].
///
/// Other implementations of [`ReadLog`](crate::ReadLog) may have more.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use proglog_log::{MemoryLog, RecvTimeoutError};
///
/// let log = MemoryLog::new();
/// let mut follower = log.follow(0);
/// let writer = std::thread::spawn(move || log.append("news"));
/// assert_eq!(follower.next().unwrap()?.value, "news");
/// # writer.join().unwrap()?;
/// let error = follower.recv_timeout(Duration::ZERO).unwrap_err();
/// assert!(matches!(error, RecvTimeoutError::Timeout));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Follow {
    next: Next,
    signal: Notify,
    /// Reads for the stream.
    runtime: RuntimeHandle,
    /// The error that ended it.
    failure: Option<Error>,
}

/// Why [`Follow::recv_timeout`] returned no record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecvTimeoutError {
    /// No record was appended in time. The follower is still usable: the next call waits for the same record.
    #[error("no record came in time")]
    Timeout,
    /// The log was closed. Every further call returns this at once.
    #[error("the log is closed")]
    Closed,
    /// The next record cannot be read, for any other reason listed at [`Follow`]. The follower has ended, and every
    /// further call returns this at once; a new follower may start after the record.
    #[error("the next record cannot be read")]
    Failed(#[source] Error),
}

impl From<Error> for RecvTimeoutError {
    fn from(error: Error) -> Self {
        match error.reason {
            Reason::Closed => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

impl Follow {
    /// Creates a follower that yields the records that `next` returns. `None` means that there is none yet:
    /// `next` is called again after `signal` was notified. Its [stream](Follow::into_stream) reads on the runtime of
    /// the process.
    pub fn new(
        next: impl FnMut() -> Result<Option<StoredRecord>> + Send + 'static,
        signal: &Notify,
    ) -> Self {
        Self {
            next: Box::new(next),
            signal: signal.clone(),
            runtime: RuntimeHandle::default(),
            failure: None,
        }
    }

    /// Sets the runtime that reads for the stream.
    pub(crate) fn with_runtime(mut self, runtime: &RuntimeHandle) -> Self {
        self.runtime = runtime.clone();
        self
    }

    /// Returns the next record. At the end of the log it waits for an append, but no longer than `timeout`, so
    /// that a thread can check now and then whether to stop. An existing record is returned whatever the
    /// timeout; a timeout of zero never blocks, and one past the end of the clock never elapses. A call that
    /// times out consumes nothing: no record is skipped.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    ///
    /// use proglog_log::{MemoryLog, RecvTimeoutError};
    ///
    /// # let (log, stop) = (MemoryLog::new(), AtomicBool::new(false));
    /// # log.append("news")?;
    /// let mut follower = log.follow(0);
    /// # let mut seen = Vec::new();
    /// while !stop.load(Ordering::Relaxed) {
    ///     match follower.recv_timeout(Duration::from_millis(100)) {
    ///         Ok(record) => {
    ///             println!("{record:?}");
    /// #           seen.push(record.value);
    /// #           log.close()?;
    ///         }
    ///         Err(RecvTimeoutError::Timeout) => {}
    ///         Err(RecvTimeoutError::Closed) => break,
    ///         Err(RecvTimeoutError::Failed(error)) => return Err(error.into()),
    ///     }
    /// }
    /// # assert_eq!(seen, ["news"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`] if no record came in time, after which it can be called again;
    /// [`RecvTimeoutError::Closed`] once the log is closed; [`RecvTimeoutError::Failed`] with any other error that
    /// the iterator yields, as listed at [`Follow`]. After the last two every call returns the same at once.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<StoredRecord, RecvTimeoutError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into());
        }
        let record = self.wait(Instant::now().checked_add(timeout))?;
        record.ok_or(RecvTimeoutError::Timeout)
    }

    /// Returns the next record, or `None` if there is none yet or an error has ended the follower.
    ///
    /// # Errors
    ///
    /// Those that the iterator yields, as listed at [`Follow`]; each once.
    pub fn try_next(&mut self) -> Result<Option<StoredRecord>> {
        if self.failure.is_some() {
            return Ok(None);
        }
        (self.next)().inspect_err(|error| self.failure = Some(error.clone()))
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<StoredRecord>> {
        loop {
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            let listener = self.signal.listen();
            // An append before the listener existed does not wake it.
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            if self.failure.is_some() {
                return Ok(None);
            }
            match deadline {
                None => listener.wait(),
                Some(deadline) if listener.wait_deadline(deadline).is_none() => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// Turns the follower into a stream, for any async runtime. Polling it never blocks, since a background thread
    /// reads the files. Only in a process without such a thread, which cannot start one either, polling reads.
    pub fn into_stream(self) -> FollowStream {
        FollowStream {
            ready: VecDeque::new(),
            signal: self.signal.clone(),
            state: State::Idle(self),
            listener: None,
        }
    }
}

impl Iterator for Follow {
    type Item = Result<StoredRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait(None).transpose()
    }
}

impl FusedIterator for Follow {}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Limits on the records, and on their bytes of values, keys and headers, that a stream reads ahead.
const AHEAD_RECORDS: usize = 256;
const AHEAD_BYTES: usize = 256 << 10;

/// A stream of the records of a log, made by [`Follow::into_stream`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::pin::pin;
///
/// use futures::StreamExt;
/// use proglog_log::MemoryLog;
///
/// let log = MemoryLog::new();
/// let mut records = log.follow(0).into_stream();
/// log.append("news")?;
/// assert_eq!(records.next().await.unwrap()?.value, "news");
/// # Ok::<(), proglog_log::Error>(())
/// # })?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct FollowStream {
    ready: VecDeque<Result<StoredRecord>>,
    signal: Notify,
    state: State,
    /// Created before the last read of records.
    listener: Option<EventListener>,
}

enum State {
    /// No read is in progress.
    Idle(Follow),
    /// A background thread reads, and hands over the result.
    Reading(Arc<Mutex<Handover>>),
    /// The stream has ended.
    Ended,
}

/// The slot in which a background thread puts its result.
#[derive(Default)]
struct Handover {
    read: Option<(Follow, VecDeque<Result<StoredRecord>>)>,
    /// The task that polled in the meantime.
    waker: Option<Waker>,
}

impl FollowStream {
    /// Starts a read on a background thread; reads at once if there is none and none can be started.
    fn read(&mut self) {
        let State::Idle(mut follow) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        // Before the read, so that it is woken by anything that the read misses.
        self.listener = Some(self.signal.listen());
        let handover = Arc::new(Mutex::new(Handover::default()));
        self.state = State::Reading(Arc::clone(&handover));
        let runtime = follow.runtime.clone();
        let read = move || {
            let records = follow.read_ahead();
            let waker = {
                let mut handover = handover.lock();
                handover.read = Some((follow, records));
                handover.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        match runtime.start() {
            Ok(()) => runtime.spawn(read),
            // There is no thread to wait for.
            Err(_) => read(),
        }
    }
}

impl Follow {
    /// Reads some of the existing records, up to the first error, which comes last.
    fn read_ahead(&mut self) -> VecDeque<Result<StoredRecord>> {
        let (mut records, mut bytes) = (VecDeque::new(), 0);
        while records.len() < AHEAD_RECORDS && bytes < AHEAD_BYTES {
            let Some(record) = self.try_next().transpose() else {
                break;
            };
            bytes += record.as_ref().map_or(0, StoredRecord::size);
            records.push_back(record);
        }
        records
    }
}

impl Stream for FollowStream {
    type Item = Result<StoredRecord, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(record) = this.ready.pop_front() {
                return Poll::Ready(Some(record));
            }
            match &this.state {
                State::Ended => return Poll::Ready(None),
                State::Idle(follow) if follow.failure.is_some() => this.state = State::Ended,
                State::Idle(_) => {
                    if let Some(listener) = &mut this.listener
                        && Pin::new(listener).poll(context).is_pending()
                    {
                        return Poll::Pending;
                    }
                    this.read();
                }
                State::Reading(handover) => {
                    let read = {
                        let mut handover = handover.lock();
                        if handover.read.is_none() {
                            handover.waker = Some(context.waker().clone());
                        }
                        handover.read.take()
                    };
                    let Some((follow, records)) = read else {
                        return Poll::Pending;
                    };
                    this.ready = records;
                    if !this.ready.is_empty() {
                        // There may be more to read at once.
                        this.listener = None;
                    }
                    this.state = State::Idle(follow);
                }
            }
        }
    }
}

impl fmt::Debug for FollowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowStream")
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_stream_limits_the_records_and_bytes_that_it_reads_ahead() {
        for (len, expected) in [
            (1, AHEAD_RECORDS),
            (AHEAD_BYTES / 4 - 1, 5),
            (AHEAD_BYTES / 4, 4),
            (AHEAD_BYTES, 1),
        ] {
            let record = StoredRecord::new(0, SystemTime::UNIX_EPOCH, vec![7; len]);
            let mut endless = Follow::new(move || Ok(Some(record.clone())), &Notify::new());
            assert_eq!(endless.read_ahead().len(), expected, "of {len} bytes");
        }
    }
}
