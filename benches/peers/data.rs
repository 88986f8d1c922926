//! The records that every system gets, and whether they came back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::system::{Bytes, Result};

/// The most different values; a prime, so that they meet every place of a batch.
const VALUES_MAX: usize = 61;
/// How much all values take, unless they are large.
const VALUES_BYTES: usize = 256 << 10;
/// The fewest different values.
const VALUES_MIN: usize = 3;

/// Different values that are appended in turn. They are made beforehand: making them is not measured.
#[derive(Debug)]
pub(crate) struct Values {
    /// So many in turn, and a batch more.
    in_turn: Vec<Bytes>,
    count: usize,
}

impl Values {
    /// Values of so many bytes each, which are appended in batches of up to so many.
    pub(crate) fn new(record_bytes: usize, batch_len_max: usize) -> Self {
        let count = (VALUES_BYTES / record_bytes).clamp(VALUES_MIN, VALUES_MAX);
        let all = benches::payload(record_bytes * count);
        let value = |number: usize| {
            let start = number % count * record_bytes;
            all.slice(start..start + record_bytes)
        };
        Self {
            in_turn: (0..count + batch_len_max).map(value).collect(),
            count,
        }
    }

    /// All values in turn, from the first one on, without end.
    pub(crate) fn in_turn(&self) -> InTurn<'_> {
        InTurn {
            values: self,
            turn: 0,
        }
    }

    /// The value of the record of this number.
    pub(crate) fn of(&self, number: u64) -> &Bytes {
        &self.batch(number, 1)[0]
    }

    /// The values of so many records, from the one of this number on.
    pub(crate) fn batch(&self, number: u64, len: usize) -> &[Bytes] {
        let turn = number % self.count as u64;
        let start = usize::try_from(turn).expect("less than a length");
        &self.in_turn[start..start + len]
    }
}

/// The values in turn. It takes no time that would be seen beside an append.
#[derive(Debug)]
pub(crate) struct InTurn<'a> {
    values: &'a Values,
    turn: usize,
}

impl<'a> InTurn<'a> {
    /// The next so many.
    pub(crate) fn next(&mut self, len: usize) -> &'a [Bytes] {
        let next = &self.values.in_turn[self.turn..self.turn + len];
        self.turn += len;
        while self.turn >= self.values.count {
            self.turn -= self.values.count;
        }
        next
    }
}

/// Compares what a scan shows with what was appended.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    values: Arc<Values>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    records: u64,
    /// The first record that is not what it should be.
    wrong: Option<u64>,
    /// How often each value was there, where the order is not known.
    counts: Option<HashMap<Bytes, u64>>,
}

impl Check {
    /// Expects the values in their order.
    pub(crate) fn in_order(values: &Arc<Values>) -> Self {
        Self {
            values: Arc::clone(values),
            seen: Arc::default(),
        }
    }

    /// Expects each value so often, in any order: threads have appended them.
    pub(crate) fn in_any_order(values: &Arc<Values>) -> Self {
        let check = Self::in_order(values);
        let turn = values.in_turn[..values.count].iter();
        let counts = turn.map(|value| (value.clone(), 0)).collect();
        check.lock().counts = Some(counts);
        check
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no thread has panicked")
    }

    /// The next record.
    pub(crate) fn see(&self, record: &[u8]) {
        let mut seen = self.lock();
        let number = seen.records;
        let right = match &mut seen.counts {
            Some(counts) => counts.get_mut(record).map(|count| *count += 1).is_some(),
            None => self.values.of(number) == record,
        };
        if !right {
            seen.wrong.get_or_insert(number);
        }
        seen.records += 1;
    }

    /// How many records it has seen.
    pub(crate) fn records(&self) -> u64 {
        self.lock().records
    }

    /// The number of the first record that is not what was appended.
    pub(crate) fn wrong(&self) -> Option<u64> {
        self.lock().wrong
    }

    /// Whether just the records of `numbers` were there, which are listed one thread after the other.
    pub(crate) fn finish(self, numbers: &[std::ops::Range<u64>]) -> Result<()> {
        let mut seen = self.lock();
        if let Some(wrong) = seen.wrong {
            anyhow::bail!("record {wrong} is not what was appended");
        }
        let expected = numbers
            .iter()
            .map(|range| range.end - range.start)
            .sum::<u64>();
        let records = seen.records;
        anyhow::ensure!(
            records == expected,
            "{records} records instead of {expected}"
        );
        let Some(counts) = &mut seen.counts else {
            return Ok(());
        };
        for number in numbers.iter().cloned().flatten() {
            let left = counts
                .get_mut(self.values.of(number))
                .expect("one of the values");
            *left = left.wrapping_sub(1);
        }
        let whole = counts.values().all(|left| *left == 0);
        anyhow::ensure!(
            whole,
            "some records are missing, and others are there twice"
        );
        Ok(())
    }
}
