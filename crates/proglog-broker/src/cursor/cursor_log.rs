//! The log that cursors are stored in.
//!
//! A change is an append on the condition that nothing was appended since the state that it was decided on. A cursor is
//! shown as the records say that can be read, and these are durable: a version that anything has seen is never taken
//! back by a crash. Changes that were submitted and are not durable yet are known to those that are decided after them,
//! and to nothing else; a refusal that depends on one of them waits for its outcome.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use proglog_log::{Append, Attempt, Batch, CommitLog, Offset, Offsets, Reason, Ticket};

use crate::cursor::table::Table;
use crate::cursor::{Change, Cursor, CursorName, Expect, METADATA_BYTES_MAX, SetCursor, now};
use crate::error::{Error, Result};
use crate::id::LogId;
use crate::wait::{LOCK_WAIT_MAX, Wait};

/// The most cursors of all logs.
pub(crate) const CURSORS_MAX: usize = 10_000;

/// What the records of the log may take before they are compacted: so many bytes, and so many times the bytes of the
/// cursors that there are.
const BYTES_MAX: u64 = 1 << 20;
const LIVE_FACTOR: u64 = 4;

/// How often a change is decided again that depends on the outcome of others, or has lost a race.
const TRIES_MAX: usize = 100;

/// The cursors of all logs.
///
/// The lock of the order is taken first. On a thread that may block it is held while the log waits for the device; the
/// lock of the table is not.
#[derive(Debug)]
pub(crate) struct CursorLog {
    log: Arc<dyn CommitLog>,
    order: Mutex<Order>,
    table: RwLock<Table>,
}

/// The changes after those that the table has.
#[derive(Debug)]
struct Order {
    /// Where the next change is to be appended.
    next: Offset,
    /// Changes that were submitted, by their offsets.
    pending: VecDeque<(Offset, Change)>,
    /// Where the newest compaction has appended the cursors. What is before is to be trimmed.
    compacted_at: Offset,
}

/// The outcome of a submission.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// The change is durable once the ticket says so; this is what it makes of the cursor.
    Taken(Ticket, Option<Cursor>),
    /// Nothing is changed: the cursor would move back.
    Unmoved(Cursor),
    /// The change would have to wait.
    Blocked,
}

/// What is to become of a cursor, as decided on its present state.
enum Decided {
    /// The new value, without its version; `None` deletes it.
    Put(Option<Cursor>),
    Unmoved(Cursor),
}

impl CursorLog {
    /// Reads all cursors from their log, whose readable records are durable.
    pub(crate) fn open(log: Arc<dyn CommitLog>) -> Result<Self> {
        let mut table = Table::starting_at(log.start_offset());
        table.catch_up(&*log, Wait::ForDevice)?;
        Ok(Self {
            order: Mutex::new(Order {
                next: table.applied(),
                pending: VecDeque::new(),
                compacted_at: log.start_offset(),
            }),
            table: RwLock::new(table),
            log,
        })
    }

    /// Brings what is shown up to date. Returns false if that would have to wait.
    pub(crate) fn catch_up(&self, wait: Wait) -> Result<bool> {
        if self.table.read().applied() >= self.log.end_offset() {
            return Ok(true);
        }
        Ok(self.table.write().catch_up(&*self.log, wait)?)
    }

    /// Returns a cursor as it was when this last [caught up](CursorLog::catch_up).
    pub(crate) fn get(&self, log: LogId, name: &CursorName) -> Option<Cursor> {
        self.table.read().get(log, name).cloned()
    }

    /// Returns up to `limit` cursors of a log whose names are after `after`, as [`CursorLog::get`] does.
    pub(crate) fn list(&self, log: LogId, after: Option<&CursorName>, limit: usize) -> Vec<Cursor> {
        self.table.read().page(log, after, limit)
    }

    /// Returns the logs that have cursors.
    pub(crate) fn logs(&self) -> Vec<LogId> {
        self.table.read().logs().collect()
    }

    /// Submits a change. `end` is called in the order of changes, and returns the end of the log that the cursor is of.
    pub(crate) fn set(
        &self,
        log: LogId,
        name: &CursorName,
        set: &SetCursor,
        end: impl Fn() -> Result<Offset>,
        wait: Wait,
    ) -> Result<Submitted> {
        let decide = |current: Option<&Cursor>| decide(name, set, current, end()?);
        self.submit(log, name, decide, wait)
    }

    /// Submits a deletion.
    pub(crate) fn delete(
        &self,
        log: LogId,
        name: &CursorName,
        expected: Expect,
        wait: Wait,
    ) -> Result<Submitted> {
        let decide = |current: Option<&Cursor>| {
            expected.check(current.map(|cursor| cursor.version))?;
            current.ok_or(Error::CursorNotFound)?;
            Ok(Decided::Put(None))
        };
        self.submit(log, name, decide, wait)
    }

