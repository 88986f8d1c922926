//! Batches of records.

use crate::record::Record;
use crate::record::fields::IntoRecord;

/// Records that are appended as one.
///
/// They get consecutive offsets, become visible together, and recovery keeps all of them or none.
///
/// ```
/// use proglog_log::{Batch, Log, LogOptions, Record};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// let mut batch = Batch::new();
/// batch.push("debit");
/// batch.push(Record::new("credit").with_key("account-7"));
/// batch.extend(["fee", "tax"]);
/// assert_eq!(log.append_batch(batch)?, 0..4);
///
/// let lines = "a\nb\nc";
/// assert_eq!(log.append_batch(lines.lines().collect::<Batch>())?, 4..7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Batch {
    records: Vec<Record>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            records: Vec::new(),
        }
    }

    /// An empty batch with room for `records` records.
    #[must_use]
    pub fn with_capacity(records: usize) -> Self {
        Self {
            records: Vec::with_capacity(records),
        }
    }

    /// Adds a record at the end.
    pub fn push(&mut self, record: impl IntoRecord) {
        self.records.push(record.into_record());
    }

    /// The records in their order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The first record.
    pub(crate) fn first_mut(&mut self) -> Option<&mut Record> {
        self.records.first_mut()
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there is no record in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records in their order, by value.
    #[must_use]
    pub fn into_records(self) -> Vec<Record> {
        self.records
    }
}

impl<R: IntoRecord> FromIterator<R> for Batch {
    fn from_iter<I: IntoIterator<Item = R>>(records: I) -> Self {
        Self {
            records: records.into_iter().map(IntoRecord::into_record).collect(),
        }
    }
}

impl<R: IntoRecord> Extend<R> for Batch {
    fn extend<I: IntoIterator<Item = R>>(&mut self, records: I) {
        self.records
            .extend(records.into_iter().map(IntoRecord::into_record));
    }
}

impl IntoIterator for Batch {
    type Item = Record;
    type IntoIter = std::vec::IntoIter<Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<R: IntoRecord> From<Vec<R>> for Batch {
    fn from(records: Vec<R>) -> Self {
        records.into_iter().collect()
    }
}

impl<R: IntoRecord, const N: usize> From<[R; N]> for Batch {
    fn from(records: [R; N]) -> Self {
        records.into_iter().collect()
    }
}

/// A batch of this record alone.
impl From<Record> for Batch {
    fn from(record: Record) -> Self {
        Self {
            records: vec![record],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_made_of_one_record_or_of_several() {
        let of_one = [
            Batch::from(Record::new("one")),
            Batch::from(["one"]),
            Batch::from(vec!["one"]),
        ];
        for batch in of_one {
            assert_eq!((batch.len(), batch.is_empty()), (1, false));
            assert_eq!(batch.into_records(), [Record::new("one")]);
        }
        let mut batch: Batch = ["a", "b"].into_iter().collect();
        batch.push(vec![b'c']);
        batch.extend([b"d", b"e"]);
        assert_eq!(batch, Batch::from(["a", "b", "c", "d", "e"]));
        assert!(batch.clone().into_iter().eq(batch.into_records()));
        assert!(Batch::new().is_empty() && Batch::default().is_empty());
    }
}
