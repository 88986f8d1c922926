//! Reads that return instead of waiting, beside those that wait: of records of 1 KiB that are in the page cache.
//!
//! ```text
//! cargo bench --bench log_try_read
//! cargo bench --bench log_try_read -- --test # as a smoke test
//! ```
//!
//! Each row compares two ways to read the same records, in pairs: `try_read` with `read` on the same thread, both for a
//! record at random and for a page of 100, and with a `read` that another thread makes for this one, which is what async
//! code does otherwise.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use benches::{Effort, Random, Side, Table, grouped, median, pairs, payload};
use proglog_log::{Batch, Durability, Log, LogOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RECORD_BYTES: usize = 1 << 10;
/// Records of a page.
const PAGE: usize = 100;

/// Amounts of a run.
#[derive(Debug, Clone, Copy)]
struct Scale {
    records: u64,
    /// Records that are read in one measurement.
    reads: u64,
    effort: Effort,
}

const FULL: Scale = Scale {
    records: 64 << 10,
    reads: 50_000,
    effort: Effort {
        pairs: 40,
        pairs_min: 10,
        time: Duration::from_secs(20),
    },
};
const TEST: Scale = Scale {
    records: 1000,
    reads: 200,
    effort: Effort::ONCE,
};

/// Reads as many records as it is asked to.
type Reading = fn(&Log, Random, Scale) -> Result<()>;

/// A work, the way that tries, and the other one.
const WORKS: [(&str, Reading, Reading); 3] = [
    ("a record, on this thread", try_read, read),
    ("100 records, on this thread", try_read_page, read_page),
    ("a record, by another thread", try_read, read_elsewhere),
];

fn main() -> Result<()> {
    let is_test = env::args().any(|argument| argument == "--test");
    let scale = if is_test { TEST } else { FULL };
    let directory = tempfile::tempdir()?;
    let log = load(directory.path(), scale)?;
    let mut table = Table::new(&["read", "try_read/s", "read/s", "ratio", "spread"]);
    for (name, ours, other) in WORKS {
        let compared = pairs(scale.effort, |side| {
            let way = if side == Side::Ours { ours } else { other };
            let begun = Instant::now();
            way(&log, Random::new(1), scale)?;
            #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
            let rate = scale.reads as f64 / begun.elapsed().as_secs_f64();
            Ok::<_, Box<dyn Error>>(rate)
        })?;
        table.push([
            name.to_owned(),
            grouped(median(&compared.ours)),
            grouped(median(&compared.other)),
            format!("{:.2}", compared.ratio()),
            format!("{:.2}", compared.spread()),
        ]);
    }
    println!("{table}");
    Ok(log.close()?)
}

/// A log that was closed and opened again, all of which is in memory.
fn load(path: &Path, scale: Scale) -> Result<Log> {
    let options = LogOptions::new().durability(Durability::Buffered);
    let log = Log::open(path, &options)?;
    for _ in 0..scale.records / PAGE as u64 {
        log.append_batch(
            vec![payload(RECORD_BYTES); PAGE]
                .into_iter()
                .collect::<Batch>(),
        )?;
    }
    log.close()?;
    let log = Log::open(path, &options)?;
    for offset in log.offsets() {
        log.read(offset)?;
    }
    Ok(log)
}

fn try_read(log: &Log, mut random: Random, scale: Scale) -> Result<()> {
    for _ in 0..scale.reads {
        let offset = random.below(log.len());
        black_box(match log.try_read(offset)? {
            Some(record) => record,
            // The system needed the memory.
            None => log.read(offset)?,
        });
    }
    Ok(())
}

fn read(log: &Log, mut random: Random, scale: Scale) -> Result<()> {
    for _ in 0..scale.reads {
        black_box(log.read(random.below(log.len()))?);
    }
    Ok(())
}

/// Reads each record by another thread, and waits for it.
fn read_elsewhere(log: &Log, mut random: Random, scale: Scale) -> Result<()> {
    let (ask, asked) = sync_channel(1);
    let (answer, answered) = sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            for offset in asked {
                if answer.send(log.read(offset)).is_err() {
                    break;
                }
            }
        });
        for _ in 0..scale.reads {
            ask.send(random.below(log.len()))?;
            black_box(answered.recv()??);
        }
        drop(ask);
        Ok(())
    })
}

fn try_read_page(log: &Log, mut random: Random, scale: Scale) -> Result<()> {
    for _ in 0..scale.reads / PAGE as u64 {
        let offset = random.below(log.len());
        black_box(match log.try_read_batch(offset, PAGE, 16 << 20)? {
            Some(records) => records,
            None => log.read_batch(offset, PAGE, 16 << 20)?,
        });
    }
    Ok(())
}

fn read_page(log: &Log, mut random: Random, scale: Scale) -> Result<()> {
    for _ in 0..scale.reads / PAGE as u64 {
        black_box(log.read_batch(random.below(log.len()), PAGE, 16 << 20)?);
    }
    Ok(())
}
