//! Version 1 of the messages, package `log.v1`, and constructors for [`Record`].
//!
//! The structs are generated from `proto/log/v1/log.proto`, which is part of the package.

use bytes::Bytes;

include!("log.v1.rs");

impl Record {
    /// Creates a record with this value and nothing else.
    ///
    /// The setters below add to it. The log assigns `offset` and `appended_at`.
    ///
    /// # Examples
    ///
    /// ```
    /// use proglog_api::v1::Record;
    ///
    /// let record = Record::new("opened")
    ///     .with_key("account-7")
    ///     .with_header("trace", "4bf92f35")
    ///     .with_timestamp(1_700_000_000_000_000);
    /// assert_eq!(record.key(), b"account-7");
    /// ```
    #[inline]
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            value: value.into(),
            ..Self::default()
        }
    }

    /// Sets the key: the entity that the record is about.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Appends a header. Names may repeat.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Sets the user's timestamp, in microseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn with_timestamp(mut self, micros: i64) -> Self {
        self.timestamp = Some(micros);
        self
    }
}

impl Record {
    /// Copies the record into memory of its own. The bytes of a record that was read may be slices of a
    /// larger block, which they keep in memory.
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
}

/// Creates a record with this value, without copying it.
impl From<Bytes> for Record {
    #[inline]
    fn from(value: Bytes) -> Self {
        Self::new(value)
    }
}

/// Creates a record with this value, without copying it.
impl From<Vec<u8>> for Record {
    #[inline]
    fn from(value: Vec<u8>) -> Self {
        Self::new(value)
    }
}

/// Creates a record with this value, without copying it.
impl From<String> for Record {
    #[inline]
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

/// Creates a record with a copy of this value.
impl From<&[u8]> for Record {
    #[inline]
    fn from(value: &[u8]) -> Self {
        Self::new(Bytes::copy_from_slice(value))
    }
}

/// Creates a record with a copy of this value, such as `b"literal"`.
impl<const N: usize> From<&[u8; N]> for Record {
    #[inline]
    fn from(value: &[u8; N]) -> Self {
        Self::from(value.as_slice())
    }
}

/// Creates a record with a copy of this value.
impl From<&str> for Record {
    #[inline]
    fn from(value: &str) -> Self {
        Self::from(value.as_bytes())
    }
}
