//! Report of an opening.

use std::fmt;
use std::time::Duration;

use crate::offset::{Offset, Offsets};

/// Report of what opening a log found and did.
///
/// As text it is one sentence without a full stop, for a program's own log.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, LogOptions};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// assert_eq!(log.recovery().to_string(), "opened cleanly with no records, at offset 0");
/// log.append_batch(["a", "b"])?;
/// log.close()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// assert_eq!(log.recovery().to_string(), "opened cleanly with records 0..2");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Recovery {
    /// True if all of the log was known to be synced: it was closed, or idle when its process ended. A log
    /// that was just created is clean too.
    pub clean: bool,
    /// Offsets of the log's records.
    pub records: Offsets,
    /// End offset (exclusive) of the records that were known to be on the device; all records are now.
    pub recovery_point: Offset,
    /// Torn bytes at the end of the newest segment, copied to a file. They are most likely a batch that was never
    /// acknowledged, but cannot be distinguished from damage to the newest acknowledged records.
    pub set_aside: Option<SetAside>,
    /// Bytes of zeros that were removed from the end of the newest segment: preallocated space, or space that
    /// the file system left after a crash.
    pub zeros_removed: u64,
    /// First damage below the recovery point. Only the part of the log that was scanned counts; other damage
    /// shows when it is read. Records elsewhere are readable.
    pub damaged: Option<Damage>,
    /// True if one copy of the newest segment's header was damaged, and was restored from the other.
    pub header_restored: bool,
    /// Number of segments whose index was missing or unusable, and was rebuilt.
    pub indexes_rebuilt: usize,
    /// How far the date of the newest record lies ahead of the system's clock, if by a second or more: one of the
    /// two is wrong. Records that are appended get the same date until the clock has passed it. Ages count from
    /// the opening at the latest; see [`Retention::age`](crate::Retention::age).
    pub dated_ahead: Option<Duration>,
    /// Left-over files, which hold no records of the log: temporary ones, and segments of which all records are trimmed,
    /// and which were not removed since their header is damaged.
    pub left_over: Vec<String>,
    /// Time that opening took.
    pub elapsed: Duration,
}

/// Torn bytes that opening removed from a segment and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SetAside {
    /// The name of the file that holds them, in the log's directory.
    pub file: String,
    /// Where they were, in bytes from the start of the segment's file.
    pub byte: u64,
    /// Their number; zeros at the end are not kept.
    pub bytes: u64,
    /// The names of the segment's oldest set-aside files, which were removed to keep no more than
    /// [`LogOptions::set_aside_files_max`](crate::LogOptions::set_aside_files_max). Copy such files elsewhere to keep
    /// them.
    pub removed: Vec<String>,
}

/// Damage that opening met.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Damage {
    /// The name of the segment's file, in the log's directory.
    pub file: String,
    /// Where it is, in bytes from the start of the file.
    pub byte: u64,
}

impl SetAside {
    fn fmt_sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, bytes, .. } = self;
        write!(
            f,
            "; {bytes} bytes after the last whole batch were moved to {file}"
        )?;
        match &*self.removed {
            [] => Ok(()),
            [name] => write!(f, ", and the oldest such file, {name}, was removed"),
            names => write!(
                f,
                ", and the oldest such files, {}, were removed",
                names.join(", ")
            ),
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.clean {
            "opened cleanly with "
        } else {
            "recovered after a crash: "
        })?;
        if self.records.is_empty() {
            write!(f, "no records, at offset {}", self.records.end)?;
        } else {
            write!(f, "records {}", self.records)?;
        }
        if let Some(torn) = &self.set_aside {
            torn.fmt_sentence(f)?;
        }
        if let Some(Damage { file, byte }) = &self.damaged {
            write!(f, "; {file} is damaged at byte {byte}")?;
        }
        if self.header_restored {
            f.write_str("; a damaged copy of the newest segment's header was restored")?;
        }
        match self.indexes_rebuilt {
            0 => {}
            1 => f.write_str("; 1 index was rebuilt")?,
            rebuilt => write!(f, "; {rebuilt} indexes were rebuilt")?,
        }
        if let Some(ahead) = self.dated_ahead {
            let seconds = ahead.as_secs();
            write!(
                f,
                "; the newest record is dated {seconds} s ahead of the clock"
            )?;
        }
        match &*self.left_over {
            [] => Ok(()),
            [name] => write!(f, "; the file {name} is left over"),
            names => write!(f, "; the files {} are left over", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery(clean: bool) -> Recovery {
        Recovery {
            clean,
            records: Offsets::new(0, 1204),
            recovery_point: Offset::new(1204),
            set_aside: None,
            zeros_removed: 0,
            damaged: None,
            header_restored: false,
            indexes_rebuilt: 0,
            dated_ahead: None,
            left_over: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn set_aside(removed: &[&str]) -> SetAside {
        SetAside {
            file: "a.torn-7".into(),
            byte: 7,
            bytes: 10,
            removed: removed.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    const RECOVERED: &str = "recovered after a crash: records 0..1204";

    #[test]
    fn a_report_is_one_sentence() {
        let clean = recovery(true).to_string();
        assert_eq!(clean, "opened cleanly with records 0..1204");
        let damaged = Recovery {
            set_aside: Some(set_aside(&[])),
            damaged: Some(Damage {
                file: "a.log".into(),
                byte: 3,
            }),
            indexes_rebuilt: 2,
            ..recovery(false)
        };
        let found = "; 10 bytes after the last whole batch were moved to a.torn-7; \
                     a.log is damaged at byte 3; 2 indexes were rebuilt";
        assert_eq!(damaged.to_string(), format!("{RECOVERED}{found}"));
    }

    #[test]
    fn a_report_names_the_files_that_were_removed() {
        let removed = |names: &[&str]| {
            let set_aside = Some(set_aside(names));
            let recovery = recovery(false);
            Recovery {
                set_aside,
                ..recovery
            }
            .to_string()
        };
        let moved = "; 10 bytes after the last whole batch were moved to a.torn-7, and the oldest such file";
        assert_eq!(
            removed(&["a.torn-1"]),
            format!("{RECOVERED}{moved}, a.torn-1, was removed")
        );
        assert_eq!(
            removed(&["a.torn-1", "a.torn-2"]),
            format!("{RECOVERED}{moved}s, a.torn-1, a.torn-2, were removed")
        );
    }

    #[test]
    fn a_report_names_what_is_odd_and_does_no_harm() {
        let mut recovery = Recovery {
            header_restored: true,
            indexes_rebuilt: 1,
            dated_ahead: Some(Duration::from_millis(3500)),
            left_over: vec!["b.log.tmp".into()],
            ..recovery(false)
        };
        let found = "; a damaged copy of the newest segment's header was restored; 1 index was rebuilt; \
                     the newest record is dated 3 s ahead of the clock; the file";
        assert_eq!(
            recovery.to_string(),
            format!("{RECOVERED}{found} b.log.tmp is left over")
        );
        recovery.left_over.push("c.log.tmp".into());
        assert_eq!(
            recovery.to_string(),
            format!("{RECOVERED}{found}s b.log.tmp, c.log.tmp are left over")
        );
    }
}
