//! A process that forks while it has a log open. It has done nothing else: the one that starts it may have other locks
//! held, and a runtime for its logs of which a child has no threads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use proglog_log::{Durability, ErrorKind, Log, LogOptions, ReadOnlyLog};
use serde::{Deserialize, Serialize};

use super::fork::in_child;
use super::{itself, limit};
use crate::job::failed;

/// The first argument of the process.
pub(crate) const NAME: &str = "forking";

pub(crate) const DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::from_millis(10)),
    Durability::Buffered,
];

/// Longer than a callback or a sync takes.
const LONG: Duration = Duration::from_secs(10);

/// Longer than the process takes.
const TIME_MAX: Duration = Duration::from_mins(2);

/// Records that a process appends before a fork, and after it.
const RECORDS: u64 = 50;

/// What the process prints if it has found nothing.
const DONE: &str = "done";

/// The options of the process.
#[derive(Debug, Serialize, Deserialize)]
struct Options {
    folder: PathBuf,
    /// One of [`DURABILITIES`].
    durability: usize,
}

/// Runs the process in `folder`, and returns what it has found.
pub(crate) fn run(folder: &Path, durability: usize) -> anyhow::Result<Option<String>> {
    let options = Options {
        folder: folder.to_owned(),
        durability,
    };
    let (output, hangs) = limit::output(&mut itself(NAME, &options)?, TIME_MAX)?;
    if hangs {
        return Ok(Some("a process that has forked hangs".to_owned()));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !printed.is_empty(), "it fails");
    let finding = printed.trim_end();
    Ok((finding != DONE).then(|| finding.to_owned()))
}

/// The process itself.
pub(crate) fn main(options: &str) -> anyhow::Result<ExitCode> {
    let Options { folder, durability } = serde_json::from_str(options)?;
    let durability = DURABILITIES
        .get(durability)
        .context("there is no such durability")?;
    let options = LogOptions::new().durability(*durability);
    let forked = fork_beside(&folder, &options)?;
    println!("{}", forked.err().unwrap_or_else(|| DONE.to_owned()));
    Ok(ExitCode::SUCCESS)
}

/// Forks twice while a log is open, which goes on after.
fn fork_beside(folder: &Path, options: &LogOptions) -> anyhow::Result<Result<(), String>> {
    let path = folder.join("parent");
    let log = Log::open(&path, options)?;
    append(&log)?;
    if let Err(finding) = in_child(|| write(&log))? {
        return Ok(Err(finding));
    }
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

/// Appends to the log of another process, more than its buffers hold, which must change none of its files.
fn write(inherited: &Log) -> Result<(), String> {
    for _ in 0..RECORDS / 10 {
        match inherited.append("x".repeat(600 << 10)) {
            Err(error) if [ErrorKind::Locked, ErrorKind::Poisoned].contains(&error.kind()) => {}
            appended => {
                return Err(format!(
                    "a child writes to the log of its parent: {appended:?}"
                ));
            }
        }
    }
    Ok(())
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
fn check(path: &Path, log: &Log, options: &LogOptions) -> Result<(), String> {
    match Log::open(path, options) {
        Err(error) if error.kind() == ErrorKind::Locked => {}
        opened => return Err(format!("the log was unlocked: {opened:?}")),
    }
    append(log).map_err(failed)?;
    log.close().map_err(failed)?;
    let log = Log::open(path, options).map_err(failed)?;
    let is_clean = log.recovery().clean;
    let records = log.records(..).collect::<proglog_log::Result<Vec<_>>>();
    let expected = (0..RECORDS)
        .chain(0..RECORDS)
        .map(|number| format!("{number}"));
    let is_whole = records
        .map_err(failed)?
        .iter()
        .map(|record| &record.value[..])
        .eq(expected.map(String::into_bytes));
    if is_clean && is_whole {
        Ok(())
    } else {
        Err("the log of the parent is not what it was".to_owned())
    }
}
