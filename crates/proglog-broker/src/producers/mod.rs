//! The producers of a log that is open: batches that are sent again are recognized.
//!
//! Every append to the log goes through [`LogProducers`], which checks it against the
//! [table](proglog_log::producers::Producers), submits it and counts it in one step.
//!
//! # Batches that are not settled
//!
//! A batch is counted once it is submitted, so that its producer can send the next one at once. Until it is acknowledged
//! it may still fail, and all after it with it; the log then gives their offsets to the next append. The next batch of
//! the same producer must not be taken then, since records before it are missing. So while a batch of a producer is not
//! settled, every append is conditional on the end of the log as it is known here, and where that has moved back, the
//! failed batches are taken back first.
//!
//! Nothing is answered by what is not settled: not that a batch is a duplicate, nor that a sequence number is missing.
//! A crash could take back what the answer says. These answers wait for the device.
//!
//! # Snapshots
//!
//! A snapshot is stored before the first batch of a producer, and then after each [`BATCHES_MAX`] batches or
//! [`BYTES_MAX`] bytes, or after [`AGE_MAX`], before a trim, and when the log is closed. It covers records only once they
//! are on the device, whatever the durability of the log: a snapshot that is ahead of the log would take the records that
//! get these offsets later for counted.

mod limit;
mod load;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use proglog_log::producers::{Checked, Producers, Progress, Refused};
use proglog_log::{
    Append, Attempt, Batch, CommitLog, Error as LogError, Offset, Offsets, Producer, Reason,
    Result as LogResult, Ticket,
};

pub(crate) use crate::producers::limit::{PRODUCERS_MAX, ProducerLimit};

use crate::backend::Snapshot;
use crate::error::{Error, Result};
use crate::id::LogId;
use crate::producers::limit::Table;
use crate::producers::load::{Loaded, load};
use crate::wait::{LOCK_WAIT_MAX, Wait};

/// What is appended after a snapshot until the next one is due.
const BATCHES_MAX: u64 = 1000;
const BYTES_MAX: u64 = 16 << 20;
const AGE_MAX: Duration = Duration::from_mins(1);

/// The shortest time between snapshots that the number of batches or bytes makes due.
const AGE_MIN: Duration = Duration::from_secs(1);

/// How often a batch is checked again whose answer depends on the outcome of others.
const CHECKS_MAX: usize = 16;

/// The producers of a log, and the order of its appends.
///
/// The lock of the order is taken first. It is held while an append is submitted: on a thread that may block, also while
/// that waits for the device. The lock of the table is held for moments only.
#[derive(Debug)]
pub(crate) struct LogProducers {
    log: Arc<dyn CommitLog>,
    id: LogId,
    snapshot: Option<Arc<dyn Snapshot>>,
    limit: Arc<ProducerLimit>,
    table: Arc<Table>,
    order: Mutex<Order>,
    /// Held while a snapshot is made and stored.
    storing: Mutex<()>,
    /// True while a snapshot that is due is going to be stored.
    is_taken: AtomicBool,
}

/// What the order of appends is known by.
#[derive(Debug)]
struct Order {
    /// End of the newest batch with a producer. Nothing is unsettled if the log is acknowledged up to here.
    counted_end: Offset,
    /// Unless all is settled, the next offset to be assigned.
    next: Offset,
    /// How often batches were taken back.
    rollbacks: u64,
    /// False if the log has never had a producer. There is no snapshot then.
    has_snapshot: bool,
    /// What was appended since the newest snapshot.
    batches: u64,
    bytes: u64,
    stored_at: Instant,
}

/// The outcome of a submission.
#[derive(Debug)]
pub(crate) enum Submitted {
    Taken(Ticket),
    /// The append would have to wait.
    Blocked(Append),
    /// The batch was appended before, and is as durable as the log promises. Its offsets, if they are still known.
    Repeated(Option<Offsets>),
    /// The producer must not append this batch, or its snapshot cannot be stored. Nothing was appended.
    Refused(Error),
}

/// The result of checking a batch.
enum Answer {
    New,
    Repeated(Option<Offsets>),
    Refused(Refused),
    /// It depends on batches that are not settled.
    Open,
}

/// A table, and the end of the records that it has counted.
struct Copied {
    producers: Producers,
    end: Offset,
    rollbacks: u64,
    batches: u64,
    bytes: u64,
}

impl LogProducers {
    /// Loads the producers of `log`, which nothing else appends to: from the snapshot and the records after it. Without a
    /// place for a snapshot none is known.
    pub(crate) fn open(
        log: Arc<dyn CommitLog>,
        id: LogId,
        snapshot: Option<Arc<dyn Snapshot>>,
        limit: &Arc<ProducerLimit>,
    ) -> Result<Self> {
        let loaded = match &snapshot {
            Some(snapshot) => load(&*log, id, &**snapshot)?,
            None => Loaded::default(),
        };
        let end = log.end_offset();
        Ok(Self {
            log,
            id,
            snapshot,
            limit: Arc::clone(limit),
            table: limit.add(loaded.producers),
            order: Mutex::new(Order {
                counted_end: end,
                next: end,
                rollbacks: 0,
                has_snapshot: loaded.has_snapshot,
                batches: loaded.batches,
                bytes: 0,
                stored_at: Instant::now(),
            }),
            storing: Mutex::new(()),
            is_taken: AtomicBool::new(false),
        })
    }

