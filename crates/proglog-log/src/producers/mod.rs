//! The producers of a log, and how far each has come.
//!
//! A table is a pure value: no I/O, and no clock but the times of records. What serves a log keeps one beside it,
//! [checks](Producers::check) each append against it, and [accepts](Producers::accept) what it has submitted. The
//! marks are in the records themselves ([`StoredRecord::producer`]), so the table can be
//! [replayed](Producers::replay) from them, from where its [snapshot](Producers::encode) ends.
//!
//! The idea is that of Kafka's idempotent producers (KIP-98). It differs in that sequence numbers count records and
//! have 64 bits, that a producer chooses its id, and that its state is kept when its records are trimmed.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use proglog_log::producers::{Checked, Producers, Refused};
//! use proglog_log::{Append, CommitLog, MemoryLog, Producer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = MemoryLog::new();
//! let mut producers = Producers::new();
//! let mut send = |sequence| -> Result<Checked, Box<dyn std::error::Error>> {
//!     let batch = Append::new(["debit", "credit"]).by(Producer::new("load-7", 0, sequence)?);
//!     let producer = batch.producer.clone().unwrap();
//!     let checked = producers.check(&producer, 2, SystemTime::now())?;
//!     if checked == Checked::New {
//!         let offsets = log.submit_append(batch)?.wait()?;
//!         let appended_at = log.read(offsets.start)?.appended_at();
//!         producers.accept(&producer, offsets, appended_at);
//!     }
//!     Ok(checked)
//! };
//! assert_eq!(send(0)?, Checked::New);
//! assert_eq!(send(2)?, Checked::New);
//! assert_eq!(send(0)?, Checked::Repeated(Some((0..2).into())));
//! assert_eq!(send(5).unwrap_err().downcast_ref(), Some(&Refused::Gap { expected: 4 }));
//! # Ok(())
//! # }
//! ```
//!
//! [`StoredRecord::producer`]: crate::StoredRecord::producer

mod snapshot;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use crate::producers::snapshot::SnapshotError;

use crate::clock;
use crate::offset::{Offset, Offsets};
use crate::record::StoredRecord;
use crate::record::producer::Producer;

/// The most producers in a table.
pub const PRODUCERS_MAX: usize = 10_000;

/// The time for which a producer that has appended is kept in any case.
pub const KEPT_FOR: Duration = Duration::from_hours(1);

/// The number of batches of each producer whose offsets are known.
const BATCHES: usize = 5;

/// How far each producer of a log has come.
#[derive(Debug, Clone, Default)]
pub struct Producers {
    by_id: HashMap<Arc<str>, State>,
    /// The producers by their newest batch, and so by when they were last used.
    by_use: BTreeMap<Offset, Arc<str>>,
    /// What each accepted batch has replaced, until it is [settled](Producers::settle).
    unsettled: VecDeque<Replaced>,
}

/// The state of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    epoch: u64,
    /// The sequence number that is expected next.
    next: u64,
    /// The newest batches, the newest last; never empty.
    batches: VecDeque<KnownBatch>,
    /// When the newest batch was appended, in microseconds since 1970.
    last_appended_at: i64,
}

/// A batch whose offsets are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KnownBatch {
    sequence: u64,
    count: u32,
    offset: Offset,
}

/// The state of a producer before a batch.
#[derive(Debug, Clone)]
struct Replaced {
    /// Offset of the batch.
    offset: Offset,
    id: Arc<str>,
    before: Option<State>,
    /// The producer that had to make room.
    evicted: Option<(Arc<str>, State)>,
}

/// What a producer has come to; see [`Producers::get`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The generation.
    pub epoch: u64,
    /// The sequence number that is expected next.
    pub next_sequence: u64,
    /// Offset of the newest record.
    pub last_offset: Offset,
}

/// The result of [`Producers::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The batch is the next one of its producer.
    New,
    /// The batch was appended before, with these offsets if it is one of the newest five of its producer. It may not be
    /// durable yet.
    Repeated(Option<Offsets>),
}

