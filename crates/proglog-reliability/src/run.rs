//! Runs of rows, followed by the sabotages that they have to catch.

use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::controls::{self, Tried};
use crate::job::{Figures, Job};
use crate::panics::{self, caught};
use crate::report::{COMMIT, Line, Report};
use crate::rows::{ROWS, Row};
use crate::table;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.rows == ["list"] {
        for row in ROWS {
            println!("{:>2} {}: {}", row.number, row.name, row.figure);
        }
        return Ok(ExitCode::SUCCESS);
    }
    // A later run may write its figures into the table, which changes what Git says.
    LazyLock::force(&COMMIT);
    panics::keep();
    let rows = chosen(&args.rows)?;
    let mut reports: Vec<_> = rows.iter().filter_map(|row| run_row(row, args)).collect();
    let mut tried = Tried::default();
    if !args.no_controls && !args.until_bad {
        tried = controls::run(&mut reports, args)?;
    }
    if args.write {
        table::write(&reports, args.soak)?;
    }
    let failed = reports.iter().filter(|report| report.has_failed()).count();
    if !args.until_bad {
        let (passed, skipped) = (reports.len() - failed, rows.len() - reports.len());
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        let Tried { all, missed } = tried;
        println!("{} of {all} sabotages were caught", all - missed);
    }
    Ok(ExitCode::from(u8::from(failed + tried.missed > 0)))
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

/// Runs a row, unless the machine lacks something or only sabotages are asked for. A row that was skipped has no report.
fn run_row(row: &'static Row, args: &Args) -> Option<Report> {
    let begun = Instant::now();
    let line = |figures| Line::new(row, args.seed, figures, begun.elapsed());
    let skipped = row.needs.iter().find_map(|need| need.missing(args));
    if skipped.is_some() {
        let line = line(Figures::default());
        Line { skipped, ..line }.print();
        return None;
    }
    let mut job = Job::new(args);
    let mut failure = None;
    if args.sabotages.is_empty() {
        failure = repeat(row, &mut job, args, begun).err();
        if let Some(why) = &failure {
            eprintln!("{} cannot be run: {why}", row.name);
        }
    }
    let report = Report {
        row,
        line: line(job.figures()),
        caught: Vec::new(),
        failure,
    };
    if args.sabotages.is_empty() {
        report.line.print();
    }
    Some(report)
}

/// Runs a row once, or a soak with one seed after another. The error is one of the row itself.
fn repeat(row: &Row, job: &mut Job, args: &Args, begun: Instant) -> Result<(), String> {
    let minutes = if args.soak { args.minutes } else { 0 };
    loop {
        caught(|| (row.run)(job))?.map_err(|error| format!("{error:#}"))?;
        let figures = job.figures();
        if args.until_bad && figures.bad > 0 {
            return Ok(());
        }
        if begun.elapsed() >= Duration::from_mins(minutes) {
            let tried = figures.tried;
            let is_enough = tried >= row.tried_min || args.until_bad;
            let too_few = || format!("only {tried} were tried, of {}", row.tried_min);
            return is_enough.then_some(()).ok_or_else(too_few);
        }
        job.seed += 1;
    }
}