    /// Returns the number of producers.
    pub(crate) fn len(&self) -> usize {
        self.table.read(Producers::len)
    }

    /// Returns how far a producer has come with what is as durable as the log promises.
    pub(crate) fn get(&self, id: &str) -> Option<Progress> {
        let end = self.log.end_offset();
        self.table.read(|producers| producers.get_before(id, end))
    }

    /// Checks and submits an append, unless that would have to wait.
    pub(crate) fn try_submit(&self, append: Append) -> LogResult<Submitted> {
        let Some(mut order) = self.order.try_lock_for(LOCK_WAIT_MAX) else {
            return Ok(Submitted::Blocked(append));
        };
        self.submit_in_order(&mut order, append, Wait::Never)
    }

    /// Checks and submits an append, and waits for the device if it has to.
    pub(crate) fn submit(&self, mut append: Append) -> LogResult<Submitted> {
        let mut synced = Ok(());
        for _ in 0..CHECKS_MAX {
            let mut order = self.order.lock();
            match self.submit_in_order(&mut order, append, Wait::ForDevice)? {
                // The outcome of those before is not known yet.
                Submitted::Blocked(back) => append = back,
                submitted => return Ok(submitted),
            }
            drop(order);
            // Whether this fails or not, they have their outcome.
            synced = self.log.sync();
        }
        synced?;
        Ok(Submitted::Blocked(append))
    }

    fn submit_in_order(
        &self,
        order: &mut Order,
        mut append: Append,
        wait: Wait,
    ) -> LogResult<Submitted> {
        if append.batch.is_empty() {
            append.producer = None;
        }
        let producer = append.producer.clone();
        if !self.resolve(order, wait)? {
            return Ok(Submitted::Blocked(append));
        }
        if let Some(producer) = &producer {
            let count = u32::try_from(append.batch.len()).unwrap_or(u32::MAX);
            match self.check(producer, count) {
                Answer::New => {}
                Answer::Repeated(offsets) => return Ok(Submitted::Repeated(offsets)),
                Answer::Refused(refused) => return Ok(Submitted::Refused(refused.into())),
                Answer::Open => return Ok(Submitted::Blocked(append)),
            }
            if !order.has_snapshot && self.snapshot.is_some() {
                if wait == Wait::Never {
                    return Ok(Submitted::Blocked(append));
                }
                if let Err(error) = self.store_first(order)? {
                    return Ok(Submitted::Refused(error));
                }
            }
        }
        let bytes = if order.has_snapshot {
            size(&append.batch)
        } else {
            0
        };
        let submitted = self.submit_conditionally(order, append, wait)?;
        if let Submitted::Taken(ticket) = &submitted {
            order.bytes += bytes;
            let offsets = ticket.offsets();
            order.next = offsets.end;
            if let Some(producer) = producer {
                let now = SystemTime::now();
                self.table
                    .update(|producers| producers.accept(&producer, offsets, now));
                order.counted_end = offsets.end;
                order.batches += 1;
            }
        }
        Ok(submitted)
    }

    /// Submits a batch; while others are not settled, only if none of them has failed.
    fn submit_conditionally(
        &self,
        order: &mut Order,
        mut append: Append,
        wait: Wait,
    ) -> LogResult<Submitted> {
        if order.counted_end <= self.log.end_offset() {
            return Ok(match self.submit_to_log(append, wait)? {
                Attempt::Taken(ticket) => Submitted::Taken(ticket),
                Attempt::Blocked(append) => Submitted::Blocked(append),
            });
        }
        let asked = append.expected.replace(order.next);
        if let Some(expected) = asked.filter(|expected| *expected != order.next) {
            let end = order.next;
            return Err(LogError::new(
                self.log.name(),
                Reason::EndMoved { expected, end },
            ));
        }
        match self.submit_to_log(append, wait) {
            Ok(Attempt::Taken(ticket)) => Ok(Submitted::Taken(ticket)),
            Ok(Attempt::Blocked(mut append)) => {
                append.expected = asked;
                Ok(Submitted::Blocked(append))
            }
            Err(error) => Err(match error.reason {
                // They have failed since the log was asked.
                Reason::EndMoved { end, .. } => {
                    self.take_back(order, end);
                    let source = Arc::new(error.reason);
                    LogError::new(error.log, Reason::GivenUp { source })
                }
                _ => error,
            }),
        }
    }

    fn submit_to_log(&self, append: Append, wait: Wait) -> LogResult<Attempt> {
        match wait {
            Wait::Never => self.log.try_submit(append),
            Wait::ForDevice => self.log.submit_append(append).map(Attempt::Taken),
        }
    }

