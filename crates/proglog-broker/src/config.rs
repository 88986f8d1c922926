//! The configuration of a log.

use std::time::Duration;

use proglog_log::{
    Durability as LogDurability, LogOptions, OptionsError, Retention as LogRetention,
};
use serde::{Deserialize, Serialize};

/// The configuration of a log, as it is stored with the log and as clients send it. Fields that are left out have their
/// defaults, and unknown ones are an error.
///
/// ```
/// use proglog_broker::{Durability, LogConfig};
///
/// let config: LogConfig = serde_json::from_str(r#"{"durability": "interval", "retention": {"records": 1000}}"#)?;
/// assert_eq!(config.durability, Durability::Interval);
/// assert_eq!(config.segment_bytes, 64 << 20);
/// assert!(config.validate().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogConfig {
    /// When an append is acknowledged. Default: synced.
    pub durability: Durability,
    /// Of the durability `interval`: the longest time until a sync follows. Default: 1000.
    pub sync_interval_ms: u64,
    /// The size at which the log begins another file. Default: 64 MiB.
    pub segment_bytes: u64,
    /// The largest record, of its value, key and headers. Default: 1 MiB.
    pub record_bytes_max: u64,
    /// The largest batch. Default: 16 MiB.
    pub batch_bytes_max: u64,
    /// Which of its oldest records the log drops. Default: none.
    pub retention: Retention,
}

/// The point at which an append is acknowledged; see [`proglog_log::Durability`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// It is on the device.
    #[default]
    Synced,
    /// The operating system has it, and a sync follows within [`LogConfig::sync_interval_ms`].
    Interval,
    /// It is in memory.
    Buffered,
}

/// The least that a log keeps; see [`proglog_log::Retention`]. Each limit that is set lets old records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Retention {
    /// Records younger than this stay.
    pub age_seconds: Option<u64>,
    /// The newest records stay, up to so many bytes in the files.
    pub bytes: Option<u64>,
    /// So many of the newest records stay.
    pub records: Option<u64>,
}

/// The error for a configuration that no log can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot have this {field}: {reason}")]
#[non_exhaustive]
pub struct InvalidConfig {
    /// The field.
    pub field: &'static str,
    /// What is wrong with its value.
    pub reason: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            sync_interval_ms: 1000,
            segment_bytes: 64 << 20,
            record_bytes_max: 1 << 20,
            batch_bytes_max: 16 << 20,
            retention: Retention::default(),
        }
    }
}

impl LogConfig {
    /// Checks that a log can have this configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] with the first field that has an impossible value.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        if self.sync_interval_ms == 0 {
            return Err(InvalidConfig {
                field: "sync_interval_ms",
                reason: "it must be at least 1".to_owned(),
            });
        }
        let Err(error) = self.options().validate() else {
            return Ok(());
        };
        let field = match error {
            OptionsError::SegmentBytes { .. } => "segment_bytes",
            OptionsError::BatchBytes { .. } => "batch_bytes_max",
            OptionsError::RecordBytes { .. } => "record_bytes_max",
            _ => "config",
        };
        let reason = error.to_string();
        Err(InvalidConfig { field, reason })
    }

    /// Returns whether the configurations differ in nothing but the retention.
    pub(crate) fn has_rest_of(&self, other: &Self) -> bool {
        let retention = other.retention;
        Self {
            retention,
            ..self.clone()
        } == *other
    }

    /// Returns the options that the log is opened with.
    pub fn options(&self) -> LogOptions {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        LogOptions::new()
            .durability(match self.durability {
                Durability::Synced => LogDurability::Synced,
                Durability::Interval => {
                    LogDurability::Interval(Duration::from_millis(self.sync_interval_ms))
                }
                Durability::Buffered => LogDurability::Buffered,
            })
            .segment_bytes_max(self.segment_bytes)
            .record_bytes_max(bytes(self.record_bytes_max))
            .batch_bytes_max(bytes(self.batch_bytes_max))
            .retention(self.retention.policy())
    }
}

impl Retention {
    /// Returns the policy of the log.
    pub fn policy(&self) -> LogRetention {
        let mut policy = LogRetention::new();
        if let Some(seconds) = self.age_seconds {
            policy = policy.age(Duration::from_secs(seconds));
        }
        if let Some(bytes) = self.bytes {
            policy = policy.bytes(bytes);
        }
        if let Some(records) = self.records {
            policy = policy.records(records);
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_with_an_impossible_value_is_named() {
        let invalid = |text: &str| {
            let config = serde_json::from_str::<LogConfig>(text).unwrap();
            config.validate().unwrap_err().field
        };
        assert_eq!(invalid(r#"{"sync_interval_ms": 0}"#), "sync_interval_ms");
        assert_eq!(invalid(r#"{"segment_bytes": 1}"#), "segment_bytes");
        assert_eq!(
            invalid(r#"{"segment_bytes": 18446744073709551615}"#),
            "segment_bytes"
        );
        assert_eq!(
            invalid(r#"{"record_bytes_max": 99999999999}"#),
            "record_bytes_max"
        );
        assert_eq!(
            invalid(r#"{"batch_bytes_max": 9, "record_bytes_max": 10}"#),
            "record_bytes_max"
        );
        assert_eq!(
            invalid(r#"{"batch_bytes_max": 99999999999}"#),
            "batch_bytes_max"
        );
        LogConfig::default().validate().unwrap();
    }

    #[test]
    fn unknown_fields_and_values_are_refused() {
        for text in [
            r#"{"durabilty": "synced"}"#,
            r#"{"durability": "Synced"}"#,
            r#"{"retention": {"age": 1}}"#,
            r#"{"segment_bytes": -1}"#,
            r#"{"segment_bytes": "1"}"#,
        ] {
            assert!(serde_json::from_str::<LogConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_options_of_the_log_are_those_of_the_configuration() {
        let text = r#"{"durability": "interval", "sync_interval_ms": 5, "segment_bytes": 4096, "record_bytes_max": 10,
            "batch_bytes_max": 20, "retention": {"age_seconds": 1, "bytes": 2, "records": 3}}"#;
        let config = serde_json::from_str::<LogConfig>(text).unwrap();
        let retention = LogRetention::new()
            .age(Duration::from_secs(1))
            .bytes(2)
            .records(3);
        let options = LogOptions::new()
            .durability(LogDurability::Interval(Duration::from_millis(5)))
            .segment_bytes_max(4096)
            .record_bytes_max(10)
            .batch_bytes_max(20)
            .retention(retention);
        assert_eq!(format!("{:?}", config.options()), format!("{options:?}"));
        assert_eq!(config.retention.policy(), retention);
    }
}
