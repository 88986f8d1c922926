//! Time to open a closed log, and memory of a growing log.
//!
//! ```text
//! cargo bench --bench log_open              # everything, at full size: 11 GiB of disk
//! cargo bench --bench log_open -- open      # the time to open 1 GiB of 1 KiB records
//! cargo bench --bench log_open -- memory    # 10 million and 100 million records of 16 B
//! cargo bench --bench log_open -- load      # 10 GiB, appended, scanned and read at once
//! cargo bench --bench log_open -- --test    # everything, small
//! ```
//!
//! `open` loads a log without waiting for syncs, closes it, and opens and closes it repeatedly, with the
//! files in the page cache. `memory` appends each number of records in a separate process, which reports
//! its peak resident memory (`VmHWM`) and its anonymous memory at the end (`RssAnon`). `load` reports the
//! peak anonymous memory of a process that appends 10 GiB while it scans the log and reads it at random,
//! without keeping records. Memory is available on Linux only.

mod load;

use std::env;
use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::{Usage, mebibytes, payload};
use proglog_log::{Batch, Durability, Log, LogOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The most that opening a log of a gibibyte should take.
const TARGET: Duration = Duration::from_millis(2);
const OPENINGS: usize = 101;
const BATCH_LEN: usize = 100;

fn main() -> Result<()> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    if let [word, count] = &arguments[..] {
        match word.as_str() {
            "append" => return append_and_tell(count.parse()?),
            load::CHILD => return load::child(count.parse()?),
            _ => {}
        }
    }
    let small = arguments.iter().any(|argument| argument == "--test");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| {
        filter.is_none_or(|filter| {
            filter == name || format!("log_open/{name}").starts_with(filter.as_str())
        })
    };
    if wanted("open") {
        open(if small { 16 << 20 } else { 1 << 30 })?;
    }
    if wanted("memory") {
        let counts = [10_000_000, 100_000_000];
        memory(counts.map(|count| if small { count / 100 } else { count }))?;
    }
    if wanted("load") {
        load::run(if small { 64 << 20 } else { 10 << 30 })?;
    }
    Ok(())
}

fn open(bytes: usize) -> Result<()> {
    const RECORD_BYTES: usize = 1 << 10;
    let directory = tempfile::tempdir()?;
    let options = LogOptions::new().durability(Durability::Buffered);
    let log = Log::open(directory.path(), &options)?;
    append(&log, RECORD_BYTES, bytes / RECORD_BYTES)?;
    log.close()?;

    let mut times = Vec::new();
    for _ in 0..OPENINGS {
        let begun = Instant::now();
        let log = Log::open(directory.path(), &LogOptions::new())?;
        times.push(begun.elapsed());
        assert!(log.recovery().clean);
        log.close()?;
    }
    times.sort_unstable();
    let median = times[OPENINGS / 2];
    let (least, most) = (times[0], times[OPENINGS - 1]);
    println!(
        "log_open/open: {} MiB of {RECORD_BYTES} B records open in {median:.3?} \
         (median of {OPENINGS}, {least:.3?} to {most:.3?}); target: under {TARGET:?}",
        bytes >> 20
    );
    Ok(())
}

fn memory(counts: [usize; 2]) -> Result<()> {
    for count in counts {
        let output = Command::new(env::current_exe()?)
            .args(["append", &count.to_string()])
            .output()?;
        let report = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        println!(
            "log_open/memory: {count} records of 16 B: {}",
            report.trim()
        );
    }
    Ok(())
}

/// The child: appends `records` records and prints the memory that it took.
fn append_and_tell(count: usize) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = LogOptions::new().durability(Durability::Buffered);
    let log = Log::open(directory.path(), &options)?;
    let begun = Instant::now();
    append(&log, 16, count)?;
    let elapsed = begun.elapsed();
    let usage = Usage::now();
    println!(
        "peak {}, anonymous {}, appended in {elapsed:.1?}",
        mebibytes(usage.peak_bytes),
        mebibytes(usage.anonymous_bytes)
    );
    log.close()?;
    Ok(())
}

fn append(log: &Log, record_bytes: usize, count: usize) -> Result<()> {
    let value = payload(record_bytes);
    let mut left = count;
    while left > 0 {
        let now = left.min(BATCH_LEN);
        let batch = (0..now).map(|_| value.clone()).collect::<Batch>();
        log.append_batch(batch)?;
        left -= now;
    }
    Ok(())
}
