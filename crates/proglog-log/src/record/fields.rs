//! The fields of a record, borrowed for the time of an append.

use crate::record::into_bytes::IntoBytes;
use crate::record::producer::Producer;
use crate::record::{self, Header, Record, StoredRecord};

/// The fields that a record to append has.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header],
    /// In microseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) producer: Option<&'a Producer>,
}

impl<'a> Fields<'a> {
    /// The fields of a record of `value` alone.
    #[inline]
    pub(crate) fn of_value(value: &'a [u8]) -> Self {
        Self {
            value,
            key: None,
            headers: &[],
            timestamp: None,
            producer: None,
        }
    }

    /// The size that the limits on records count.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        record::size(self.value, self.key, self.headers)
    }
}

impl<'a> From<&'a Record> for Fields<'a> {
    #[inline]
    fn from(record: &'a Record) -> Self {
        Self {
            value: &record.value,
            key: record.key.as_deref(),
            headers: &record.headers,
            timestamp: record.timestamp,
            producer: record.producer.as_deref(),
        }
    }
}

/// A record to append: a [`Record`], or what is the value of one.
///
/// Implemented for everything that is [`IntoBytes`] (`&str`, `String`, `&[u8]`, `Vec<u8>`, arrays,
/// [`Bytes`](bytes::Bytes)), for [`Record`] and `&Record`, and for [`StoredRecord`]. A [`Log`](crate::Log)
/// encodes from borrowed memory straight into its buffer; what keeps records, such as
/// [`MemoryLog`](crate::MemoryLog) and [`Batch`](crate::Batch), copies what is borrowed.
///
/// ```
/// use proglog_log::{Log, LogOptions, Record};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// log.append("a value")?;
/// let record = Record::new("another").with_key("key");
/// log.append(&record)?;
/// log.append(log.read(0)?)?;
/// assert_eq!(log.read(2)?.value, "a value");
/// # Ok(())
/// # }
/// ```
pub trait IntoRecord: sealed::Sealed {
    /// The record.
    fn into_record(self) -> Record;

    #[doc(hidden)]
    fn fields(&self) -> Fields<'_>;
}

mod sealed {
    pub trait Sealed {}
}

impl<T: IntoBytes> sealed::Sealed for T {}

impl<T: IntoBytes> IntoRecord for T {
    #[inline]
    fn into_record(self) -> Record {
        Record::new(self)
    }

    #[inline]
    fn fields(&self) -> Fields<'_> {
        Fields::of_value(self.as_bytes())
    }
}

impl sealed::Sealed for Record {}

impl IntoRecord for Record {
    #[inline]
    fn into_record(self) -> Record {
        self
    }

    #[inline]
    fn fields(&self) -> Fields<'_> {
        self.into()
    }
}

impl sealed::Sealed for &Record {}

impl IntoRecord for &Record {
    fn into_record(self) -> Record {
        self.clone()
    }

    #[inline]
    fn fields(&self) -> Fields<'_> {
        (*self).into()
    }
}

impl sealed::Sealed for StoredRecord {}

impl IntoRecord for StoredRecord {
    fn into_record(self) -> Record {
        self.into()
    }

    fn fields(&self) -> Fields<'_> {
        Fields {
            value: &self.value,
            key: self.key.as_deref(),
            headers: &self.headers,
            timestamp: self.timestamp,
            producer: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::*;

    /// Checks that `record` lends the fields that it has as a record.
    fn lends_its_fields(record: impl IntoRecord + Clone) {
        let (lent, owned) = (record.clone(), record.into_record());
        let (lent, owned) = (lent.fields(), Fields::from(&owned));
        assert_eq!(lent.value, owned.value);
        assert_eq!(lent.key, owned.key);
        assert_eq!(lent.headers, owned.headers);
        assert_eq!(lent.timestamp, owned.timestamp);
        assert_eq!(lent.producer, owned.producer);
        assert_eq!(lent.size(), owned.size());
    }

    #[test]
    fn what_can_be_appended_lends_the_fields_that_it_has_as_a_record() {
        let text = String::from("one");
        lends_its_fields("one");
        lends_its_fields(&text);
        lends_its_fields(text.clone());
        lends_its_fields(Cow::from("one"));
        lends_its_fields(text.as_bytes());
        lends_its_fields(text.as_bytes().to_vec());
        lends_its_fields(&text.as_bytes().to_vec());
        lends_its_fields(Cow::from(text.as_bytes()));
        lends_its_fields(Box::<[u8]>::from(text.as_bytes()));
        lends_its_fields(b"one");
        lends_its_fields(*b"one");
        lends_its_fields(Bytes::from_static(b"one"));
        lends_its_fields(&Bytes::from_static(b"one"));
        let record = Record::new("one")
            .with_key("key")
            .with_header("name", "value")
            .with_timestamp(SystemTime::UNIX_EPOCH);
        lends_its_fields(&record);
        lends_its_fields(StoredRecord::new(7, SystemTime::UNIX_EPOCH, record.clone()));
        let mut marked = record.clone();
        marked.producer = Some(Box::new(Producer::new("load-7", 1, 2).unwrap()));
        assert!(Fields::from(&marked).producer.is_some());
        lends_its_fields(&marked);
        lends_its_fields(StoredRecord::new(7, SystemTime::UNIX_EPOCH, marked.clone()));
        lends_its_fields(marked);
        lends_its_fields(record);
    }
}