    /// Settles the batches that are acknowledged, and takes back those that have failed. Returns false if that would have
    /// to wait.
    fn resolve(&self, order: &mut Order, wait: Wait) -> LogResult<bool> {
        let end = self.log.end_offset();
        self.table.update(|producers| producers.settle(end));
        if order.counted_end <= end {
            return Ok(true);
        }
        // An empty batch appends nothing, and says whether the end is still where it was.
        let probe = Append::new(Batch::new()).at(order.next);
        match self.submit_to_log(probe, wait) {
            Ok(Attempt::Taken(_)) => Ok(true),
            Ok(Attempt::Blocked(_)) => Ok(false),
            Err(error) => match error.reason {
                Reason::EndMoved { end, .. } => {
                    self.take_back(order, end);
                    Ok(true)
                }
                _ => Err(error),
            },
        }
    }

    /// Takes back the batches at and after `end`, which is the next offset to be assigned.
    fn take_back(&self, order: &mut Order, end: Offset) {
        self.table.update(|producers| producers.take_back(end));
        order.counted_end = order.counted_end.min(end);
        order.next = end;
        order.rollbacks += 1;
    }

    fn check(&self, producer: &Producer, count: u32) -> Answer {
        let (id, now, end) = (producer.id(), SystemTime::now(), self.log.end_offset());
        let (checked, is_settled, is_known) = self.table.read(|producers| {
            let known = producers.get(id);
            let is_settled = known.is_none_or(|known| known.last_offset < end);
            (
                producers.check(producer, count, now),
                is_settled,
                known.is_some(),
            )
        });
        match checked {
            Ok(Checked::New) if !is_known && !self.limit.make_room(now) => {
                Answer::Refused(Refused::TooMany)
            }
            Ok(Checked::New) => Answer::New,
            Ok(Checked::Repeated(Some(offsets))) if offsets.end <= end => {
                Answer::Repeated(Some(offsets))
            }
            _ if !is_settled => Answer::Open,
            Ok(Checked::Repeated(offsets)) => Answer::Repeated(offsets),
            Err(refused) => Answer::Refused(refused),
        }
    }

    /// Stores the snapshot that says that the log may have a producer from here on.
    fn store_first(&self, order: &mut Order) -> LogResult<Result<()>> {
        self.log.sync()?;
        let producers = Producers::new();
        let stored = self.store(&producers, self.log.end_offset());
        order.has_snapshot = stored.is_ok();
        Ok(stored)
    }

    fn store(&self, producers: &Producers, end: Offset) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(());
        };
        let stored = snapshot.store(&producers.encode(self.id.get(), end));
        stored.map_err(|error| self.storage_error(error))
    }

    fn storage_error(&self, error: io::Error) -> Error {
        Error::storage(self.log.name(), error)
    }

    /// Returns whether a snapshot is due that nothing has taken on, and takes it on.
    pub(crate) fn take_due(&self, now: Instant) -> bool {
        self.is_snapshot_due(now) && !self.is_taken.swap(true, Ordering::Relaxed)
    }

    fn is_snapshot_due(&self, now: Instant) -> bool {
        let Some(order) = self.order.try_lock() else {
            return false;
        };
        let age = now.saturating_duration_since(order.stored_at);
        let is_much = order.batches >= BATCHES_MAX || order.bytes >= BYTES_MAX;
        let is_any = order.batches > 0 || order.bytes > 0;
        order.has_snapshot && (is_much && age >= AGE_MIN || is_any && age >= AGE_MAX)
    }

    /// Stores a snapshot of all that was appended before, unless there is one or the log has never had a producer. Waits
    /// for the device.
    pub(crate) fn store_snapshot(&self) -> Result<()> {
        let _storing = self.storing.lock();
        self.is_taken.store(false, Ordering::Relaxed);
        let copied = {
            let order = self.order.lock();
            if !order.has_snapshot || order.batches == 0 && order.bytes == 0 {
                return Ok(());
            }
            self.copy(&order)
        };
        self.log.sync()?;
        let copied = {
            let mut order = self.order.lock();
            self.resolve(&mut order, Wait::ForDevice)?;
            if order.rollbacks == copied.rollbacks && copied.end <= self.log.end_offset() {
                copied
            } else {
                // Some of what it has counted has failed. Nothing is submitted meanwhile this time.
                self.log.sync()?;
                self.resolve(&mut order, Wait::ForDevice)?;
                self.copy(&order)
            }
        };
        self.store(&copied.producers, copied.end)?;
        let mut order = self.order.lock();
        order.batches -= copied.batches;
        order.bytes -= copied.bytes;
        order.stored_at = Instant::now();
        Ok(())
    }

    fn copy(&self, order: &Order) -> Copied {
        Copied {
            producers: self.table.read(Producers::clone),
            end: order.counted_end.max(self.log.end_offset()),
            rollbacks: order.rollbacks,
            batches: order.batches,
            bytes: order.bytes,
        }
    }
}

fn size(batch: &Batch) -> u64 {
    let records = batch.records().iter();
    let sizes =
        records.map(|record| record.value.len() + record.key.as_ref().map_or(0, bytes::Bytes::len));
    sizes.sum::<usize>() as u64
}
