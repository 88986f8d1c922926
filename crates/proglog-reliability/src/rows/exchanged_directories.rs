//! Exchanged directories: another log gets the path of one that is open.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use fastrand::Rng;
use proglog_log::{Durability, Error, Log, LogOptions, Retention};

use super::row::Row;
use crate::job::{Found, Job, failed};

pub(super) const ROW: Row = Row {
    number: 19,
    name: "exchanged-directories",
    figure: "operations on a log whose directory was renamed, removed or reached by a link that was switched, with \
             another log at its path, or whose lock file was exchanged: a byte of the other log changed, one that \
             should stop and does not, an acknowledged record lost",
    tried_min: 500,
    controls: &[
        ("directory-found-by-path", &["the other log", "succeeds"]),
        ("moved-directory-not-noticed", &["succeeds"]),
    ],
    needs: &[],
    run,
};

/// The operations on a log that has moved.
const OPERATIONS: u64 = 10;

/// Steady appends are refused within `idle_after`, which is much shorter, once a thread is free.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// The ways in which a log loses its path.
#[derive(Debug, Clone, Copy)]
enum Exchange {
    Renamed,
    LinkSwitched,
    Removed,
    LockExchanged,
}

const EXCHANGES: [Exchange; 4] = [
    Exchange::Renamed,
    Exchange::LinkSwitched,
    Exchange::Removed,
    Exchange::LockExchanged,
];

fn run(job: &Job) -> anyhow::Result<()> {
    let count = job.size(80, 2_000);
    let seeds: Vec<_> = (0..count).map(|number| job.seed << 20 | number).collect();
    job.try_each(&seeds, |seed| {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        one(folder.path(), &mut Rng::with_seed(*seed))
    })
}

fn one(folder: &Path, rng: &mut Rng) -> anyhow::Result<Found> {
    let exchange = EXCHANGES[rng.usize(..EXCHANGES.len())];
    let data = folder.join("data");
    fs::create_dir(folder.join("first"))?;
    symlink("first", &data)?;
    let log = Log::open(&data, &options(rng))?;
    let appended = rng.u64(1..60);
    for offset in 0..appended {
        log.append(value("first", offset))?;
    }
    let left = make(exchange, folder, &data)?;
    let other = match exchange {
        Exchange::LockExchanged => None,
        _ => Some(other(&data)?),
    };
    let mut stopped = operate(&log, rng);
    if !matches!(exchange, Exchange::Removed) {
        stopped = stopped.and_then(|()| reads_all(&log));
    }
    drop(log.close());
    if let Some(other) = other
        && let Err(finding) = other.check(&data)
    {
        return Ok(Err(format!("{exchange:?}: {finding}")));
    }
    let kept = left.map_or(Ok(()), |left| keeps(&left, appended));
    Ok(stopped
        .and(kept)
        .map(|()| OPERATIONS)
        .map_err(|finding| format!("{exchange:?}: {finding}")))
}

fn options(rng: &mut Rng) -> LogOptions {
    let durability = match rng.u8(..3) {
        0 => Durability::Synced,
        1 => Durability::Interval(Duration::from_millis(5)),
        _ => Durability::Buffered,
    };
    let retention = match rng.u8(..3) {
        0 => Retention::new(),
        1 => Retention::new().age(Duration::from_millis(1)),
        _ => Retention::new().records(rng.u64(..20)),
    };
    LogOptions::new()
        .durability(durability)
        .retention(retention)
        .segment_bytes_max(1 << 10)
        .idle_after(Duration::from_millis(5))
}

fn value(log: &str, offset: u64) -> String {
    format!("{log} {offset:>80}")
}

