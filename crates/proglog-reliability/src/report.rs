//! What is told of a row: a line of JSON, and a row of the table in `RELIABILITY.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::copy::workspace;
use crate::job::Figures;
use crate::rows::Row;

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
    is_soak: bool,
    /// The sabotages that it caught.
    pub(crate) caught: Vec<&'static str>,
    /// What is wrong with the row itself.
    failure: Option<String>,
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

    fn table_row(&self) -> String {
        let Line {
            seed,
            tried,
            bad,
            seconds,
            commit,
            counts,
            ..
        } = &self.line;
        let row = self.row;
        let mut figure = row.figure.to_owned();
        for (what, number) in counts {
            _ = write!(figure, "; {number} {what}");
        }
        let caught = self.caught.join(", ");
        let failure = self.failure.as_deref();
        let failure = failure.map_or(String::new(), |why| format!(" **failed: {why}**"));
        format!(
            "| {} | `{}{}` | {figure} | {tried} | {bad}{failure} | {caught} | {seconds} | {seed} | {commit} |",
            row.number,
            row.name,
            if self.is_soak { SOAK } else { "" },
        )
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
        .current_dir(workspace())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
});

/// What a repeated row has behind its name: it has a row of the table of its own.
const SOAK: &str = " --soak";

const BEGIN: &str = "<!-- The table is written by the program: begin -->\n";
const END: &str = "<!-- end -->\n";

/// Writes the rows' figures into the table of `RELIABILITY.md`; those of other rows stay.
pub(crate) fn write(reports: &[Report]) -> anyhow::Result<()> {
    let path = workspace().join("RELIABILITY.md");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (before, rest) = text.split_once(BEGIN).context("the table has no begin")?;
    let (table, after) = rest.split_once(END).context("the table has no end")?;
    let mut rows: BTreeMap<(u8, bool), String> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').skip(1);
            let number = cells.next()?.trim().parse().ok()?;
            let is_soak = cells.next()?.contains(SOAK);
            Some(((number, is_soak), line.to_owned()))
        })
        .collect();
    for report in reports {
        rows.insert((report.row.number, report.is_soak), report.table_row());
    }
    let mut written = format!("{before}{BEGIN}");
    written.push_str("| # | row | tried, and what is bad | tried | bad | sabotages caught | seconds | seed | commit |\n");
    written.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for row in rows.values() {
        written.push_str(row);
        written.push('\n');
    }
    written.push_str(END);
    written.push_str(after);
    fs::write(&path, written).with_context(|| format!("cannot write {}", path.display()))
}
