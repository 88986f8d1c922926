//! Resources of many logs in one process: 10,000 open, 100 of them busy.
//!
//! ```text
//! cargo bench --bench log_many              # 10,000 logs
//! cargo bench --bench log_many -- 1000      # 1,000 logs
//! cargo bench --bench log_many -- --test    # 50 logs
//! ```
//!
//! Prints the threads, descriptors and anonymous memory of the process, and the disk space of its files:
//! while the logs are idle, while some are appended to, and when these are idle again. The busy logs are
//! appended to in turn, a record of 1 KiB at a time, with durability `interval`. Each log has a first
//! record, so that it has an index and a segment with data. Threads, descriptors and memory are available
//! on Linux only.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use benches::{Table, Usage, grouped, mebibytes, payload};
use proglog_log::{Durability, Log, LogOptions};
use rlimit::Resource;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RECORD_BYTES: usize = 1 << 10;
const APPENDS: usize = 200_000;
/// Time until all logs are idle: longer than [`LogOptions::idle_after`] and the syncs.
const REST: Duration = Duration::from_secs(5);
/// The most descriptors of an idle log.
const DESCRIPTORS_EACH: u64 = 3;
/// Descriptors of the process beside those of idle logs, including those of busy ones.
const DESCRIPTORS_SPARE: u64 = 300;

fn main() -> Result<()> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let small = arguments.iter().any(|argument| argument == "--test");
    let named = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = match named {
        Some(count) => count.parse()?,
        None if small => 50,
        None => 10_000,
    };
    let count = wanted.min(logs_that_fit(wanted)?);
    if count < wanted {
        println!("this process may not open enough files: {count} logs instead of {wanted}");
    }
    let busy = (count / 100).max(2);
    let appends = if small { APPENDS / 100 } else { APPENDS };

    let mut table = Table::new(&["logs", "threads", "descriptors", "anonymous", "on disk"]);
    let directory = tempfile::tempdir()?;
    show(&mut table, "none is open", directory.path())?;
    let begun = Instant::now();
    let logs = (0..count)
        .map(|number| open(&directory.path().join(number.to_string())))
        .collect::<Result<Vec<_>>>()?;
    let opened = begun.elapsed();
    thread::sleep(REST);
    show(&mut table, &format!("{count} idle"), directory.path())?;
    let begun = Instant::now();
    let value = payload(RECORD_BYTES);
    for number in 0..appends {
        logs[number % busy].append(value.clone())?;
    }
    let appended = begun.elapsed();
    show(
        &mut table,
        &format!("{busy} of {count} busy"),
        directory.path(),
    )?;
    thread::sleep(REST);
    show(
        &mut table,
        &format!("{busy} of {count} idle again"),
        directory.path(),
    )?;
    for log in &logs {
        log.close()?;
    }
    show(&mut table, "all are closed", directory.path())?;
    println!("{table}");
    #[expect(clippy::cast_precision_loss, reason = "a number of appends")]
    let rate = grouped(appends as f64 / appended.as_secs_f64());
    println!("log_many: {count} made in {opened:.1?}; {rate} appends/s over {busy} logs in turn");
    Ok(())
}

/// The number of logs that this process can have open, by the descriptors of one. Raises the limit to that of
/// `wanted` logs, the hard limit too if permitted, or as far as the system allows.
fn logs_that_fit(wanted: usize) -> Result<usize> {
    let needed = wanted as u64 * DESCRIPTORS_EACH + DESCRIPTORS_SPARE;
    // Raising the hard limit needs privileges; without them it stays.
    let limit = match Resource::NOFILE.set(needed, needed) {
        Ok(()) => needed,
        Err(_) => rlimit::increase_nofile_limit(needed)?,
    };
    let directory = tempfile::tempdir()?;
    let before = Usage::now().descriptors;
    let log = open(directory.path())?;
    let each = Usage::now().descriptors.zip(before);
    let each = each.map_or(DESCRIPTORS_EACH, |(after, before)| after - before);
    log.close()?;
    Ok(usize::try_from(
        limit.saturating_sub(DESCRIPTORS_SPARE) / each.max(1),
    )?)
}

fn open(path: &Path) -> Result<Log> {
    let log = Log::open(path, &LogOptions::new().durability(Durability::INTERVAL))?;
    log.append("first")?;
    Ok(log)
}

fn show(table: &mut Table, logs: &str, directory: &Path) -> Result<()> {
    let usage = Usage::now();
    let number =
        |number: Option<u64>| number.map_or("unknown".to_owned(), |number| number.to_string());
    table.push([
        logs.to_owned(),
        number(usage.threads),
        number(usage.descriptors),
        mebibytes(usage.anonymous_bytes),
        mebibytes(Some(disk_bytes(directory)?)),
    ]);
    Ok(())
}

/// The disk space of all files of the logs, which may differ from their lengths.
fn disk_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for log in fs::read_dir(directory)? {
        for file in fs::read_dir(log?.path())? {
            bytes += space(&file?.metadata()?);
        }
    }
    Ok(bytes)
}

#[cfg(unix)]
fn space(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn space(file: &fs::Metadata) -> u64 {
    file.len()
}
