//! Runs rows, and the sabotages that they have to catch.

use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::args::Args;
use crate::copy::Copy;
use crate::job::{Figures, Job};
use crate::panics::{self, caught};
use crate::report::{self, Line, Report};
use crate::rows::{ROWS, Row};

/// What became of the rows.
#[derive(Debug, Default)]
struct Results {
    reports: Vec<Report>,
    skipped: usize,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.rows == ["list"] {
        for row in ROWS {
            println!("{:>2} {}: {}", row.number, row.name, row.figure);
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Before another run writes its figures into the table.
    LazyLock::force(&report::COMMIT);
    panics::keep();
    let mut results = Results::default();
    for row in chosen(&args.rows)? {
        if let Some(missing) = row.needs.iter().find_map(|need| need.missing()) {
            Line::skipped(row, args, missing.clone()).print();
            results.skipped += 1;
        } else {
            results.reports.push(run_row(row, args));
        }
    }
    if !args.no_controls && !args.until_bad {
        run_controls(&mut results.reports, args.seed)?;
    }
    if args.write {
        report::write(&results.reports)?;
    }
    let failed = results.reports.iter().filter(|report| report.has_failed());
    let (failed, all) = (failed.count(), results.reports.len());
    if !args.until_bad {
        println!(
            "{} passed, {failed} failed, {} skipped",
            all - failed,
            results.skipped
        );
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// The rows of these names or numbers, in their own order.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    if names == ["all"] {
        return Ok(ROWS.iter().collect());
    }
    let is = |row: &Row, name: &String| row.name == name || row.number.to_string() == *name;
    if let Some(unknown) = names
        .iter()
        .find(|name| !ROWS.iter().any(|row| is(row, name)))
    {
        let known = ROWS.iter().map(|row| row.name).collect::<Vec<_>>();
        anyhow::bail!("there is no row {unknown:?}, only all and {known:?}");
    }
    let wanted = |row: &&Row| names.iter().any(|name| is(row, name));
    Ok(ROWS.iter().filter(wanted).collect())
}

fn run_row(row: &'static Row, args: &Args) -> Report {
    let begun = Instant::now();
    let mut figures = Figures::default();
    let mut broken = None;
    let minutes = if args.soak { args.minutes } else { 0 };
    for seed in args.seed.. {
        let job = Job::new(seed, args);
        let ran = caught(|| (row.run)(&job)).and_then(|ran| ran.map_err(|e| format!("{e:#}")));
        figures.add(job.into_figures());
        if let Err(error) = ran {
            eprintln!("{} cannot be run: {error}", row.name);
            broken = Some(error);
        }
        let is_over = args.until_bad && figures.bad > 0;
        if is_over || broken.is_some() || begun.elapsed() >= Duration::from_mins(minutes) {
            break;
        }
    }
    if figures.tried < row.tried_min && broken.is_none() && !args.until_bad {
        eprintln!(
            "{}: only {} were tried, of {}",
            row.name, figures.tried, row.tried_min
        );
        broken = Some("too few were tried".to_owned());
    }
    let report = Report::new(row, args, &figures, begun.elapsed(), broken);
    report.line.print();
    report
}

/// Runs each sabotage against all rows that have to catch it: building takes longer than running.
fn run_controls(reports: &mut [Report], seed: u64) -> anyhow::Result<()> {
    let patches = reports
        .iter()
        .flat_map(|report| report.row.controls)
        .map(|(patch, _)| *patch)
        .collect::<std::collections::BTreeSet<_>>();
    if patches.is_empty() {
        return Ok(());
    }
    let mut copy = Copy::new().context("cannot copy the workspace")?;
    for patch in patches {
        let of_patch = reports.iter_mut().filter_map(|report| {
            let mut controls = report.row.controls.iter();
            let (_, words) = controls.find(|control| control.0 == patch)?;
            Some((report, *words))
        });
        let sabotaged = copy.sabotage(patch);
        for (report, words) in of_patch {
            let line = match &sabotaged {
                Ok(sabotaged) => sabotaged.run(report.row.name, seed),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            match line {
                Ok(line) => {
                    let line = Line {
                        control: Some(patch.to_owned()),
                        commit: report.line.commit.clone(),
                        ..line
                    };
                    line.print();
                    match line.finds(words) {
                        Ok(()) => report.caught.push(patch),
                        Err(why) => report.miss(patch, &why),
                    }
                }
                Err(error) => report.miss(patch, &format!("{error:#}")),
            }
        }
    }
    Ok(())
}
