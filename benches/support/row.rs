//! Results as lines of JSON.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::pairs::Comparison;
use crate::stats::median;

/// Our figure for one kind of work and size, beside the limit's or a peer's in the same run.
///
/// ```json
/// {"work":"store/append","bytes":128,"threads":1,"ours":1.2e7,"limit":1.4e7,"ratio":0.86,"spread":0.03,"unit":"records/s"}
/// {"work":"store/append","bytes":128,"threads":1,"peer":"okaywal","ours":1.2e7,"theirs":8e6,"ratio":1.5,"spread":0.1,"unit":"records/s"}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The work: `log/append`.
    pub work: String,
    /// The size of a record's value, in bytes.
    pub bytes: u64,
    /// The number of threads.
    pub threads: u32,
    /// The peer, or absent for the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The median of our figures.
    pub ours: f64,
    /// The median of the limit's figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The median of the peer's figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<f64>,
    /// Our performance relative to the other, pair by pair: 1 is equal, more is better.
    pub ratio: f64,
    /// The [`spread`](crate::spread) of the ratios.
    pub spread: f64,
    /// The unit of the figures: `records/s`, where more is better, or `ms`, where less is.
    pub unit: String,
    /// The median time of an operation in microseconds, where each was timed: the peer's if there is one, or
    /// else ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// The 99th percentile, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
}

impl Row {
    /// Creates a row against the limit. `unit` is `records/s` or `ms`.
    #[must_use]
    pub fn against_limit(
        work: &str,
        bytes: u64,
        threads: u32,
        unit: &str,
        comparison: &Comparison,
    ) -> Self {
        let limit = Some(median(&comparison.other));
        Self {
            limit,
            ..Self::new(work, bytes, threads, unit, comparison)
        }
    }

    /// Creates a row against a peer.
    #[must_use]
    pub fn against_peer(
        work: &str,
        bytes: u64,
        threads: u32,
        peer: &str,
        unit: &str,
        comparison: &Comparison,
    ) -> Self {
        Self {
            peer: Some(peer.to_owned()),
            theirs: Some(median(&comparison.other)),
            ..Self::new(work, bytes, threads, unit, comparison)
        }
    }

    fn new(work: &str, bytes: u64, threads: u32, unit: &str, comparison: &Comparison) -> Self {
        let ratio = comparison.ratio();
        Self {
            work: work.to_owned(),
            bytes,
            threads,
            peer: None,
            ours: median(&comparison.ours),
            limit: None,
            theirs: None,
            ratio: if unit.ends_with("/s") {
                ratio
            } else {
                1.0 / ratio
            },
            spread: comparison.spread(),
            unit: unit.to_owned(),
            p50_us: None,
            p99_us: None,
        }
    }

    /// Returns the other figure: the limit's or the peer's.
    #[must_use]
    pub fn other(&self) -> Option<f64> {
        self.limit.or(self.theirs)
    }
}

/// Writes `rows` to the file at `path`, one per line.
///
/// # Errors
///
/// Fails if the file cannot be written.
pub fn write_rows(path: impl AsRef<Path>, rows: &[Row]) -> io::Result<()> {
    let mut lines = String::new();
    for row in rows {
        lines += &serde_json::to_string(row)?;
        lines.push('\n');
    }
    fs::write(path, lines)
}

/// Reads rows written by [`write_rows`].
///
/// # Errors
///
/// Fails if the file cannot be read, or if a line is not a row.
pub fn read_rows(path: impl AsRef<Path>) -> io::Result<Vec<Row>> {
    let lines = fs::read_to_string(path)?;
    let rows = lines.lines().map(|line| Ok(serde_json::from_str(line)?));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison() -> Comparison {
        Comparison {
            ours: vec![9.0, 9.0, 18.0],
            other: vec![10.0, 12.0, 10.0],
        }
    }

    #[test]
    fn a_row_is_one_line_with_its_fields_in_this_order() {
        let row = Row::against_limit("log/read", 1024, 4, "records/s", &comparison());
        let line =
            r#"{"work":"log/read","bytes":1024,"threads":4,"ours":9.0,"limit":10.0,"ratio":0.9,"#;
        let written = serde_json::to_string(&row).unwrap();
        assert!(written.starts_with(line), "{written}");
        assert!(written.ends_with(r#","unit":"records/s"}"#), "{written}");
    }

    #[test]
    fn a_time_that_is_shorter_makes_a_ratio_above_one() {
        let row = Row::against_peer("log/reopen-clean", 1024, 1, "other", "ms", &comparison());
        assert_eq!((row.ours, row.theirs), (9.0, Some(10.0)));
        assert!((row.ratio - 1.0 / 0.9).abs() < 1e-9, "{}", row.ratio);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rows = [
            Row::against_limit("a", 1, 1, "records/s", &comparison()),
            Row::against_peer("b", 2, 8, "other", "ms", &comparison()),
        ];
        write_rows(file.path(), &rows).unwrap();
        assert_eq!(read_rows(file.path()).unwrap(), rows);
    }
}
