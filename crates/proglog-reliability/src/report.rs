//! The result of a row, as a line of JSON.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::job::Figures;
use crate::rows::Row;
use crate::workspace::root;

/// The most characters of a finding in a line.
const FINDING_LEN_MAX: usize = 320;

/// A line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// The sabotage of the copy that the row ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<String>,
    pub(crate) seed: u64,
    pub(crate) tried: u64,
    pub(crate) bad: u64,
    /// The first finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finding: Option<String>,
    /// The reason why the row was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// Counts beside the tries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) seconds: f64,
    pub(crate) commit: String,
}

impl Line {
    /// The line of a row that was skipped.
    pub(crate) fn skipped(row: &Row, args: &Args, why: String) -> Self {
        Self {
            skipped: Some(why),
            ..Self::new(row, args, &Figures::default(), Duration::ZERO)
        }
    }

    fn new(row: &Row, args: &Args, figures: &Figures, elapsed: Duration) -> Self {
        let counts = figures.counts.iter();
        Self {
            name: row.name.to_owned(),
            control: None,
            seed: args.seed,
            tried: figures.tried,
            bad: figures.bad,
            finding: figures.finding.as_deref().map(shortened),
            skipped: None,
            counts: counts.map(|(what, n)| ((*what).to_owned(), *n)).collect(),
            seconds: (elapsed.as_secs_f64() * 10.0).round() / 10.0,
            commit: COMMIT.clone(),
        }
    }

    /// Fails unless the finding contains one of these words.
    pub(crate) fn finds(&self, words: &[&str]) -> Result<(), String> {
        let Some(finding) = &self.finding else {
            return Err("it is not caught".to_owned());
        };
        if words.iter().any(|word| finding.contains(word)) {
            return Ok(());
        }
        Err(format!("none of {words:?} is in what is found: {finding}"))
    }

    pub(crate) fn print(&self) {
        println!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

/// The start of a finding.
fn shortened(finding: &str) -> String {
    finding.chars().take(FINDING_LEN_MAX).collect()
}

/// The result of a row.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) row: &'static Row,
    pub(crate) line: Line,
    /// True for a soak.
    pub(crate) is_soak: bool,
    /// The sabotages that it caught.
    pub(crate) caught: Vec<String>,
    /// The fault of the row itself, if any.
    pub(crate) failure: Option<String>,
}

impl Report {
    pub(crate) fn new(
        row: &'static Row,
        args: &Args,
        figures: &Figures,
        elapsed: Duration,
        failure: Option<String>,
    ) -> Self {
        Self {
            row,
            line: Line::new(row, args, figures, elapsed),
            is_soak: args.soak,
            caught: Vec::new(),
            failure,
        }
    }

    /// Notes that the row does not catch a sabotage.
    pub(crate) fn miss(&mut self, patch: &str, why: &str) {
        eprintln!("{} fails, sabotage {patch}: {why}", self.row.name);
        self.failure = Some(format!("misses {patch}"));
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.line.bad > 0 || self.failure.is_some()
    }
}

/// The commit that is checked, with `+changes` if files differ from it. The first use fixes it.
pub(crate) static COMMIT: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty=+changes",
            "--abbrev=12",
            "--exclude=*",
        ])
        .current_dir(root())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
});