    fn submit(
        &self,
        log: LogId,
        name: &CursorName,
        decide: impl Fn(Option<&Cursor>) -> Result<Decided>,
        wait: Wait,
    ) -> Result<Submitted> {
        let locked = match wait {
            Wait::Never => self.order.try_lock_for(LOCK_WAIT_MAX),
            Wait::ForDevice => Some(self.order.lock()),
        };
        let Some(mut order) = locked else {
            return Ok(Submitted::Blocked);
        };
        for _ in 0..TRIES_MAX {
            let submitted = self.try_submit(&mut order, log, name, &decide, wait)?;
            if !matches!(submitted, Submitted::Blocked) || wait == Wait::Never {
                return Ok(submitted);
            }
            self.settle(&mut order)?;
        }
        Err(self.race_lost(&order))
    }

    fn try_submit(
        &self,
        order: &mut Order,
        log: LogId,
        name: &CursorName,
        decide: &impl Fn(Option<&Cursor>) -> Result<Decided>,
        wait: Wait,
    ) -> Result<Submitted> {
        if !self.catch_up(wait)? {
            return Ok(Submitted::Blocked);
        }
        let table = self.table.read();
        order.forget_applied(&table);
        let pending = order.pending_of(log, name);
        let current = match pending {
            Some(change) => change.cursor.as_ref(),
            None => table.get(log, name),
        };
        let is_new = current.is_none();
        let put = match decide(current) {
            Ok(Decided::Put(put)) => put,
            // What this says may be taken back.
            _ if pending.is_some() => return Ok(Submitted::Blocked),
            Ok(Decided::Unmoved(cursor)) => return Ok(Submitted::Unmoved(cursor)),
            Err(error) => return Err(error),
        };
        if is_new && put.is_some() && table.count() + order.pending.len() >= CURSORS_MAX {
            if !order.pending.is_empty() {
                return Ok(Submitted::Blocked);
            }
            return Err(Error::TooManyCursors);
        }
        drop(table);
        let at = order.next;
        let cursor = put.map(|cursor| cursor.with_version(at));
        let name = name.clone();
        let change = Change { log, name, cursor };
        let append = Append::new([change.encode()]).at(at);
        let attempt = match wait {
            Wait::Never => self.log.try_submit(append),
            Wait::ForDevice => self.log.submit_append(append).map(Attempt::Taken),
        };
        match attempt {
            Ok(Attempt::Taken(ticket)) => {
                let cursor = change.cursor.clone();
                order.pending.push_back((at, change));
                order.next = at + 1;
                Ok(Submitted::Taken(ticket, cursor))
            }
            Ok(Attempt::Blocked(_)) => Ok(Submitted::Blocked),
            // A change before this one has failed, or another server has made one.
            Err(error) if matches!(error.reason, Reason::EndMoved { .. }) => Ok(Submitted::Blocked),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until each change that was submitted is in the table or has failed.
    fn settle(&self, order: &mut Order) -> Result<()> {
        // If this fails, the changes have failed with it.
        self.log.sync().ok();
        self.catch_up(Wait::ForDevice)?;
        order.pending.clear();
        order.next = self.table.read().applied();
        Ok(())
    }

    /// Sets the cursors of a log that are beyond its end to its end, durably. To be called each time that the log was
    /// opened, before anything is appended to it: it may have come back shorter, and its next records would be taken for
    /// read.
    pub(crate) fn set_back(&self, log: LogId, end: Offset) -> Result<()> {
        let changed = self.change_all(log, |cursor| {
            (cursor.next_offset > end).then(|| {
                Some(Cursor {
                    next_offset: end,
                    updated_at: now(),
                    ..cursor.clone()
                })
            })
        })?;
        if changed > 0 {
            tracing::warn!(%log, end = end.get(), changed, "cursors were beyond the end of their log, and are at it now");
        }
        Ok(())
    }

    /// Deletes the cursors of a log, durably.
    pub(crate) fn delete_all(&self, log: LogId) -> Result<()> {
        self.change_all(log, |_| Some(None)).map(|_| ())
    }

    /// Changes the cursors of a log in one batch; `change` returns `None` for those that stay. Waits until that is
    /// durable, and returns their number.
    fn change_all(
        &self,
        log: LogId,
        change: impl Fn(&Cursor) -> Option<Option<Cursor>>,
    ) -> Result<usize> {
        let mut order = self.order.lock();
        for _ in 0..TRIES_MAX {
            self.catch_up(Wait::ForDevice)?;
            order.forget_applied(&self.table.read());
            if order.pending.iter().any(|(_, pending)| pending.log == log) {
                self.settle(&mut order)?;
            }
            let table = self.table.read();
            let changed = table.of_log(log).filter_map(|cursor| {
                let name = cursor.name.clone();
                let cursor = change(cursor)?;
                Some(Change { log, name, cursor })
            });
            let mut changed = changed.collect::<Vec<_>>();
            drop(table);
            if changed.is_empty() {
                return Ok(0);
            }
            let end = order.next.saturating_add(changed.len() as u64);
            for (at, change) in Offsets::new(order.next, end).into_iter().zip(&mut changed) {
                change.cursor = change.cursor.take().map(|cursor| cursor.with_version(at));
            }
            if self.append_all(&mut order, &changed)?.is_some() {
                return Ok(changed.len());
            }
            self.settle(&mut order)?;
        }
        Err(self.race_lost(&order))
    }

    /// Appends changes as one batch, and waits until it is durable. Returns its offsets; `None` if something was
    /// appended since the changes were decided.
    fn append_all(&self, order: &mut Order, changes: &[Change]) -> Result<Option<Offsets>> {
        let batch = changes.iter().map(Change::encode).collect::<Batch>();
        let appended = self.log.append_batch_at(order.next, batch);
        match appended {
            Ok(offsets) => {
                order.next = offsets.end;
                self.catch_up(Wait::ForDevice)?;
                Ok(Some(offsets))
            }
            Err(error) if matches!(error.reason, Reason::EndMoved { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether the log has grown so much that it should be compacted.
    pub(crate) fn is_compaction_due(&self) -> bool {
        let table = self.table.read();
        table.bytes() > BYTES_MAX && table.bytes() > LIVE_FACTOR * table.live_bytes()
    }

    /// Compacts the log, if that is due. Changes wait meanwhile.
    pub(crate) fn compact_if_due(&self) -> Result<()> {
        if self.is_compaction_due() {
            self.compact()
        } else {
            Ok(())
        }
    }

    /// Appends all cursors again, as one batch, and trims the records before. After a crash the cursors are there once or
    /// twice, and the same.
    pub(crate) fn compact(&self) -> Result<()> {
        let mut order = self.order.lock();
        if order.compacted_at <= self.log.start_offset() {
            self.settle(&mut order)?;
            let table = self.table.read();
            let all = table.all().map(|(log, cursor)| Change {
                log,
                name: cursor.name.clone(),
                cursor: Some(cursor.clone()),
            });
            let all = all.collect::<Vec<_>>();
            drop(table);
            let offsets = self.append_all(&mut order, &all)?;
            let Some(offsets) = offsets else {
                // Another server has changed a cursor. The next time may be better.
                return Ok(());
            };
            order.compacted_at = offsets.start;
        }
        self.trim_compacted(&order)
    }

    fn trim_compacted(&self, order: &Order) -> Result<()> {
        self.log.trim(order.compacted_at)?;
        let mut table = self.table.write();
        let live = table.live_bytes();
        table.set_bytes(live);
        Ok(())
    }

    fn race_lost(&self, order: &Order) -> Error {
        let (expected, end) = (order.next, self.log.end_offset());
        proglog_log::Error::new(self.log.name(), Reason::EndMoved { expected, end }).into()
    }

    /// Syncs and closes the log.
    pub(crate) fn close(&self) -> Result<()> {
        Ok(self.log.close()?)
    }
}

impl Order {
    /// Leaves out the changes that the table has.
    fn forget_applied(&mut self, table: &Table) {
        let applied = table.applied();
        while self.pending.pop_front_if(|(at, _)| *at < applied).is_some() {}
        self.next = self.next.max(applied);
    }

    /// Returns the newest change of a cursor that the table does not have.
    fn pending_of(&self, log: LogId, name: &CursorName) -> Option<&Change> {
        let newest = self.pending.iter().rev().map(|(_, change)| change);
        let mut of_cursor = newest.filter(|change| change.log == log && change.name == *name);
        of_cursor.next()
    }
}

impl Cursor {
    /// Sets the version to that of the change at `offset`.
    fn with_version(self, offset: Offset) -> Self {
        Self {
            version: offset.get() + 1,
            ..self
        }
    }
}

fn decide(
    name: &CursorName,
    set: &SetCursor,
    current: Option<&Cursor>,
    end: Offset,
) -> Result<Decided> {
    let len = set.metadata.len();
    if len > METADATA_BYTES_MAX {
        return Err(Error::MetadataTooLong {
            len,
            max: METADATA_BYTES_MAX,
        });
    }
    set.expected.check(current.map(|cursor| cursor.version))?;
    if set.next_offset > end {
        return Err(Error::BeyondEnd { end });
    }
    match current {
        Some(cursor) if set.forward && set.next_offset < cursor.next_offset => {
            Ok(Decided::Unmoved(cursor.clone()))
        }
        _ => Ok(Decided::Put(Some(Cursor {
            name: name.clone(),
            next_offset: set.next_offset,
            version: 0,
            updated_at: now(),
            metadata: set.metadata.clone(),
        }))),
    }
}
