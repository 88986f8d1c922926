//! The records that every system gets, and the check of the records that it returns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::system::{Bytes, Result};

/// The most distinct values; a prime, so that each occurs at every place in a batch.
const VALUES_MAX: usize = 61;
/// The total length of all values, unless they are large.
const VALUES_BYTES: usize = 256 << 10;
/// The fewest distinct values.
const VALUES_MIN: usize = 3;

/// Distinct values, appended in turn. They are created beforehand and not measured.
#[derive(Debug)]
pub(crate) struct Values {
    /// The values in turn, and another batch of them.
    in_turn: Vec<Bytes>,
    count: usize,
}

impl Values {
    /// Creates values of `record_bytes` bytes each, for batches of at most `batch_len_max`.
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

    /// Returns all values in turn, endlessly.
    pub(crate) fn in_turn(&self) -> InTurn<'_> {
        InTurn {
            values: self,
            turn: 0,
        }
    }

    /// Returns the value of the record of this number.
    pub(crate) fn of(&self, number: u64) -> &Bytes {
        &self.batch(number, 1)[0]
    }

    /// Returns the values of `len` records from this number on.
    pub(crate) fn batch(&self, number: u64, len: usize) -> &[Bytes] {
        let turn = number % self.count as u64;
        let start = usize::try_from(turn).expect("less than a length");
        &self.in_turn[start..start + len]
    }
}

/// The values in turn. Their cost is negligible beside an append.
#[derive(Debug)]
pub(crate) struct InTurn<'a> {
    values: &'a Values,
    turn: usize,
}

impl<'a> InTurn<'a> {
    /// Returns the next `len` values.
    pub(crate) fn next(&mut self, len: usize) -> &'a [Bytes] {
        let next = &self.values.in_turn[self.turn..self.turn + len];
        self.turn += len;
        while self.turn >= self.values.count {
            self.turn -= self.values.count;
        }
        next
    }
}

/// Compares scanned records with the appended ones.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    values: Arc<Values>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    records: u64,
    /// The first wrong record.
    wrong: Option<u64>,
    /// The count of each value, if the order is unknown.
    counts: Option<HashMap<Bytes, u64>>,
}

impl Check {
    /// Expects the values in order.
    pub(crate) fn in_order(values: &Arc<Values>) -> Self {
        Self {
            values: Arc::clone(values),
            seen: Arc::default(),
        }
    }

    /// Expects each value this often, in any order: threads appended them.
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

    /// Checks the next record.
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

    /// Returns the number of records checked.
    pub(crate) fn records(&self) -> u64 {
        self.lock().records
    }

    /// Returns the number of the first wrong record.
    pub(crate) fn wrong(&self) -> Option<u64> {
        self.lock().wrong
    }

    /// Returns whether exactly the records of `numbers` were there, listed thread by thread.
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
