//! The sabotages, each tried against the rows and the test that have to catch it.

use std::time::Instant;

use anyhow::Context;

use crate::args::Args;
use crate::report::{Line, Report};
use crate::sabotage::{Copy, Patch, Test, patches};

/// The number of sabotages tried, and of those not caught by everything that has to catch them.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    pub(crate) all: usize,
    pub(crate) missed: usize,
}

/// Tries the sabotages of these rows, and those of tests if `args` ask for all rows. Each is built once.
pub(crate) fn run(reports: &mut [Report], args: &Args) -> anyhow::Result<Tried> {
    let mut tried = Tried::default();
    let mut copy = None;
    for mut patch in patches()? {
        let rows = reports.iter_mut();
        let rows = rows.filter(|report| report.row.words(&patch.name).is_some());
        let rows: Vec<_> = rows.collect();
        if args.rows != ["all"] {
            patch.test = None;
        }
        let is_asked_for = args.sabotages.is_empty() || args.sabotages.contains(&patch.name);
        if !is_asked_for || (rows.is_empty() && patch.test.is_none()) {
            continue;
        }
        let copy = match &mut copy {
            Some(copy) => copy,
            none => none.insert(Copy::new().context("cannot copy the workspace")?),
        };
        tried.all += 1;
        tried.missed += usize::from(!is_caught(copy, &patch, rows, args.seed));
    }
    Ok(tried)
}

/// Tries one sabotage; whether all that have to catch it do.
fn is_caught(copy: &Copy, patch: &Patch, rows: Vec<&mut Report>, seed: u64) -> bool {
    let name = &patch.name;
    let fails = |error: anyhow::Error| format!("{error:#}");
    let built = copy.sabotage(name, !rows.is_empty()).map_err(fails);
    let mut is_caught = true;
    for report in rows {
        let run = |()| run_row(copy, report, name, seed).map_err(fails);
        if let Err(why) = built.clone().and_then(run) {
            eprintln!("{} fails, sabotage {name}: {why}", report.row.name);
            report.failure = Some(format!("misses {name}"));
            is_caught = false;
        } else {
            report.caught.push(name.clone());
        }
    }
    if let Some(test) = &patch.test {
        let run = |()| run_test(copy, test, name).map_err(fails);
        if let Err(why) = built.and_then(run) {
            eprintln!("sabotage {name}: {why}");
            is_caught = false;
        }
    }
    is_caught
}

/// Prints the line of the row, run on the damaged copy; fails unless it finds what it has to.
fn run_row(copy: &Copy, report: &Report, patch: &str, seed: u64) -> anyhow::Result<()> {
    let (line, finding) = copy.run(report.row.name, seed)?;
    let line = Line {
        control: Some(patch.to_owned()),
        commit: report.line.commit.clone(),
        ..line
    };
    line.print();
    let words = report.row.words(patch).unwrap_or_default();
    let is_meant = words.iter().any(|word| finding.contains(word));
    anyhow::ensure!(is_meant, "none of {words:?} is in what is found: {finding}");
    Ok(())
}

/// Prints a line; fails unless the test fails.
fn run_test(copy: &Copy, test: &Test, patch: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    copy.run_test(test)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(r#"{{"name":"{test}","control":"{patch}","bad":1,"seconds":{seconds:.1}}}"#);
    Ok(())
}
