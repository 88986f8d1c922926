//! Records: as they are appended, and as they are read.

pub(crate) mod batch;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod into_bytes;
pub(crate) mod producer;
pub(crate) mod sequence;

use std::time::SystemTime;

use bytes::Bytes;
use proglog_api::v1;

use crate::clock;
use crate::offset::Offset;
use crate::record::into_bytes::IntoBytes;
use crate::record::producer::Producer;

/// The most bytes that the log's own fields and the encoding add to a record's size; see [`size`].
pub(crate) const RECORD_OVERHEAD_MAX: usize = 64;

/// A record to append: a value, and optionally a key, headers and a timestamp.
///
/// Anything that is [`IntoBytes`] is a record of that value alone, so `log.append("value")` works with
/// `&str`, `String`, `&[u8]`, `Vec<u8>`, arrays and [`Bytes`]. When a record is read it is a
/// [`StoredRecord`], which also has an offset and the time at which it was appended.
///
/// ```
/// use std::time::SystemTime;
///
/// use proglog_log::Record;
///
/// let record = Record::new("opened")
///     .with_key("account-7")
///     .with_header("trace", "4bf92f35")
///     .with_timestamp(SystemTime::now());
/// assert_eq!(record.value, "opened");
/// assert_eq!(record.key.as_deref(), Some(b"account-7".as_slice()));
/// assert_eq!(Record::new("").key, None); // absent, which is not the empty key
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record {
    /// The bytes that the record is there for. They may be empty.
    pub value: Bytes,
    /// What the record is about, for example the id of an account. A key that is absent differs from
    /// one that is empty.
    #[cfg_attr(feature = "serde", serde(default))]
    pub key: Option<Bytes>,
    /// Facts beside the value, such as its encoding or a trace id, in this order.
    #[cfg_attr(feature = "serde", serde(default))]
    pub headers: Vec<Header>,
    /// In microseconds since 1970.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) timestamp: Option<i64>,
    /// Set on the first record of a batch that has a producer.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) producer: Option<Box<Producer>>,
}

impl Record {
    /// A record of `value` alone.
    #[inline]
    pub fn new(value: impl IntoBytes) -> Self {
        Self {
            value: value.into_bytes(),
            key: None,
            headers: Vec::new(),
            timestamp: None,
            producer: None,
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(mut self, key: impl IntoBytes) -> Self {
        self.key = Some(key.into_bytes());
        self
    }

    /// Adds a header after those already there, even where one has the same name.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl IntoBytes) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Sets the user's timestamp: when the event happened. It is stored in microseconds, rounded down; one that is
    /// more than 292,000 years from 1970 becomes the last or the first that 64 bits can count. The log never
    /// reads it.
    #[must_use]
    pub fn with_timestamp(mut self, time: SystemTime) -> Self {
        self.timestamp = Some(clock::micros(time));
        self
    }

    /// The user's timestamp, if there is one.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.timestamp.map(clock::time)
    }
}

impl<T: IntoBytes> From<T> for Record {
    #[inline]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// A record of the same value, key, headers and timestamp, to be appended again. It has no producer.
impl From<StoredRecord> for Record {
    fn from(stored: StoredRecord) -> Self {
        Self {
            value: stored.value,
            key: stored.key,
            headers: stored.headers,
            timestamp: stored.timestamp,
            producer: None,
        }
    }
}

/// The message without its offset, the time of its append, and its producer: the log assigns them.
impl From<v1::Record> for Record {
    fn from(message: v1::Record) -> Self {
        StoredRecord::from(message).into()
    }
}

/// A named fact beside a record's value.
///
/// A name may occur more than once in a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Header {
    /// The name.
    pub name: String,
    /// The fact. Its meaning is up to the application.
    pub value: Bytes,
}

impl Header {
    /// A header with this name and value.
    ///
    /// ```
    /// use proglog_log::{Header, Record};
    ///
    /// let record = Record::new("paid").with_header("currency", "EUR");
    /// assert_eq!(record.headers, [Header::new("currency", "EUR")]);
    /// ```
    pub fn new(name: impl Into<String>, value: impl IntoBytes) -> Self {
        Self {
            name: name.into(),
            value: value.into_bytes(),
        }
    }
}

/// A record as it was read: what was appended, its offset, and when it was appended.
///
/// Its bytes may be slices of a larger block, which they keep in memory:
/// [`detach`](StoredRecord::detach) copies them out. It converts into a [`Record`], so it can be
/// appended to another log.
///
/// ```
/// use std::time::SystemTime;
///
/// use proglog_log::{MemoryLog, Record};
///
/// let log = MemoryLog::new();
/// log.append(Record::new("paid").with_key("order-7"))?;
/// let record = log.read(0)?;
/// assert_eq!(record.offset, 0);
/// assert_eq!(record.value, "paid");
/// assert!(record.key.is_some_and(|key| key == "order-7"));
/// assert!(record.headers.is_empty());
/// # Ok::<(), proglog_log::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StoredRecord {
    /// The record's offset in the log that it was read from.
    pub offset: Offset,
    /// The bytes that the record is there for.
    pub value: Bytes,
    /// What the record is about. A key that is absent differs from one that is empty.
    pub key: Option<Bytes>,
    /// Facts beside the value, in the order in which they were given.
    pub headers: Vec<Header>,
    /// In microseconds since 1970, as `appended_at`.
    pub(crate) timestamp: Option<i64>,
    pub(crate) appended_at: i64,
    pub(crate) producer: Option<Box<Producer>>,
}

