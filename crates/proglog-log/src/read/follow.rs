//! Following a log: reading on at its end, as records come.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::error::{Error, Result};
use crate::read::notify::Signal;
use crate::record::StoredRecord;
use crate::runtime;
use crate::sync::{EventListener, Listener, Mutex};

type Next = Box<dyn FnMut() -> Result<Option<StoredRecord>> + Send>;

/// Records of a log, those that are there and those that come, made by
/// [`CommitLog::follow`](crate::CommitLog::follow).
///
/// As an iterator it blocks at the end of the log until there is more: it is woken by the append, and
/// polls nothing. [`into_stream`](Follow::into_stream) makes it a stream that waits without blocking.
/// It ends after an error; once the log is closed that is [`Error::Closed`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use proglog_log::{MemoryLog, NextTimeoutError};
///
/// let log = MemoryLog::new();
/// let mut follower = log.follow(0);
/// let writer = std::thread::spawn(move || log.append("news"));
/// assert_eq!(follower.next().unwrap()?.value, "news");
/// # writer.join().unwrap()?;
/// let error = follower.next_timeout(Duration::ZERO).unwrap_err();
/// assert!(matches!(error, NextTimeoutError::TimedOut));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Follow {
    next: Next,
    signal: Signal,
    /// What has ended it.
    failure: Option<Error>,
}

/// Why [`Follow::next_timeout`] returned no record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NextTimeoutError {
    /// None came until then. The follower goes on: the next call waits for the same record.
    #[error("no record came in time")]
    TimedOut,
    /// The log was closed. No record comes any more; every further call says so at once.
    #[error("the log is closed")]
    Closed,
    /// The next record cannot be read: [`Error::Corrupt`], [`Error::Trimmed`] if it was dropped before,
    /// [`Error::OutOfRange`], [`Error::Store`]. The follower has ended, and every further call says so at
    /// once; another one may begin behind the record.
    #[error("the next record cannot be read")]
    Failed(#[source] Error),
}

impl From<Error> for NextTimeoutError {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => Self::Closed,
            error => Self::Failed(error),
        }
    }
}

impl Follow {
    /// The records that `next` returns: `None` where there is none yet. It is called again once
    /// `signal` was notified.
    pub fn new(
        next: impl FnMut() -> Result<Option<StoredRecord>> + Send + 'static,
        signal: &Signal,
    ) -> Self {
        Self {
            next: Box::new(next),
            signal: signal.clone(),
            failure: None,
        }
    }

    /// The next record; waits for it at the end of the log, but no longer than `timeout`: for a thread
    /// that has to look now and then whether it is to go on. A record that is there is returned whatever
    /// the timeout; a timeout of zero never blocks, and one that no clock can tell never comes. The append
    /// wakes who waits. A call that timed out has taken nothing: no record is skipped.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    ///
    /// use proglog_log::{MemoryLog, NextTimeoutError};
    ///
    /// # let (log, stop) = (MemoryLog::new(), AtomicBool::new(false));
    /// # log.append("news")?;
    /// let mut follower = log.follow(0);
    /// # let mut seen = Vec::new();
    /// while !stop.load(Ordering::Relaxed) {
    ///     match follower.next_timeout(Duration::from_millis(100)) {
    ///         Ok(record) => {
    ///             println!("{record:?}");
    /// #           seen.push(record.value);
    /// #           log.close()?;
    ///         }
    ///         Err(NextTimeoutError::TimedOut) => {}
    ///         Err(NextTimeoutError::Closed) => break,
    ///         Err(NextTimeoutError::Failed(error)) => return Err(error.into()),
    ///     }
    /// }
    /// # assert_eq!(seen, ["news"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`NextTimeoutError`] tells them apart.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<StoredRecord, NextTimeoutError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into());
        }
        let record = self.wait(Instant::now().checked_add(timeout))?;
        record.ok_or(NextTimeoutError::TimedOut)
    }

    /// The next record, if there is one now. `None` if there is none yet, or after an error.
    ///
    /// # Errors
    ///
    /// As the iterator yields: [`Error::Closed`], [`Error::Corrupt`], and [`Error::Trimmed`] if the
    /// next record was dropped before it was read.
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
            // What came before it listened does not wake it.
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

    /// The same records as a stream, for any async runtime. Polling it never blocks: files are read on
    /// a background thread.
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

/// How many records, and bytes of values, keys and headers, a stream reads ahead at the most.
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
    signal: Signal,
    state: State,
    /// Listens since before the records were read last.
    listener: Option<EventListener>,
}

enum State {
    /// Nobody reads.
    Idle(Follow),
    /// A background thread reads, and hands over what it found.
    Reading(Arc<Mutex<Handover>>),
    /// It has ended.
    Ended,
}

/// Where a background thread puts what it has read.
#[derive(Default)]
struct Handover {
    read: Option<(Follow, VecDeque<Result<StoredRecord>>)>,
    /// Who polled in the meantime.
    waker: Option<Waker>,
}

impl FollowStream {
    /// Has a background thread read what there is.
    fn read(&mut self) {
        let State::Idle(mut follow) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        // Before it reads: whatever comes afterwards wakes this.
        self.listener = Some(self.signal.listen());
        let handover = Arc::new(Mutex::new(Handover::default()));
        self.state = State::Reading(Arc::clone(&handover));
        runtime::spawn(move || {
            let records = follow.read_ahead();
            let waker = {
                let mut handover = handover.lock();
                handover.read = Some((follow, records));
                handover.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
    }
}

impl Follow {
    /// Some of the records that are there; an error is the last.
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
                        // There may be more.
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
    fn a_stream_reads_ahead_up_to_so_many_records_and_bytes() {
        for (len, expected) in [
            (1, AHEAD_RECORDS),
            (AHEAD_BYTES / 4 - 1, 5),
            (AHEAD_BYTES / 4, 4),
            (AHEAD_BYTES, 1),
        ] {
            let record = StoredRecord::new(0, SystemTime::UNIX_EPOCH, vec![7; len]);
            let mut endless = Follow::new(move || Ok(Some(record.clone())), &Signal::new());
            assert_eq!(endless.read_ahead().len(), expected, "of {len} bytes");
        }
    }
}
