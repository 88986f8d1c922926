//! Version 1 of the messages, package `log.v1`, and ways to build a [`Record`].
//!
//! The structs are generated from `proto/log/v1/log.proto`, which the package contains.

use bytes::Bytes;

include!("log.v1.rs");

impl Record {
    /// Makes a record of `value` alone.
    ///
    /// The setters below add to it; the log itself assigns `offset` and `appended_at`.
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

    /// Sets the key: what the record is about.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header after those already there, even where one has the same name.
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
    /// The same record in memory of its own. One that was read may be a slice of a larger block,
    /// which it keeps in memory.
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
            ..*self
        }
    }
}

/// A record of this value alone, which is not copied.
impl From<Bytes> for Record {
    #[inline]
    fn from(value: Bytes) -> Self {
        Self::new(value)
    }
}

/// A record of this value alone, which is not copied.
impl From<Vec<u8>> for Record {
    #[inline]
    fn from(value: Vec<u8>) -> Self {
        Self::new(value)
    }
}

/// A record of this value alone, which is not copied.
impl From<String> for Record {
    #[inline]
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

/// A record of a copy of this value alone.
impl From<&[u8]> for Record {
    #[inline]
    fn from(value: &[u8]) -> Self {
        Self::new(Bytes::copy_from_slice(value))
    }
}

/// A record of a copy of this value alone, so that `b"literals"` do.
impl<const N: usize> From<&[u8; N]> for Record {
    #[inline]
    fn from(value: &[u8; N]) -> Self {
        Self::from(value.as_slice())
    }
}

/// A record of a copy of this value alone.
impl From<&str> for Record {
    #[inline]
    fn from(value: &str) -> Self {
        Self::from(value.as_bytes())
    }
}