impl StoredRecord {
    /// `record` at `offset`, appended at the time `appended_at`: for implementations of
    /// [`ReadLog`](crate::ReadLog).
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use proglog_log::{Record, StoredRecord};
    ///
    /// let record = StoredRecord::new(7, SystemTime::UNIX_EPOCH, Record::new("paid"));
    /// assert_eq!((record.offset.get(), record.appended_at()), (7, SystemTime::UNIX_EPOCH));
    /// ```
    pub fn new(
        offset: impl Into<Offset>,
        appended_at: SystemTime,
        record: impl Into<Record>,
    ) -> Self {
        Self::at(offset.into(), clock::micros(appended_at), record.into())
    }

    pub(crate) fn at(offset: Offset, appended_at: i64, record: Record) -> Self {
        Self {
            offset,
            value: record.value,
            key: record.key,
            headers: record.headers,
            timestamp: record.timestamp,
            appended_at,
            producer: record.producer,
        }
    }

    /// The user's timestamp, if there is one, to the microsecond.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.timestamp.map(clock::time)
    }

    /// The time at which the log took the record, to the microsecond. It is never less than that of the
    /// record before.
    #[must_use]
    pub fn appended_at(&self) -> SystemTime {
        clock::time(self.appended_at)
    }

    /// The producer of the batch that begins with this record, if the batch was appended with one.
    #[must_use]
    pub fn producer(&self) -> Option<&Producer> {
        self.producer.as_deref()
    }

    /// The same record in memory of its own.
    #[must_use]
    pub fn detach(&self) -> Self {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let headers = self.headers.iter().map(|header| Header {
            name: header.name.clone(),
            value: copy(&header.value),
        });
        Self {
            value: copy(&self.value),
            key: self.key.as_ref().map(copy),
            headers: headers.collect(),
            producer: self.producer.clone(),
            ..*self
        }
    }

    /// As [`size`].
    #[inline]
    pub(crate) fn size(&self) -> usize {
        size(&self.value, self.key.as_deref(), &self.headers)
    }
}

impl From<v1::Record> for StoredRecord {
    fn from(message: v1::Record) -> Self {
        let headers = message.headers.into_iter().map(|header| Header {
            name: header.name,
            value: header.value,
        });
        Self {
            offset: message.offset.into(),
            value: message.value,
            key: message.key,
            headers: headers.collect(),
            timestamp: message.timestamp,
            appended_at: message.appended_at,
            producer: message.producer.and_then(producer::of_message),
        }
    }
}

impl From<StoredRecord> for v1::Record {
    fn from(record: StoredRecord) -> Self {
        let headers = record.headers.into_iter().map(|header| v1::Header {
            name: header.name,
            value: header.value,
        });
        Self {
            value: record.value,
            offset: record.offset.get(),
            timestamp: record.timestamp,
            appended_at: record.appended_at,
            key: record.key,
            headers: headers.collect(),
            producer: record.producer.as_deref().map(Into::into),
        }
    }
}

