//! The table of figures in the crate's README.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::job::Figures;
use crate::report::{Line, Report};

/// The suffix of a soaked row's name: it has a line of its own.
const SOAK: &str = " --soak";

const BEGIN: &str = "<!-- The table is written by the program: begin -->\n";
const END: &str = "<!-- end -->\n";
const HEAD: &str = "\
| # | row | tried, and what is bad | tried | bad | sabotages caught | seconds | seed | commit |
|---|---|---|---|---|---|---|---|---|
";

/// Writes the rows' figures into the table; the lines of other rows stay.
pub(crate) fn write(reports: &[Report], is_soak: bool) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (before, rest) = text.split_once(BEGIN).context("the table has no begin")?;
    let (table, after) = rest.split_once(END).context("the table has no end")?;
    let mut rows: BTreeMap<(u8, bool), String> = table.lines().filter_map(keyed).collect();
    for report in reports {
        let suffix = if is_soak { SOAK } else { "" };
        rows.insert((report.row.number, is_soak), line(report, suffix));
    }
    let rows: String = rows.into_values().map(|row| row + "\n").collect();
    let written = [before, BEGIN, HEAD, &rows, END, after].concat();
    fs::write(&path, written).with_context(|| format!("cannot write {}", path.display()))
}

/// A line of the table, by the row's number and whether it was soaked.
fn keyed(line: &str) -> Option<((u8, bool), String)> {
    let mut cells = line.split('|').skip(1);
    let number = cells.next()?.trim().parse().ok()?;
    let is_soak = cells.next()?.contains(SOAK);
    Some(((number, is_soak), line.to_owned()))
}

fn line(report: &Report, suffix: &str) -> String {
    let (row, Line { figures, .. }) = (report.row, &report.line);
    let Figures { tried, bad, .. } = figures;
    let mut figure = row.figure.to_owned();
    for (what, number) in &figures.counts {
        _ = write!(figure, "; {number} {what}");
    }
    let caught = report.caught.join(", ");
    let failure = report.failure.as_deref();
    let failure = failure.map_or(String::new(), |why| format!(" **failed: {why}**"));
    format!(
        "| {} | `{}{suffix}` | {figure} | {tried} | {bad}{failure} | {caught} | {} | {} | {} |",
        row.number, row.name, report.line.seconds, report.line.seed, report.line.commit,
    )
}
