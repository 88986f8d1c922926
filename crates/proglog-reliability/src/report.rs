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

/// How many characters of a finding stand in a line.
const FINDING_LEN_MAX: usize = 320;

/// A line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// The sabotage that the row was run on, and which it has to catch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<String>,
    pub(crate) seed: u64,
    pub(crate) tried: u64,
    pub(crate) bad: u64,
    /// What was bad first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finding: Option<String>,
    /// Why the row was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// Counted besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) seconds: f64,
    pub(crate) commit: String,
}

impl Line {
    /// Of a row that was not run.
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

    /// Whether something bad was found, and one of these words tells what.
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
        // It has no keys that JSON could not hold.
        println!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

/// As much of a finding as tells what it is.
fn shortened(finding: &str) -> String {
    finding.chars().take(FINDING_LEN_MAX).collect()
}

/// What is known of a row that was run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) row: &'static Row,
    pub(crate) line: Line,
    /// Whether it was repeated with seed after seed.
    pub(crate) is_soak: bool,
    /// The sabotages that it caught.
    pub(crate) caught: Vec<String>,
    /// What is wrong with the row itself.
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

    /// The row does not catch a sabotage.
    pub(crate) fn miss(&mut self, patch: &str, why: &str) {
        eprintln!("{} fails, sabotage {patch}: {why}", self.row.name);
        self.failure = Some(format!("misses {patch}"));
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.line.bad > 0 || self.failure.is_some()
    }
}

/// What was checked, as a version control would say it. To be asked first before anything is written.
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