/// A [`StoredRecord`] borrowed from the [`Records`](crate::Records) that lend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// As [`StoredRecord::offset`].
    pub offset: Offset,
    /// As [`StoredRecord::value`].
    pub value: &'a [u8],
    /// As [`StoredRecord::key`].
    pub key: Option<&'a [u8]>,
    /// As [`StoredRecord::headers`].
    pub headers: &'a [Header],
    pub(crate) timestamp: Option<i64>,
    pub(crate) appended_at: i64,
    pub(crate) producer: Option<&'a Producer>,
}

impl<'a> RecordRef<'a> {
    /// As [`StoredRecord::timestamp`].
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.timestamp.map(clock::time)
    }

    /// As [`StoredRecord::appended_at`].
    #[must_use]
    pub fn appended_at(&self) -> SystemTime {
        clock::time(self.appended_at)
    }

    /// As [`StoredRecord::producer`].
    #[must_use]
    pub fn producer(&self) -> Option<&'a Producer> {
        self.producer
    }

    /// A copy of the record, in memory of its own.
    #[must_use]
    pub fn to_record(&self) -> StoredRecord {
        StoredRecord {
            offset: self.offset,
            value: Bytes::copy_from_slice(self.value),
            key: self.key.map(Bytes::copy_from_slice),
            headers: self.headers.to_vec(),
            timestamp: self.timestamp,
            appended_at: self.appended_at,
            producer: self.producer.cloned().map(Box::new),
        }
    }

    /// As [`size`].
    #[inline]
    pub(crate) fn size(&self) -> usize {
        size(self.value, self.key, self.headers)
    }
}

impl<'a> From<&'a StoredRecord> for RecordRef<'a> {
    #[inline]
    fn from(record: &'a StoredRecord) -> Self {
        Self {
            offset: record.offset,
            value: &record.value,
            key: record.key.as_deref(),
            headers: &record.headers,
            timestamp: record.timestamp,
            appended_at: record.appended_at,
            producer: record.producer(),
        }
    }
}

/// The size that the limits on records count: the bytes of the value, the key and the headers, and 32 for each
/// header. The encoding is at most [`RECORD_OVERHEAD_MAX`] bytes longer, without the producer.
#[inline]
fn size(value: &[u8], key: Option<&[u8]>, headers: &[Header]) -> usize {
    let headers = headers
        .iter()
        .map(|header| header.name.len() + header.value.len() + 32);
    value.len() + key.map_or(0, <[u8]>::len) + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;

    #[test]
    fn bytes_and_text_owned_borrowed_or_in_arrays_are_records() {
        let text = String::from("one");
        let slice: &[u8] = text.as_bytes();
        let records = [
            Record::from("one"),
            Record::from(&text),
            Record::from(text.clone()),
            Record::from(Cow::from("one")),
            Record::from(slice),
            Record::from(slice.to_vec()),
            Record::from(&slice.to_vec()),
            Record::from(Cow::from(slice)),
            Record::from(Box::<[u8]>::from(slice)),
            Record::from(b"one"),
            Record::from(*b"one"),
            Record::from(Bytes::from_static(b"one")),
            Record::from(&Bytes::from_static(b"one")),
        ];
        for record in records {
            assert_eq!(record, Record::new("one"));
        }
    }

    #[test]
    fn a_stored_record_goes_to_the_message_and_back() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(5);
        let record = Record::new("value")
            .with_key("")
            .with_header("name", [1, 2])
            .with_timestamp(time - Duration::from_micros(6));
        let stored = StoredRecord::new(7, time, record.clone());
        let message = v1::Record::from(stored.clone());
        assert_eq!((message.offset, message.appended_at), (7, 5));
        assert_eq!(message.timestamp, Some(-1));
        assert_eq!(Record::from(message.clone()), record);
        assert_eq!(StoredRecord::from(message), stored);
        assert_eq!(stored.detach(), stored);
        let lent = RecordRef::from(&stored);
        assert_eq!(
            (lent.timestamp(), lent.appended_at()),
            (record.timestamp(), time)
        );
        assert_eq!(lent.to_record(), stored);
        assert_eq!(Record::from(stored), record);
    }
}