/// The reason for which a batch of a producer must not be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The producer is not known, and its batch is not its first. What it sent before may have been appended: it has to
    /// continue with the next epoch.
    #[error("the producer is not known")]
    Unknown,
    /// The producer has a later generation.
    #[error("the producer is fenced by epoch {epoch}")]
    Fenced {
        /// The later generation.
        epoch: u64,
    },
    /// Records before these are missing.
    #[error("records are missing: sequence number {expected} is expected")]
    Gap {
        /// The sequence number that is expected.
        expected: u64,
    },
    /// Some of the records were appended, as part of other batches.
    #[error("some of the records were appended before: sequence number {expected} is expected")]
    Overlap {
        /// The sequence number that is expected.
        expected: u64,
    },
    /// The table is full of producers that have appended within the last hour.
    #[error("there are {PRODUCERS_MAX} other producers")]
    TooMany,
    /// The sequence numbers would exceed 64 bits.
    #[error("there are no sequence numbers left")]
    Exhausted,
}

impl Producers {
    /// Returns an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of producers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Returns how far the producer `id` has come, if it is known.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Progress> {
        self.by_id.get(id).map(State::progress)
    }

    /// Returns how far the producer `id` had come before the batches at and after `end`, none of which is
    /// [settled](Producers::settle). These may still turn out not to be appended.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use proglog_log::producers::Producers;
    /// use proglog_log::{Offset, Producer};
    ///
    /// let mut producers = Producers::new();
    /// producers.accept(&Producer::new("load-7", 0, 0)?, (0..2).into(), SystemTime::now());
    /// assert_eq!(producers.get_before("load-7", Offset::ZERO), None);
    /// assert_eq!(producers.get_before("load-7", Offset::new(2)), producers.get("load-7"));
    /// # Ok::<(), proglog_log::InvalidProducerId>(())
    /// ```
    #[must_use]
    pub fn get_before(&self, id: &str, end: Offset) -> Option<Progress> {
        let of_id = |batch: &&Replaced| batch.offset >= end && *batch.id == *id;
        match self.unsettled.iter().find(of_id) {
            Some(batch) => batch.before.as_ref().map(State::progress),
            None => self.get(id),
        }
    }

    /// Returns when the producer that was unused for longest has appended its newest batch.
    #[must_use]
    pub fn oldest_use(&self) -> Option<SystemTime> {
        Some(clock::time(self.oldest()?.last_appended_at))
    }

    /// Forgets the producer that was unused for longest. Where several logs share a bound on their producers, one of
    /// them has to make room so.
    pub fn forget_oldest(&mut self) {
        self.remove_oldest();
    }

    /// Checks whether a batch of `count` records may be appended at `time`, as the next of `producer`.
    ///
    /// # Errors
    ///
    /// Each [`Refused`] says when.
    pub fn check(
        &self,
        producer: &Producer,
        count: u32,
        time: SystemTime,
    ) -> Result<Checked, Refused> {
        let sequence = producer.sequence;
        let Some(end) = sequence.checked_add(u64::from(count)) else {
            return Err(Refused::Exhausted);
        };
        let Some(state) = self.by_id.get(&*producer.id) else {
            return self.check_new(sequence, time);
        };
        if producer.epoch < state.epoch {
            let epoch = state.epoch;
            return Err(Refused::Fenced { epoch });
        }
        let expected = if producer.epoch == state.epoch {
            state.next
        } else {
            0
        };
        if sequence == expected {
            Ok(Checked::New)
        } else if sequence > expected {
            Err(Refused::Gap { expected })
        } else if end <= expected {
            Ok(Checked::Repeated(state.offsets_of(sequence, count)))
        } else {
            Err(Refused::Overlap { expected })
        }
    }

    /// As [`Producers::check`], of a producer that is not known.
    fn check_new(&self, sequence: u64, time: SystemTime) -> Result<Checked, Refused> {
        if sequence != 0 {
            return Err(Refused::Unknown);
        }
        if self.by_id.len() >= PRODUCERS_MAX {
            let kept_since = time.checked_sub(KEPT_FOR).map_or(i64::MIN, clock::micros);
            if self
                .oldest()
                .is_some_and(|oldest| oldest.last_appended_at > kept_since)
            {
                return Err(Refused::TooMany);
            }
        }
        Ok(Checked::New)
    }

    /// Counts a batch that was submitted, and got these `offsets`. Until it is [settled](Producers::settle), it can be
    /// [taken back](Producers::take_back). Where there is no room, the producer that was unused for longest is forgotten.
    pub fn accept(&mut self, producer: &Producer, offsets: Offsets, appended_at: SystemTime) {
        let count = u32::try_from(offsets.len()).unwrap_or(u32::MAX);
        let replaced = self.put(producer, count, offsets.start, clock::micros(appended_at));
        self.unsettled.push_back(replaced);
    }

    /// Keeps the batches below `end` for good: they are as durable as the log promises.
    pub fn settle(&mut self, end: Offset) {
        while self
            .unsettled
            .pop_front_if(|batch| batch.offset < end)
            .is_some()
        {}
    }

    /// Undoes the batches at and after `start`, which were not appended.
    pub fn take_back(&mut self, start: Offset) {
        while let Some(replaced) = self.unsettled.pop_back_if(|batch| batch.offset >= start) {
            self.remove(&replaced.id);
            let before = replaced.before.map(|state| (replaced.id, state));
            for (id, state) in before.into_iter().chain(replaced.evicted) {
                self.insert(id, state);
            }
        }
    }

    /// Counts the batch that begins with `record`, if it has a producer. Records are replayed in the order of their
    /// offsets, from where the table ends.
    pub fn replay(&mut self, record: &StoredRecord) {
        let Some(producer) = record.producer() else {
            return;
        };
        let is_fenced = self.by_id.get(&*producer.id);
        if is_fenced.is_none_or(|state| state.epoch <= producer.epoch) {
            self.put(producer, producer.count, record.offset, record.appended_at);
        }
    }

    /// Counts a batch; returns what takes that back.
    fn put(&mut self, producer: &Producer, count: u32, offset: Offset, time: i64) -> Replaced {
        let removed = self.remove(&producer.id);
        let is_full = self.by_id.len() >= PRODUCERS_MAX;
        let evicted = if is_full { self.remove_oldest() } else { None };
        let id = removed.as_ref().map(|(id, _)| Arc::clone(id));
        let id = id.unwrap_or_else(|| Arc::from(&*producer.id));
        let before = removed.map(|(_, state)| state);
        let batch = KnownBatch {
            sequence: producer.sequence,
            count,
            offset,
        };
        let same_epoch = before.clone().filter(|state| state.epoch == producer.epoch);
        let mut batches = same_epoch.map_or_else(VecDeque::new, |state| state.batches);
        if batches.len() == BATCHES {
            batches.pop_front();
        }
        batches.push_back(batch);
        let state = State {
            epoch: producer.epoch,
            next: producer.sequence.saturating_add(u64::from(count)),
            batches,
            last_appended_at: time,
        };
        self.insert(Arc::clone(&id), state);
        Replaced {
            offset,
            id,
            before,
            evicted,
        }
    }

    /// The producer that was unused for longest.
    fn oldest(&self) -> Option<&State> {
        self.by_id.get(self.by_use.values().next()?)
    }

    fn insert(&mut self, id: Arc<str>, state: State) {
        self.by_use.insert(state.last().offset, Arc::clone(&id));
        self.by_id.insert(id, state);
    }

    fn remove(&mut self, id: &str) -> Option<(Arc<str>, State)> {
        let (id, state) = self.by_id.remove_entry(id)?;
        self.by_use.remove(&state.last().offset);
        Some((id, state))
    }

    fn remove_oldest(&mut self) -> Option<(Arc<str>, State)> {
        let (_, id) = self.by_use.pop_first()?;
        self.by_id.remove_entry(&id)
    }
}

/// Two tables are equal if they know the same of each producer, whatever is settled.
impl PartialEq for Producers {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id
    }
}

impl Eq for Producers {}

impl State {
    fn last(&self) -> &KnownBatch {
        self.batches.back().expect("a producer is known by a batch")
    }

    fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            next_sequence: self.next,
            last_offset: self.last().end().saturating_sub(1),
        }
    }

    /// Returns the offsets of a batch, if it is known.
    fn offsets_of(&self, sequence: u64, count: u32) -> Option<Offsets> {
        let is_same = |batch: &&KnownBatch| (batch.sequence, batch.count) == (sequence, count);
        let batch = self.batches.iter().find(is_same)?;
        Some(Offsets::new(batch.offset, batch.end()))
    }
}

impl KnownBatch {
    fn end(&self) -> Offset {
        self.offset.saturating_add(u64::from(self.count))
    }
}

#[cfg(test)]
mod tests;
