//! The cursors of a broker, as async code uses them.

use std::sync::Arc;

use crate::cursor::cursor_log::{CursorLog, Submitted};
use crate::cursor::store::CursorStore;
use crate::cursor::{Cursor, CursorName, Expect, SetCursor};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::id::LogId;
use crate::logs::Logs;
use crate::wait::Wait;

/// The places of consumers in logs; see [`Broker::cursors`](crate::Broker::cursors). Clones are the same cursors.
///
/// A cursor is the offset that a consumer reads next. It belongs to a log by the log's [id](LogId): where a log is deleted
/// and made again, it begins without cursors. There are at most 10,000, and none expires.
///
/// A change is durable when it is answered, whatever the durability of the log, and a crash never takes back what anything
/// has seen. Changes of all cursors share syncs. A log that is not synced may come back from a crash shorter than a cursor;
/// then the cursor is set to the end of the log before anything is appended, so that no record is skipped.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use std::sync::Arc;
///
/// use proglog_broker::{Broker, BrokerOptions, CursorName, Error, Expect, LogName, Memory, SetCursor};
/// use proglog_log::Append;
///
/// let broker = Broker::open(Arc::new(Memory::new()), BrokerOptions::new()).await?;
/// let log = broker.log(&LogName::default_log()).await?;
/// log.append(Append::new(["a", "b"])).await?;
///
/// let (cursors, billing) = (broker.cursors(), CursorName::new("billing")?);
/// let first = cursors.set(&log, &billing, SetCursor::new(1).expect(Expect::Absent)).await?;
/// assert_eq!(cursors.get(log.id(), &billing).await?.next_offset, 1);
///
/// // Two consumers find each other by the version.
/// let if_unchanged = SetCursor::new(2).expect(Expect::Version(first.version));
/// cursors.set(&log, &billing, if_unchanged.clone()).await?;
/// let error = cursors.set(&log, &billing, if_unchanged).await.unwrap_err();
/// assert!(matches!(error, Error::CursorMoved { version } if version != Some(first.version)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cursors {
    logs: Arc<Logs>,
}

impl Cursors {
    pub(crate) fn new(logs: Arc<Logs>) -> Self {
        Self { logs }
    }

    /// Returns a cursor of a log.
    ///
    /// # Errors
    ///
    /// [`Error::CursorNotFound`]; [`Error::Log`] if the log of cursors has failed, which is opened again by the next use;
    /// [`Error::Closed`].
    pub async fn get(&self, log: LogId, name: &CursorName) -> Result<Cursor> {
        let cursors = self.caught_up().await?;
        cursors.get(log, name).ok_or(Error::CursorNotFound)
    }

    /// Returns the cursors of a log in the order of their names: the first `limit` of those after `after`.
    ///
    /// # Errors
    ///
    /// As [`get`](Cursors::get), without [`Error::CursorNotFound`].
    pub async fn list(
        &self,
        log: LogId,
        after: Option<&CursorName>,
        limit: usize,
    ) -> Result<Vec<Cursor>> {
        Ok(self.caught_up().await?.list(log, after, limit))
    }

    /// Sets a cursor, which is made if it does not exist, and returns it once it is durable. If it
    /// [would move back](SetCursor::forward) and must not, it is returned as it is. If the future is dropped before, the
    /// cursor may be set or not.
    ///
    /// # Errors
    ///
    /// [`Error::CursorMoved`] if it is not as expected; [`Error::BeyondEnd`]; [`Error::MetadataTooLong`];
    /// [`Error::TooManyCursors`]; otherwise as [`get`](Cursors::get), and for a log that is not open those that
    /// [`Handle`] lists. [`Error::outcome`] says whether the cursor may be set all the same.
    pub async fn set(&self, log: &Handle, name: &CursorName, set: SetCursor) -> Result<Cursor> {
        let (id, name) = (log.id(), name.clone());
        loop {
            // A log that is opened again may be shorter, and that sets back what was submitted before.
            let end = log.end_while_open().await?;
            let (name, set) = (name.clone(), set.clone());
            let submit = move |cursors: &CursorLog, wait| cursors.set(id, &name, &set, &end, wait);
            match self.submit(submit).await {
                Err(Error::Closed) if !self.logs.is_closed() => {}
                changed => return changed?.ok_or(Error::CursorNotFound),
            }
        }
    }

    /// Deletes a cursor, durably.
    ///
    /// # Errors
    ///
    /// [`Error::CursorMoved`] if it is not as expected; otherwise as [`get`](Cursors::get).
    pub async fn delete(&self, log: LogId, name: &CursorName, expected: Expect) -> Result<()> {
        let name = name.clone();
        let submit = move |cursors: &CursorLog, wait| cursors.delete(log, &name, expected, wait);
        self.submit(submit).await.map(|_| ())
    }

    /// Submits a change, and waits until it is durable.
    async fn submit(
        &self,
        submit: impl Fn(&CursorLog, Wait) -> Result<Submitted> + Send + 'static,
    ) -> Result<Option<Cursor>> {
        self.check_open()?;
        let cursors = self.logs.cursors.current();
        let submitted = match submit(&cursors, Wait::Never) {
            Ok(Submitted::Blocked) => {
                let log = Arc::clone(&cursors);
                let call = move || submit(&log, Wait::ForDevice);
                self.logs.appends.call(call).await?
            }
            submitted => submitted,
        };
        let changed = match submitted {
            Ok(Submitted::Taken(ticket, cursor)) => {
                let synced = ticket.await.map_err(Error::Log);
                synced.map(|_| cursor)
            }
            Ok(Submitted::Unmoved(cursor)) => Ok(Some(cursor)),
            // It is decided again as often as this happens.
            Ok(Submitted::Blocked) => Err(Error::Panicked),
            Err(error) => Err(error),
        };
        if cursors.is_compaction_due() {
            let store = Arc::clone(&self.logs.cursors);
            drop(self.logs.changes.call(move || store.compact_if_due()));
        }
        self.checked(cursors, changed).await
    }

    /// Returns the cursors, which have all that is durable.
    async fn caught_up(&self) -> Result<Arc<CursorLog>> {
        self.check_open()?;
        let cursors = self.logs.cursors.current();
        let mut caught_up = cursors.catch_up(Wait::Never);
        if let Ok(false) = caught_up {
            let log = Arc::clone(&cursors);
            let call = move || log.catch_up(Wait::ForDevice);
            caught_up = self.logs.reads.call(call).await?;
        }
        let log = Arc::clone(&cursors);
        self.checked(log, caught_up).await?;
        Ok(cursors)
    }

    /// Opens the log of cursors again, if it has failed.
    async fn checked<T>(&self, cursors: Arc<CursorLog>, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && CursorStore::is_failure(error)
        {
            let (store, error) = (Arc::clone(&self.logs.cursors), error.clone());
            let reopen = move || store.reopen_after(&cursors, &error);
            self.logs.changes.call(reopen).await?;
        }
        result
    }

    fn check_open(&self) -> Result<()> {
        if self.logs.is_closed() {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }
}
