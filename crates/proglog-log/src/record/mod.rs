//! What is appended: records and batches of them.

pub(crate) mod decode;
pub(crate) mod encode;

use bytes::Bytes;

pub use proglog_api::v1::{Header, Record};

use crate::error::{Error, Result};
use crate::options::{Options, RECORD_OVERHEAD_MAX};
use crate::record::decode::Plain;

/// Records to be appended as one: they get offsets one behind the other, become visible together,
/// and recovery keeps all of them or none.
///
/// ```
/// use proglog_log::{Batch, Record};
///
/// let batch = Batch::from_iter(["debit", "credit"]);
/// assert_eq!(batch.records()[1], Record::from("credit"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    records: Vec<Record>,
}

impl Batch {
    /// The records in their order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
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

/// A record that lies in the memory of the [`Records`](crate::Records) that lend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// As [`Record::value`].
    pub value: &'a [u8],
    /// As [`Record::offset`].
    pub offset: u64,
    /// As [`Record::timestamp`].
    pub timestamp: Option<i64>,
    /// As [`Record::appended_at`].
    pub appended_at: i64,
    /// As [`Record::key`].
    pub key: Option<&'a [u8]>,
    /// As [`Record::headers`].
    pub headers: &'a [Header],
}

impl<'a> RecordRef<'a> {
    /// The record of which this was found in `payload`.
    #[inline]
    pub(crate) fn plain(plain: &Plain, payload: &'a [u8]) -> Self {
        Self {
            value: &payload[plain.value.clone()],
            offset: plain.offset,
            timestamp: plain.timestamp,
            appended_at: plain.appended_at,
            key: plain.key.clone().map(|key| &payload[key]),
            headers: &[],
        }
    }

    #[inline]
    pub(crate) fn size(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.len() + 32);
        self.value.len() + self.key.map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }

    /// The record in memory of its own.
    #[must_use]
    pub fn to_owned(&self) -> Record {
        Record {
            value: Bytes::copy_from_slice(self.value),
            offset: self.offset,
            timestamp: self.timestamp,
            appended_at: self.appended_at,
            key: self.key.map(Bytes::copy_from_slice),
            headers: self.headers.to_vec(),
        }
    }
}

impl<'a> From<&'a Record> for RecordRef<'a> {
    #[inline]
    fn from(record: &'a Record) -> Self {
        Self {
            value: &record.value,
            offset: record.offset,
            timestamp: record.timestamp,
            appended_at: record.appended_at,
            key: record.key.as_deref(),
            headers: &record.headers,
        }
    }
}

/// Checks the sizes of `records`, which are a batch, against the limits of `options`.
pub(crate) fn validate(records: &[Record], options: &Options) -> Result<()> {
    let overheads = records.len().saturating_sub(1);
    let mut total = overheads.saturating_mul(RECORD_OVERHEAD_MAX);
    for record in records {
        let len = size(record);
        if len > options.record_bytes_max {
            return Err(Error::RecordTooLarge {
                len,
                max: options.record_bytes_max,
            });
        }
        total = total.saturating_add(len);
    }
    if total > options.batch_bytes_max {
        return Err(Error::BatchTooLarge {
            len: total,
            max: options.batch_bytes_max,
        });
    }
    Ok(())
}

impl<R: Into<Record>> FromIterator<R> for Batch {
    fn from_iter<I: IntoIterator<Item = R>>(records: I) -> Self {
        Self {
            records: records.into_iter().map(Into::into).collect(),
        }
    }
}

impl<R: Into<Record>> From<Vec<R>> for Batch {
    fn from(records: Vec<R>) -> Self {
        records.into_iter().collect()
    }
}

impl<R: Into<Record>, const N: usize> From<[R; N]> for Batch {
    fn from(records: [R; N]) -> Self {
        records.into_iter().collect()
    }
}

impl From<Record> for Batch {
    fn from(record: Record) -> Self {
        Self {
            records: vec![record],
        }
    }
}

macro_rules! batch_of_one {
    ($($value:ty),*) => {$(
        impl From<$value> for Batch {
            fn from(value: $value) -> Self {
                Record::from(value).into()
            }
        }
    )*};
}

batch_of_one!(&str, &[u8], String, Bytes);

impl<const N: usize> From<&[u8; N]> for Batch {
    fn from(value: &[u8; N]) -> Self {
        Record::from(value).into()
    }
}

/// The size of a record that limits speak of: the bytes of its value, key and headers, and 32 for
/// each header. Its encoding is at most [`RECORD_OVERHEAD_MAX`] bytes longer.
#[inline]
pub(crate) fn size(record: &Record) -> usize {
    RecordRef::from(record).size()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_made_of_one_record_or_of_several() {
        let of_one = [
            Batch::from("one"),
            Batch::from(b"one"),
            Batch::from(&b"one"[..]),
            Batch::from(String::from("one")),
            Batch::from(Bytes::from("one")),
            Batch::from(Record::new("one")),
            Batch::from(["one"]),
            Batch::from(vec!["one"]),
        ];
        for batch in of_one {
            assert_eq!((batch.len(), batch.is_empty()), (1, false));
            assert_eq!(batch.into_records(), [Record::new("one")]);
        }
        let batch: Batch = ["a", "b", "c"].into_iter().collect();
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.records()[2], Record::new("c"));
        assert!(Batch::default().is_empty());
    }
}
