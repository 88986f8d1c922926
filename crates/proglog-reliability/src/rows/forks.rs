//! Forks of a process that has a log open.

use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use proglog_log::{Durability, ErrorKind, Log, LogOptions, ReadOnlyLog};

use super::row::Row;
use crate::job::{Found, Job, failed};
use crate::system::fork::in_child;
use crate::system::quick_folder;

pub(super) const ROW: Row = Row {
    number: 22,
    name: "forks",
    figure: "processes that are forked while a log is open: one that closes or unlocks the log of its parent, or that \
             has no callbacks or no syncs in the background for a log of its own; a record of the parent lost",
    tried_min: 6,
    controls: &[
        (
            "child-closes",
            &["closes the log of its parent", "unlocked"],
        ),
        ("threads-inherited", &["no callback"]),
    ],
    needs: &[],
    run,
};

/// Longer than a callback or a sync takes.
const LONG: Duration = Duration::from_secs(10);

/// Records that a process appends before a fork, and after it.
const RECORDS: u64 = 50;

const DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::from_millis(10)),
    Durability::Buffered,
];

fn run(job: &Job) -> anyhow::Result<()> {
    for _ in 0..job.size(2, 100) {
        // One after the other: a child has only the thread that forked, and others may hold locks then.
        for durability in DURABILITIES {
            if job.is_over() {
                return Ok(());
            }
            let options = LogOptions::new().durability(durability);
            let folder = quick_folder()?;
            let found = fork_beside(folder.path(), &options)?;
            job.one(|| found.map_err(|finding| format!("{durability:?}: {finding}")));
        }
    }
    Ok(())
}

/// Forks while a log is open, which goes on after.
fn fork_beside(folder: &Path, options: &LogOptions) -> anyhow::Result<Found> {
    let path = folder.join("parent");
    let log = Log::open(&path, options)?;
    append(&log)?;
    // The child drops the only handle that it has.
    let mut inherited = Some(log);
    let forked = in_child(|| {
        let log = inherited.take().ok_or("there is no log")?;
        leave(log)?;
        use_own(&folder.join("child"), options)
    })?;
    let log = inherited.take().context("the parent has lost its log")?;
    Ok(forked.and_then(|()| check(&path, &log, options)))
}

/// Appends as many records as each process does.
fn append(log: &Log) -> proglog_log::Result<()> {
    (0..RECORDS).try_for_each(|number| log.append(format!("{number}")).map(drop))
}

/// Closes and drops the log of another process, which must do nothing.
fn leave(inherited: Log) -> Result<(), String> {
    match inherited.close() {
        Err(error) if error.kind() == ErrorKind::Locked => {
            drop(inherited);
            Ok(())
        }
        closed => Err(format!("a child closes the log of its parent: {closed:?}")),
    }
}

/// Opens a log, and waits for a callback and for the sync once it is idle.
fn use_own(path: &Path, options: &LogOptions) -> Result<(), String> {
    let log = Log::open(path, options).map_err(failed)?;
    append(&log).map_err(failed)?;
    let (sender, called) = channel();
    let ticket = log.submit("with a callback").map_err(failed)?;
    ticket.on_complete(move |outcome| _ = sender.send(outcome));
    let outcome = called.recv_timeout(LONG);
    outcome
        .map_err(|_| "no callback comes in a child")?
        .map_err(failed)?;
    let reader = ReadOnlyLog::open(path).map_err(failed)?;
    let begun = Instant::now();
    while reader.refresh().map_err(failed)? < log.end_offset() {
        if begun.elapsed() > LONG {
            return Err("the log of a child is never synced".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    }
    log.close().map_err(failed)
}

/// Checks that the log is still locked, takes more records, and has all.
fn check(path: &Path, log: &Log, options: &LogOptions) -> Found {
    match Log::open(path, options) {
        Err(error) if error.kind() == ErrorKind::Locked => {}
        opened => return Err(format!("the log was unlocked: {opened:?}")),
    }
    append(log).map_err(failed)?;
    log.close().map_err(failed)?;
    let log = Log::open(path, options).map_err(failed)?;
    let is_clean = log.recovery().clean;
    let records = log.records(..).collect::<Result<Vec<_>, _>>();
    let expected = (0..RECORDS)
        .chain(0..RECORDS)
        .map(|number| format!("{number}"));
    let is_whole = records
        .map_err(failed)?
        .iter()
        .map(|record| &record.value[..])
        .eq(expected.map(String::into_bytes));
    if is_clean && is_whole {
        Ok(1)
    } else {
        Err("the log of the parent is not what it was".to_owned())
    }
}
