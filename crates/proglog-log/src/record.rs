//! What is appended: records and batches of them.

use bytes::{BufMut, Bytes};
use prost::Message;
use prost::encoding::{self, int64, uint64};

pub use proglog_api::v1::{Header, Record};

use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::options::{Options, RECORD_OVERHEAD_MAX};

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

    /// Checks the sizes against the limits of `options`.
    pub(crate) fn validate(&self, options: &Options) -> Result<()> {
        let mut total = self
            .records
            .len()
            .saturating_sub(1)
            .saturating_mul(RECORD_OVERHEAD_MAX);
        for record in &self.records {
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
pub(crate) fn size(record: &Record) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.len() + 32);
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
}

/// A record as the log stores it: with its offset and the time, whatever the writer put there.
///
/// This encodes what [`Record`]'s own `encode` would for a copy with the two fields set, without the
/// copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) record: &'a Record,
    pub(crate) offset: Offset,
    pub(crate) appended_at: i64,
}

impl Stored<'_> {
    /// How long the encoding is.
    pub(crate) fn len(&self) -> usize {
        let own = |offset, appended_at| {
            let offset = if offset == 0 {
                0
            } else {
                uint64::encoded_len(OFFSET, &offset)
            };
            let time = if appended_at == 0 {
                0
            } else {
                int64::encoded_len(TIME, &appended_at)
            };
            offset + time
        };
        self.record.encoded_len() - own(self.record.offset, self.record.appended_at)
            + own(self.offset.get(), self.appended_at)
    }

    /// Writes the encoding.
    pub(crate) fn encode(&self, buffer: &mut impl BufMut) {
        let Record {
            value,
            offset: _,
            timestamp,
            appended_at: _,
            key,
            headers,
        } = self.record;
        if !value.is_empty() {
            encoding::bytes::encode(VALUE, value, buffer);
        }
        if self.offset != Offset::ZERO {
            uint64::encode(OFFSET, &self.offset.get(), buffer);
        }
        if let Some(timestamp) = timestamp {
            int64::encode(TIMESTAMP, timestamp, buffer);
        }
        if self.appended_at != 0 {
            int64::encode(TIME, &self.appended_at, buffer);
        }
        if let Some(key) = key {
            encoding::bytes::encode(KEY, key, buffer);
        }
        encoding::message::encode_repeated(HEADERS, headers, buffer);
    }
}

/// The numbers of the fields of a record, as `log.proto` has them.
const VALUE: u32 = 1;
const OFFSET: u32 = 2;
const TIMESTAMP: u32 = 5;
const TIME: u32 = 6;
const KEY: u32 = 7;
const HEADERS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Records with and without each field, short and long.
    fn records() -> Vec<Record> {
        let full = |len: usize, headers: usize| {
            let mut record = Record::new(vec![1; len])
                .with_key(vec![2; len])
                .with_timestamp(-1);
            for _ in 0..headers {
                record = record.with_header("n".repeat(len), vec![3; len]);
            }
            (record.offset, record.appended_at) = (len as u64, -1);
            record
        };
        let bare = Record::new("");
        vec![
            bare,
            full(0, 0),
            full(0, 9),
            full(200, 3),
            full(70_000, 2),
            full(1 << 22, 1),
        ]
    }

    #[test]
    fn an_encoding_is_what_prost_makes_of_a_copy_with_the_fields_set() {
        for record in records() {
            for (offset, appended_at) in [(0, 0), (1, 1), (300, -300), (u64::MAX, i64::MAX)] {
                let stored = Stored {
                    record: &record,
                    offset: Offset::new(offset),
                    appended_at,
                };
                let mut encoded = Vec::new();
                stored.encode(&mut encoded);
                let copy = Record {
                    offset,
                    appended_at,
                    ..record.clone()
                };
                assert_eq!(encoded, copy.encode_to_vec());
                assert_eq!(encoded.len(), stored.len());
            }
        }
    }

    #[test]
    fn an_encoding_exceeds_the_size_by_a_bounded_overhead() {
        for record in records() {
            let offset = Offset::new(u64::MAX);
            let len = Stored {
                record: &record,
                offset,
                appended_at: -1,
            }
            .len();
            assert!(len <= size(&record) + RECORD_OVERHEAD_MAX, "{len}");
        }
    }
}
