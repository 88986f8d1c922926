//! File system calls per record of a reader that follows a writer closely.
//!
//! ```text
//! cargo bench --bench log_follow              # all durabilities
//! cargo bench --bench log_follow -- --test    # the same, with few records
//! ```
//!
//! A counting directory between log and file system distinguishes the reader's calls from the writer's.
//! `in step`, the writer appends a record only when the reader has the previous one, so that no call of
//! the reader can return two records. `free`, both run as fast as they can. The target is fewer than one
//! call of the reader per record.

mod counting;

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use benches::{Table, grouped, payload};
use proglog_log::{Durability, Log, LogOptions};
use proglog_store::io::FsDirectory;

use crate::counting::{CountingDirectory, Counts, Role};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const RECORD_BYTES: usize = 128;
const DURABILITIES: [(&str, Durability, u64); 3] = [
    ("buffered", Durability::Buffered, 200_000),
    ("interval", Durability::INTERVAL, 100_000),
    ("synced", Durability::Synced, 5000),
];

/// The most records that the writer may be ahead of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    InStep,
    Free,
}

fn main() -> Result<()> {
    let small = env::args().any(|argument| argument == "--test");
    let mut table = Table::new(&[
        "durability",
        "pace",
        "records",
        "records/s",
        "reader's calls a record",
        "reads",
        "others",
        "writer's calls a record",
    ]);
    for (name, durability, count) in DURABILITIES {
        for (pace_name, pace) in [("in step", Pace::InStep), ("free", Pace::Free)] {
            let count = if small { count / 100 } else { count };
            let (rate, counts) = measure(durability, pace, count)?;
            #[expect(clippy::cast_precision_loss, reason = "numbers of calls")]
            let each = |calls: u64| format!("{:.3}", calls as f64 / count as f64);
            let reader = counts.of(Role::Reader);
            table.push([
                name.to_owned(),
                pace_name.to_owned(),
                count.to_string(),
                grouped(rate),
                each(reader.reads + reader.others),
                each(reader.reads),
                each(reader.others),
                each(counts.of(Role::Writer).all()),
            ]);
        }
    }
    println!("{table}");
    Ok(())
}

/// Appends and follows; returns the rate and the calls made.
fn measure(durability: Durability, pace: Pace, count: u64) -> Result<(f64, Arc<Counts>)> {
    let path = tempfile::tempdir()?;
    let counts = Arc::new(Counts::default());
    let directory = CountingDirectory::new(FsDirectory::open(path.path())?, Arc::clone(&counts));
    let log = Log::open_in(
        Arc::new(directory),
        &LogOptions::new().durability(durability),
    )?;
    counts.clear();
    let seen = AtomicU64::new(0);
    let begun = Instant::now();
    thread::scope(|scope| -> proglog_log::Result<()> {
        let reader = scope.spawn(|| {
            counting::set_role(Role::Reader);
            follow(&log, count, &seen)
        });
        counting::set_role(Role::Writer);
        let value = payload(RECORD_BYTES);
        for number in 0..count {
            log.append(value.clone())?;
            while pace == Pace::InStep && seen.load(Ordering::Acquire) <= number {
                if reader.is_finished() {
                    break;
                }
                thread::yield_now();
            }
        }
        if durability == Durability::Buffered {
            log.sync()?;
        }
        reader.join().expect("the reader does not panic")
    })?;
    let elapsed = begun.elapsed();
    counting::set_role(Role::Other);
    log.close()?;
    #[expect(clippy::cast_precision_loss, reason = "a number of records")]
    let rate = count as f64 / elapsed.as_secs_f64();
    Ok((rate, counts))
}

/// Reads the records below `count` as soon as they are readable, and publishes how many it has read.
fn follow(log: &Log, count: u64, seen: &AtomicU64) -> proglog_log::Result<()> {
    let mut follower = log.follow(0);
    for next in 0..count {
        let record = follower.next().expect("more is to come")?;
        assert_eq!(record.offset, next);
        seen.store(next + 1, Ordering::Release);
    }
    Ok(())
}
