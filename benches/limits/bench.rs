//! Amounts, directories and results of a run.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use benches::{Comparison, Effort, Row, Side, grouped, pairs, settle, size_name};
use tempfile::TempDir;

pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The sizes of files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Bytes appended to a log in one measurement: eight segments.
    pub(crate) append_bytes: u64,
    pub(crate) segment_bytes: u64,
    /// Bytes appended to a store in one measurement.
    pub(crate) store_bytes: u64,
    /// Bytes loaded for reads.
    pub(crate) read_bytes: u64,
    /// The most records loaded for reads.
    pub(crate) records_max: u64,
    /// The number of random reads of small records.
    pub(crate) reads: u64,
    /// Durable appends by each of 1, 8 and 64 threads.
    pub(crate) synced_appends: [u64; 3],
    /// The most bytes read at random or appended durably.
    pub(crate) work_bytes_max: u64,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        append_bytes: 512 << 20,
        segment_bytes: 64 << 20,
        store_bytes: 256 << 20,
        read_bytes: 1 << 30,
        records_max: 10_000_000,
        reads: 100_000,
        synced_appends: [2000, 500, 125],
        work_bytes_max: 256 << 20,
    };
    pub(crate) const QUICK: Self = Self {
        append_bytes: 64 << 20,
        segment_bytes: 8 << 20,
        store_bytes: 32 << 20,
        read_bytes: 64 << 20,
        records_max: 1_000_000,
        reads: 20_000,
        synced_appends: [200, 50, 15],
        work_bytes_max: 32 << 20,
    };
    pub(crate) const TEST: Self = Self {
        append_bytes: 2 << 20,
        segment_bytes: 256 << 10,
        store_bytes: 1 << 20,
        read_bytes: 2 << 20,
        records_max: 10_000,
        reads: 100,
        synced_appends: [4, 2, 1],
        work_bytes_max: 2 << 20,
    };

    /// The number of records of `bytes` bytes in `total`, at least one.
    pub(crate) fn count(self, total: u64, bytes: u64) -> u64 {
        (total / bytes).clamp(1, self.records_max)
    }
}

/// A run of the benches.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) scale: Scale,
    /// The most pairs that count, and the fewest.
    pub(crate) pairs: (usize, usize),
    /// The deadline of the run, and the number of rows left.
    pub(crate) end: Instant,
    pub(crate) rows_left: u32,
    /// Parts of the names of works to measure; all if empty.
    pub(crate) works: Vec<String>,
    /// The sizes of records to measure.
    pub(crate) sizes: Vec<u64>,
    pub(crate) rows: Vec<Row>,
}

impl Bench {
    /// Returns whether `work` is selected: by its name, or by a part of it that is not itself a work.
    pub(crate) fn wants(&self, work: &str) -> bool {
        let names = |part: &String| {
            let is_work = super::WORKS.iter().any(|(name, _)| name == part);
            part == work || (!is_work && work.contains(part.as_str()))
        };
        self.works.is_empty() || self.works.iter().any(names)
    }

    pub(crate) fn wants_any(&self, works: &[&str]) -> bool {
        works.iter().any(|work| self.wants(work))
    }

    /// Measures one row in pairs and keeps it. The figure is a rate, or a time in milliseconds.
    pub(crate) fn row(
        &mut self,
        (work, bytes, threads): (&str, u64, u32),
        unit: &str,
        measure: impl FnMut(Side) -> Result<f64>,
    ) -> Result<()> {
        let left = self.end.saturating_duration_since(Instant::now());
        let effort = Effort {
            pairs: self.pairs.0,
            pairs_min: self.pairs.1,
            time: left / self.rows_left.max(1),
        };
        let comparison = pairs(effort, measure)?;
        self.rows_left = self.rows_left.saturating_sub(1);
        let row = Row::against_limit(work, bytes, threads, unit, &comparison);
        print_row(&row, &comparison);
        self.rows.push(row);
        Ok(())
    }
}

/// Prints a row at once, before the table.
fn print_row(row: &Row, comparison: &Comparison) {
    eprintln!(
        "{} of {} by {}: {} {}, {:.2} of the limit (spread {:.2}, pairs: {})",
        row.work,
        size_name(row.bytes),
        row.threads,
        grouped(row.ours),
        row.unit,
        row.ratio,
        row.spread,
        comparison.ours.len()
    );
}

/// A directory for one measurement, created on a quiet disk.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        settle(directory.path())?;
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Deletes the files and syncs the file system.
    pub(crate) fn discard(self) -> Result<()> {
        for entry in fs::read_dir(self.path())? {
            fs::remove_file(entry?.path())?;
        }
        settle(self.path())?;
        Ok(self.0.close()?)
    }
}

/// `count` in `time`, per second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of records")]
    let count = count as f64;
    count / time.as_secs_f64()
}

/// The rate at which `threads` threads, started together, do `work` `each` times.
pub(crate) fn rate_of_threads<E: Error + Send + 'static>(
    threads: u32,
    each: u64,
    work: impl Fn() -> Result<(), E> + Sync,
) -> Result<f64> {
    let all = || (0..each).try_for_each(|_| work());
    if threads == 1 {
        let begun = Instant::now();
        all()?;
        return Ok(rate(each, begun.elapsed()));
    }
    let start = Barrier::new(threads as usize + 1);
    let elapsed = thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                start.wait();
                all()
            })
        };
        let threads = (0..threads).map(spawn).collect::<Vec<_>>();
        start.wait();
        let begun = Instant::now();
        for thread in threads {
            thread.join().expect("the work does not panic")?;
        }
        Ok::<_, E>(begun.elapsed())
    })?;
    Ok(rate(each * u64::from(threads), elapsed))
}