/// Takes the directory or its lock file away; returns where the log is by then.
fn make(exchange: Exchange, folder: &Path, data: &Path) -> anyhow::Result<Option<PathBuf>> {
    let first = folder.join("first");
    match exchange {
        Exchange::Renamed => fs::rename(&first, folder.join("old"))?,
        Exchange::LinkSwitched => fs::remove_file(data)?,
        Exchange::Removed => fs::remove_dir_all(&first)?,
        Exchange::LockExchanged => {
            fs::remove_file(first.join("LOCK"))?;
            fs::write(first.join("LOCK"), "")?;
        }
    }
    match exchange {
        Exchange::Renamed | Exchange::Removed => fs::create_dir(&first)?,
        Exchange::LinkSwitched => {
            fs::create_dir(folder.join("second"))?;
            symlink("second", data)?;
        }
        Exchange::LockExchanged => {}
    }
    Ok(match exchange {
        Exchange::Renamed => Some(folder.join("old")),
        Exchange::LinkSwitched | Exchange::LockExchanged => Some(first),
        Exchange::Removed => None,
    })
}

/// The other log, which is open, and its files.
struct Other {
    log: Log,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

fn other(data: &Path) -> anyhow::Result<Other> {
    let never = LogOptions::new()
        .segment_bytes_max(1 << 10)
        .idle_after(Duration::MAX);
    let log = Log::open(data, &never)?;
    for offset in 0..60 {
        log.append(value("other", offset))?;
    }
    let files = files(data)?;
    Ok(Other { log, files })
}

fn files(data: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        files.insert(path, bytes);
    }
    Ok(files)
}

impl Other {
    fn check(&self, data: &Path) -> Result<(), String> {
        let now = files(data).map_err(|error| format!("the other log is not read: {error:#}"))?;
        if now != self.files {
            return Err("a file of the other log has changed".to_owned());
        }
        self.log
            .append("goes on")
            .map(drop)
            .map_err(|error| format!("the other log is stopped: {error}"))
    }
}

/// Operates on a log that has moved. All that change its files fail, and so does each append after the first of them.
fn operate(log: &Log, rng: &mut Rng) -> Result<(), String> {
    let mut has_stopped = false;
    let mut finding = Ok(());
    for _ in 0..OPERATIONS {
        let end = log.end_offset();
        let (name, done): (_, Result<(), Error>) = match rng.u8(..8) {
            0 => ("trim", log.trim(log.start_offset() + rng.u64(..2))),
            1 => ("truncate", log.truncate(end)),
            2 => ("reset", log.reset(end + 1)),
            3 => ("retention", log.apply_retention().map(drop)),
            4 => ("application data", log.set_application_data(b"first")),
            5 if finding.is_ok() => ("append after append", append_until_refused(log)),
            6 if has_stopped => ("roll", log.roll().map(drop)),
            _ if has_stopped => ("append", log.append("late").map(drop)),
            _ => continue,
        };
        if done.is_ok() {
            // What follows may change the other log, which says more.
            finding = Err(format!("{name} succeeds on a log that has moved"));
        }
        has_stopped = true;
    }
    finding
}

/// Appends until that is refused, which has to come soon.
fn append_until_refused(log: &Log) -> Result<(), Error> {
    let begun = Instant::now();
    while begun.elapsed() < NOTICED_WITHIN {
        log.append("late")?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Checks that a log that has stopped reads all of its records.
fn reads_all(log: &Log) -> Result<(), String> {
    for record in log.records(..) {
        record.map_err(failed)?;
    }
    Ok(())
}

fn end_of(log: &Log) -> u64 {
    log.end_offset().get()
}

/// Checks that the log at `left` ends at or after `appended`, and that its records are what they were.
fn keeps(left: &Path, appended: u64) -> Result<(), String> {
    let log = Log::open(left, &LogOptions::new()).map_err(failed)?;
    if end_of(&log) < appended {
        return Err(format!("{appended} were acknowledged: {:?}", log.offsets()));
    }
    for record in log.records(..appended) {
        let record = record.map_err(failed)?;
        if record.value != value("first", record.offset.get()) {
            return Err(format!("another record at {}", record.offset));
        }
    }
    Ok(())
}
