//! Runs of rows, followed by the sabotages that they have to catch.

use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::controls::{self, Tried};
use crate::job::{Figures, Job};
use crate::panics::{self, caught};
use crate::report::{self, Line, Report};
use crate::rows::{ROWS, Row};
use crate::table;

/// The reports of all rows that were run.
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
    // A later run may write its figures into the table, which changes what Git says.
    LazyLock::force(&report::COMMIT);
    panics::keep();
    let mut results = run_rows(args)?;
    let mut tried = Tried::default();
    if !args.no_controls && !args.until_bad {
        tried = controls::run(&mut results.reports, args)?;
    }
    if args.write {
        table::write(&results.reports)?;
    }
    let failed = results.reports.iter().filter(|report| report.has_failed());
    let (failed, all) = (failed.count(), results.reports.len());
    if !args.until_bad {
        println!(
            "{} passed, {failed} failed, {} skipped",
            all - failed,
            results.skipped
        );
        let Tried { all, missed } = tried;
        println!("{} of {all} sabotages were caught", all - missed);
    }
    Ok(ExitCode::from(u8::from(failed + tried.missed > 0)))
}

fn run_rows(args: &Args) -> anyhow::Result<Results> {
    let mut results = Results::default();
    for row in chosen(&args.rows)? {
        let mut needs = row.needs.iter();
        if let Some(missing) = needs.find_map(|need| need.missing(args)) {
            Line::skipped(row, args, missing).print();
            results.skipped += 1;
        } else if args.sabotages.is_empty() {
            results.reports.push(run_row(row, args));
        } else {
            let nothing = Figures::default();
            let report = Report::new(row, args, &nothing, Duration::ZERO, None);
            results.reports.push(report);
        }
    }
    Ok(results)
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
