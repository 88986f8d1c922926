//! The order of syncs: a writer has to sync before it reports a record.

use anyhow::{Context, ensure};

use super::row::Row;
use crate::job::{Found, Job};
use crate::system::Need;
use crate::system::strace::{Call, trace};
use crate::system::writer;

pub(super) const ROW: Row = Row {
    number: 18,
    name: "syncs-per-append",
    figure: "appends of a sequential writer under strace: one that is acknowledged with no sync of the newest segment \
             since the one before, or where a segment got its name with no sync of the directory; \
             no sync of the directory above, in which that one was made before",
    tried_min: 100,
    controls: &[
        ("sync-skipped", &["no sync of the segment"]),
        ("directory-sync-skipped", &["no sync of the directory with"]),
        (
            "directory-above-not-synced",
            &["no sync of the directory above"],
        ),
    ],
    needs: &[Need::Strace],
    run,
};

fn run(job: &Job) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let log = folder.path().join("log");
    std::fs::create_dir(&log)?;
    let options = writer::Options {
        seed: job.seed,
        ..writer::Options::new(&log)
    };
    let (events, trace) = trace(&options, "fsync,fdatasync,write,/^rename", None)?;
    if events.hangs {
        job.one(|| events.check_end().map(|()| 0));
        return Ok(());
    }
    ensure!(events.ended, "the writer did not end: {}", events.errors);
    let calls = &trace.calls;
    let acknowledged: Vec<_> = calls.iter().filter(|call| reports_record(call)).collect();
    let appends = events.acknowledged.len();
    ensure!(
        acknowledged.len() == appends,
        "strace shows {} appends of {appends}",
        acknowledged.len()
    );
    let mut before = None;
    for call in acknowledged {
        job.one(|| check(calls, before, call));
        before = Some(call);
    }
    let count = |is: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count() as u64;
    job.count("segments", count(&|call| names_segment(call).is_some()));
    job.count("syncs of segments", count(&|call| is_sync(call, ".log")));
    job.count(
        "syncs of the directory",
        count(&|call| is_sync(call, "/log")),
    );
    let above = folder.path().to_string_lossy();
    let above = count(&|call| is_sync(call, &above));
    job.count("syncs of the directory above", above);
    if above == 0 {
        job.bad("no sync of the directory above");
    }
    Ok(())
}

/// Checks the calls between two reported records, or before the first one.
fn check(calls: &[Call], before: Option<&Call>, report: &Call) -> Found {
    let begin = before.map_or(0, |before| before.ended);
    let is_synced = |since: usize, suffix: &str| {
        let mut calls = calls.iter();
        calls.any(|call| is_sync(call, suffix) && call.begun >= since && call.ended < report.begun)
    };
    let mut newest = "";
    for call in calls.iter().filter(|call| call.ended < report.begun) {
        let Some(segment) = names_segment(call) else {
            continue;
        };
        newest = segment;
        if call.ended >= begin && !is_synced(call.ended, "/log") {
            return Err(format!(
                "no sync of the directory with {segment} before {}",
                report.arguments
            ));
        }
    }
    if !is_synced(begin, newest) {
        return Err(format!(
            "no sync of the segment {newest:?} before {}",
            report.arguments
        ));
    }
    Ok(1)
}

fn is_sync(call: &Call, suffix: &str) -> bool {
    call.name.ends_with("sync") && call.path.ends_with(suffix)
}

/// True if the writer reports a record by this call.
fn reports_record(call: &Call) -> bool {
    call.name == "write" && call.arguments.contains("\"kept ")
}

/// The path of the segment that gets its name by this call, if any.
fn names_segment(call: &Call) -> Option<&str> {
    let path = call.arguments.rsplit('"').nth(1)?;
    (call.name.starts_with("rename") && path.ends_with(".log")).then_some(path)
}
