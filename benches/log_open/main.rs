//! How long a closed log takes to open, and how much memory a log takes as it grows.
//!
//! ```text
//! cargo bench -p benches --bench log_open              # both, at full size: 5 GiB of disk
//! cargo bench -p benches --bench log_open -- open      # the time to open 1 GiB of 1 KiB records
//! cargo bench -p benches --bench log_open -- memory    # 10 million and 100 million records of 16 B
//! cargo bench -p benches --bench log_open -- --test    # both, small
//! ```
//!
//! `open` loads a log without waiting for syncs, closes it, and opens and closes it again and again:
//! the files are in the page cache. `memory` appends in a process of its own for each number of
//! records, which tells the most memory that was resident in it (`VmHWM`) and what of it was its own
//! at the end (`RssAnon`). Linux alone tells them.

use std::env;
use std::error::Error;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::payload;
use proglog_log::{Batch, Durability, Log, Options};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The most that opening a log of a gibibyte should take.
const TARGET: Duration = Duration::from_millis(2);
const OPENINGS: usize = 101;
const BATCH_LEN: usize = 100;

fn main() -> Result<()> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    if let [word, count] = &arguments[..]
        && word == "append"
    {
        return append_and_tell(count.parse()?);
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
    Ok(())
}

fn open(bytes: usize) -> Result<()> {
    const RECORD_BYTES: usize = 1 << 10;
    let directory = tempfile::tempdir()?;
    let options = Options::new().durability(Durability::Buffered);
    let log = Log::open(directory.path(), &options)?;
    append(&log, RECORD_BYTES, bytes / RECORD_BYTES)?;
    log.close()?;

    let mut times = Vec::new();
    for _ in 0..OPENINGS {
        let begun = Instant::now();
        let log = Log::open(directory.path(), &Options::new())?;
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
        let told = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        println!("log_open/memory: {count} records of 16 B: {}", told.trim());
    }
    Ok(())
}

/// The child: appends so many records and writes what memory it took.
fn append_and_tell(count: usize) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = Options::new().durability(Durability::Buffered);
    let log = Log::open(directory.path(), &options)?;
    let begun = Instant::now();
    append(&log, 16, count)?;
    let elapsed = begun.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.map_or("not told by this system".to_owned(), |value| {
            value.split_whitespace().collect::<Vec<_>>().join(" ")
        })
    };
    println!(
        "peak {}, anonymous {}, appended in {elapsed:.1?}",
        of("VmHWM:"),
        of("RssAnon:")
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
