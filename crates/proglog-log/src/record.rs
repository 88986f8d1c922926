//! What is appended: records and batches of them.

use bytes::Bytes;

pub use proglog_api::v1::{Header, Record};

use crate::error::{Error, Result};
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
    let headers = record
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.len() + 32);
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
}
