//! What is stored about a log beside its records, and about a data directory.
//!
//! ```json
//! {"format": 1, "id": "9f3c..", "created_at": 1796000000000000, "config": {"durability": "synced", ..}}
//! {"format": 1, "node_id": "17ab.."}
//! ```

use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::LogConfig;
use crate::id::LogId;

/// The version of the format.
const FORMAT: u32 = 1;

/// What is stored about a log beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogMeta {
    /// The id.
    pub id: LogId,
    /// When the log was made, to the microsecond.
    pub created_at: SystemTime,
    /// The configuration.
    pub config: LogConfig,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    id: LogId,
    /// In microseconds since 1970.
    created_at: u64,
    config: LogConfig,
}

/// What is stored about a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: LogId,
}

#[derive(Serialize, Deserialize)]
struct StoredNode {
    format: u32,
    node_id: LogId,
}

/// The reason for which bytes say nothing about a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// They are damaged.
    #[error("it is damaged")]
    Damaged(#[from] serde_json::Error),
    /// They were written by a newer version, and are left as they are.
    #[error("it has format {format}, and {FORMAT} is the newest known")]
    Unsupported {
        /// Its format.
        format: u32,
    },
}

impl LogMeta {
    /// Returns that of a log that is made now.
    ///
    /// # Errors
    ///
    /// If the operating system has no random numbers.
    pub fn new(config: LogConfig) -> Result<Self, getrandom::Error> {
        Ok(Self {
            id: LogId::random()?,
            created_at: from_micros(micros(SystemTime::now())),
            config,
        })
    }

    /// Returns the stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            format: FORMAT,
            id: self.id,
            created_at: micros(self.created_at),
            config: self.config.clone(),
        };
        encode(&stored)
    }

    /// Reads the stored form.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let stored: Stored = decode(bytes)?;
        Ok(Self {
            id: stored.id,
            created_at: from_micros(stored.created_at),
            config: stored.config,
        })
    }
}

impl Node {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&StoredNode {
            format: FORMAT,
            node_id: self.id,
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let stored: StoredNode = decode(bytes)?;
        Ok(Self { id: stored.node_id })
    }
}

impl MetaError {
    /// Returns whether the bytes are damaged, and not of a newer version.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// Returns the microseconds from 1970 to `time`.
fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn from_micros(micros: u64) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn encode(stored: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(stored).expect("numbers and text always serialize")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MetaError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format } = serde_json::from_slice(bytes)?;
    if format != FORMAT {
        return Err(MetaError::Unsupported { format });
    }
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_read_again_and_pinned() {
        let meta = LogMeta {
            id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            created_at: SystemTime::UNIX_EPOCH + Duration::from_micros(1_796_000_000_000_001),
            config: LogConfig::default(),
        };
        let expected = serde_json::json!({
            "format": 1,
            "id": "0123456789abcdef0123456789abcdef",
            "created_at": 1_796_000_000_000_001_u64,
            "config": {
                "durability": "synced",
                "sync_interval_ms": 1000,
                "segment_bytes": 64 << 20,
                "record_bytes_max": 1 << 20,
                "batch_bytes_max": 16 << 20,
                "retention": {"age_seconds": null, "bytes": null, "records": null},
            },
        });
        let encoded = meta.encode();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&encoded).unwrap(),
            expected
        );
        assert_eq!(LogMeta::decode(&encoded).unwrap(), meta);
    }

    #[test]
    fn what_is_damaged_or_newer_is_refused() {
        let encoded = LogMeta::new(LogConfig::default()).unwrap().encode();
        for len in 0..encoded.len() {
            let cut = LogMeta::decode(&encoded[..len]);
            assert!(matches!(cut, Err(MetaError::Damaged(_))), "{len}");
        }
        let newer = br#"{"format": 2, "more": true}"#;
        let error = LogMeta::decode(newer).unwrap_err();
        assert!(matches!(error, MetaError::Unsupported { format: 2 }));
    }
}
