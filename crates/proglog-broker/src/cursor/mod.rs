//! Cursors, and the records that they are stored in.
//!
//! The key of a record is `<id of the log>/<name of the cursor>`, and its value is JSON:
//!
//! ```json
//! {"next_offset": 1204, "version": 7, "updated_at": 1796000000000000, "metadata": "worker 3"}
//! ```
//!
//! An empty value says that the cursor was deleted. Times are in microseconds since 1970. Fields that are not known are
//! left alone.

pub(crate) mod cursor_log;
pub(crate) mod store;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use proglog_log::{Offset, Record, StoredRecord};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::LogId;
use crate::name::{InvalidName, LogName};

/// The longest metadata of a cursor, in bytes.
pub const METADATA_BYTES_MAX: usize = 256;

/// The name of a cursor. It has the form of a [`LogName`].
///
/// ```
/// use proglog_broker::CursorName;
///
/// assert_eq!(CursorName::new("billing")?.as_str(), "billing");
/// assert!(CursorName::new("Billing").is_err());
/// # Ok::<(), proglog_broker::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CursorName(LogName);

/// A consumer's place in a log: the offset of the record that it reads next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cursor {
    /// The name.
    pub name: CursorName,
    /// The offset of the next record. It may be below the start of the log, if records that were not read are trimmed.
    pub next_offset: Offset,
    /// The number of the change that has made the cursor what it is. It grows with each change; no two changes of the
    /// cursors of a broker have the same, also where a cursor is deleted and made again.
    pub version: u64,
    /// When it was changed last.
    pub updated_at: SystemTime,
    /// What the consumer has stored with it.
    pub metadata: String,
}

/// The condition of a change of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// None.
    #[default]
    Any,
    /// The cursor has this version.
    Version(u64),
    /// There is no such cursor.
    Absent,
}

/// A new value of a cursor; see [`Cursors::set`](crate::Cursors::set).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SetCursor {
    /// The offset of the next record.
    pub next_offset: Offset,
    /// Up to 256 bytes that are stored with it.
    pub metadata: String,
    /// What has to hold before.
    pub expected: Expect,
    /// True to leave the cursor as it is where it would move back.
    pub forward: bool,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    next_offset: u64,
    version: u64,
    updated_at: u64,
    #[serde(default)]
    metadata: String,
}

/// A change as it is stored; `None` is a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) log: LogId,
    pub(crate) name: CursorName,
    pub(crate) cursor: Option<Cursor>,
}

impl CursorName {
    /// Returns the name `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidName`].
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        LogName::new(text).map(Self)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CursorName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl SetCursor {
    /// Returns an unconditional change to `next_offset`.
    pub fn new(next_offset: impl Into<Offset>) -> Self {
        Self {
            next_offset: next_offset.into(),
            ..Self::default()
        }
    }

    /// Sets what is stored with it.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Sets what has to hold before.
    #[must_use]
    pub fn expect(mut self, expected: Expect) -> Self {
        self.expected = expected;
        self
    }

    /// Leaves the cursor as it is where it would move back.
    #[must_use]
    pub fn forward(mut self) -> Self {
        self.forward = true;
        self
    }
}

impl Expect {
    /// Checks the condition against the version of the cursor, if it exists.
    pub(crate) fn check(self, version: Option<u64>) -> Result<()> {
        let holds = match self {
            Self::Any => true,
            Self::Version(expected) => version == Some(expected),
            Self::Absent => version.is_none(),
        };
        if holds {
            Ok(())
        } else {
            Err(Error::CursorMoved { version })
        }
    }
}

impl Change {
    pub(crate) fn encode(&self) -> Record {
        let value = self.cursor.as_ref().map_or_else(Vec::new, |cursor| {
            let since = cursor.updated_at.duration_since(SystemTime::UNIX_EPOCH);
            let stored = Stored {
                next_offset: cursor.next_offset.get(),
                version: cursor.version,
                updated_at: u64::try_from(since.unwrap_or_default().as_micros())
                    .unwrap_or(u64::MAX),
                metadata: cursor.metadata.clone(),
            };
            serde_json::to_vec(&stored).expect("numbers and text always serialize")
        });
        Record::new(value).with_key(format!("{}/{}", self.log, self.name))
    }

    /// Returns the change in a record; `None` if there is none that this version knows.
    pub(crate) fn decode(record: &StoredRecord) -> Option<Self> {
        let key = std::str::from_utf8(record.key.as_ref()?).ok()?;
        let (log, name) = key.split_once('/')?;
        let (log, name) = (log.parse().ok()?, CursorName::new(name).ok()?);
        let cursor = if record.value.is_empty() {
            None
        } else {
            let stored = serde_json::from_slice::<Stored>(&record.value).ok()?;
            let since = Duration::from_micros(stored.updated_at);
            Some(Cursor {
                name: name.clone(),
                next_offset: Offset::new(stored.next_offset),
                version: stored.version,
                updated_at: SystemTime::UNIX_EPOCH.checked_add(since)?,
                metadata: stored.metadata,
            })
        };
        Some(Self { log, name, cursor })
    }
}

/// Returns the present time, as precise as it is stored.
pub(crate) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

/// Returns the bytes that a record counts for.
pub(crate) fn size(key: usize, value: usize) -> u64 {
    /// About what the log adds to each.
    const OVERHEAD: usize = 32;
    (key + value + OVERHEAD) as u64
}
