//! The sabotages, each tried against the rows and the test that have to catch it.

use std::time::Instant;

use anyhow::Context;

use crate::args::Args;
use crate::report::{Line, Report};
use crate::sabotage::{Copy, Patch, Sabotaged, patches};

/// The number of sabotages tried, and of those not caught by everything that has to catch them.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    pub(crate) all: usize,
    pub(crate) missed: usize,
}

/// Tries the sabotages of these rows, and those of tests if `args` ask for all rows. Each is built once.
pub(crate) fn run(reports: &mut [Report], args: &Args) -> anyhow::Result<Tried> {
    let with_tests = args.rows == ["all"];
    let mut tried = Tried::default();
    let mut copy = None;
    for patch in patches()? {
        let is_asked_for = args.sabotages.is_empty() || args.sabotages.contains(&patch.name);
        let rows = reports
            .iter()
            .any(|report| report.row.words(&patch.name).is_some());
        let test = patch.test.as_deref().filter(|_| with_tests);
        if !is_asked_for || !(rows || test.is_some()) {
            continue;
        }
        let copy = match &mut copy {
            Some(copy) => copy,
            none => none.insert(Copy::new().context("cannot copy the workspace")?),
        };
        tried.all += 1;
        tried.missed += usize::from(!is_caught(copy, &patch, test, reports, args.seed));
    }
    Ok(tried)
}

/// Tries one sabotage; whether all that have to catch it do.
fn is_caught(
    copy: &mut Copy,
    patch: &Patch,
    test: Option<&str>,
    reports: &mut [Report],
    seed: u64,
) -> bool {
    let name = &patch.name;
    let rows = reports
        .iter_mut()
        .filter(|report| report.row.words(name).is_some());
    let rows = rows.collect::<Vec<_>>();
    let sabotaged = match copy.sabotage(name, !rows.is_empty()) {
        Ok(sabotaged) => sabotaged,
        Err(error) => {
            eprintln!("sabotage {name}: {error:#}");
            for report in rows {
                report.miss(name, &format!("{error:#}"));
            }
            return false;
        }
    };
    let mut is_caught = true;
    for report in rows {
        match run_row(&sabotaged, report, name, seed) {
            Ok(()) => report.caught.push(name.clone()),
            Err(error) => {
                report.miss(name, &format!("{error:#}"));
                is_caught = false;
            }
        }
    }
    if let Some(test) = test
        && let Err(error) = run_test(&sabotaged, test, name)
    {
        eprintln!("sabotage {name}: {error:#}");
        is_caught = false;
    }
    is_caught
}

/// Prints the line of the row, run on the damaged copy; fails unless it finds what it has to.
fn run_row(
    sabotaged: &Sabotaged<'_>,
    report: &Report,
    patch: &str,
    seed: u64,
) -> anyhow::Result<()> {
    let line = Line {
        control: Some(patch.to_owned()),
        commit: report.line.commit.clone(),
        ..sabotaged.run(report.row.name, seed)?
    };
    line.print();
    let words = report.row.words(patch).unwrap_or_default();
    line.finds(words).map_err(anyhow::Error::msg)
}

/// Prints a line; fails unless the test fails.
fn run_test(sabotaged: &Sabotaged<'_>, test: &str, patch: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    sabotaged.run_test(test)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(r#"{{"name":"{test}","control":"{patch}","bad":1,"seconds":{seconds:.1}}}"#);
    Ok(())
}
