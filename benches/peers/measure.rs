//! Measurement of one system at one work, in a separate process: leftover memory and threads of a system do
//! not affect others.

use std::fs;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use benches::{Random, quantile, settle};
use serde::{Deserialize, Serialize};

use crate::data::{Check, Values};
use crate::system::{Context, Duration, Instant, Purpose, Result, Setup, System};
use crate::systems::With;

/// Records per batch in `log/append-batch100`.
const BATCH_LEN: usize = 100;
/// Bytes per batch while loading a log for scans and openings.
pub(crate) const LOAD_BATCH_BYTES: usize = 1 << 20;
/// Durable appends before the clock starts.
const WARM_UP_SYNCED: u64 = 200;
/// The time of buffered appends to a discarded log before the clock starts.
const WARM_UP: Duration = Duration::from_millis(30);
/// The most appends between two readings of the clock.
const STRIDE_BYTES: usize = 64 << 10;

/// A step of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Append,
    AppendBatches,
    AppendSynced,
    Scan,
    Read,
    /// Loads a log with durable appends and closes it.
    Load,
    /// Loads a log with durable appends, says so, and waits to be killed.
    LoadAndWait,
    /// Opens the loaded log.
    Reopen,
    /// Counts the records that a damaged log returns, or -1 if one of them is wrong.
    ShowDamaged,
}

/// A measurement: step, amounts and directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) system: String,
    pub(crate) step: Step,
    /// The directory; the log is in `log` below it.
    pub(crate) directory: PathBuf,
    pub(crate) record_bytes: usize,
    pub(crate) threads: u32,
    /// Bytes per batch while loading a log.
    pub(crate) load_batch_bytes: usize,
    /// The most records to append, or the records in the log.
    pub(crate) records: u64,
    /// The most reads.
    pub(crate) reads: u64,
    /// The most time for appends or random reads.
    pub(crate) time: Duration,
}

/// The result of a measurement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Records per second, or milliseconds.
    pub(crate) figure: f64,
    /// The median and the 99th percentile of an operation's time, in microseconds.
    pub(crate) quantiles_us: Option<[f64; 2]>,
    /// The number of threads that the system started.
    pub(crate) threads_started: usize,
}

impl With for &Task {
    type Output = Result<Measured>;

    fn with<S: System>(self) -> Self::Output {
        let run = Run::<S>::new(self);
        let (figure, quantiles_us) = match self.step {
            Step::Append => (run.append(1)?, None),
            Step::AppendBatches => (run.append(BATCH_LEN)?, None),
            Step::AppendSynced => run.append_synced()?,
            Step::Scan => (run.scan()?, None),
            Step::Read => run.read()?,
            Step::Load | Step::LoadAndWait => (run.load()?, None),
            Step::Reopen => (run.reopen()?, None),
            Step::ShowDamaged => (run.show_damaged()?, None),
        };
        Ok(Measured {
            figure,
            quantiles_us,
            threads_started: run.threads_started.into_inner(),
        })
    }
}

/// The number of threads of this process, on Linux.
fn count_threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

struct Run<'a, S> {
    task: &'a Task,
    directory: PathBuf,
    values: Arc<Values>,
    /// The number of threads observed.
    threads_started: AtomicUsize,
    system: PhantomData<S>,
}

impl<'a, S: System> Run<'a, S> {
    fn new(task: &'a Task) -> Self {
        let batch_len_max = BATCH_LEN.max(task.load_batch_bytes / task.record_bytes);
        Self {
            task,
            directory: task.directory.join("log"),
            values: Arc::new(Values::new(task.record_bytes, batch_len_max)),
            threads_started: AtomicUsize::new(0),
            system: PhantomData,
        }
    }

    fn setup<'s>(&self, directory: &'s Path, purpose: Purpose) -> Setup<'s> {
        Setup {
            directory,
            record_bytes: self.task.record_bytes,
            purpose,
        }
    }

    fn open(&self, purpose: Purpose) -> Result<S> {
        fs::create_dir_all(&self.directory)?;
        S::open(&self.setup(&self.directory, purpose))
    }

    fn note_threads(&self, before: usize) {
        let started = count_threads().saturating_sub(before);
        self.threads_started.store(started, Ordering::Relaxed);
    }

    /// Appends one by one or in batches; returns their number and time.
    fn appended(&self, system: &mut S, batch_len: usize, time: Duration) -> Result<(u64, f64)> {
        let stride = (STRIDE_BYTES / (self.task.record_bytes * batch_len)).max(1);
        let mut until_look = 0;
        let mut in_turn = self.values.in_turn();
        let mut left = self.task.records;
        let begun = Instant::now();
        // More values, until there are enough or the time is up.
        let mut next = || {
            if until_look == 0 {
                until_look = stride;
                if begun.elapsed() >= time {
                    return None;
                }
            }
            until_look -= 1;
            let len = usize::try_from(left).map_or(batch_len, |left| batch_len.min(left));
            left -= len as u64;
            (len > 0).then(|| in_turn.next(len))
        };
        let end = if batch_len == 1 {
            system.append_each(std::iter::from_fn(|| next()?.first()))?
        } else {
            system.append_batches(std::iter::from_fn(next))?
        };
        let appended = self.task.records - left;
        Ok((appended, end.duration_since(begun).as_secs_f64()))
    }

    /// Checks that the log has exactly the appended records, from 0 to `records`.
    fn check(&self, records: u64) -> Result<()> {
        let check = Check::in_order(&self.values);
        let seen = check.clone();
        let setup = self.setup(&self.directory, Purpose::Read);
        S::scan(&setup, move |record| seen.see(record))?;
        check.finish(std::slice::from_ref(&(0..records)))
    }

    fn append(&self, batch_len: usize) -> Result<f64> {
        let warm = self.task.directory.join("warm-up");
        fs::create_dir(&warm)?;
        let mut system = S::open(&self.setup(&warm, Purpose::Buffered))?;
        self.appended(&mut system, batch_len, WARM_UP)?;
        system.close()?;
        fs::remove_dir_all(&warm)?;

        let threads_before = count_threads();
        let mut system = self.open(Purpose::Buffered)?;
        settle(&self.task.directory)?;
        let (records, seconds) = self.appended(&mut system, batch_len, self.task.time)?;
        self.note_threads(threads_before);
        system.close()?;
        self.check(records)?;
        Ok(rate(records, seconds))
    }

    fn append_synced(&self) -> Result<(f64, Option<[f64; 2]>)> {
        let threads_before = count_threads();
        let system = self.open(Purpose::Synced)?;
        let threads = u64::from(self.task.threads);
        let warm_up = WARM_UP_SYNCED.min(self.task.records) / threads;
        let mut numbers = Vec::new();
        self.append_in_threads(&system, 0, warm_up, &mut numbers)?;
        // Preallocated space is on the device before the clock starts.
        settle(&self.task.directory)?;
        let each = self.task.records / threads;
        let begun = Instant::now();
        let latencies = self.append_in_threads(&system, warm_up, each, &mut numbers)?;
        let elapsed = begun.elapsed().as_secs_f64();
        // The appending threads have ended.
        self.note_threads(threads_before);
        system.close()?;

        let check = Check::in_any_order(&self.values);
        let seen = check.clone();
        let setup = self.setup(&self.directory, Purpose::Read);
        S::scan(&setup, move |record| seen.see(record))?;
        check.finish(&numbers)?;
        let figure = rate(latencies.len() as u64, elapsed);
        Ok((figure, Some(quantiles_us(&latencies))))
    }

    /// Each thread appends up to `each` records from number `first` on, one by one, until the time is
    /// up. Returns how long each append took.
    fn append_in_threads(
        &self,
        system: &S,
        first: u64,
        each: u64,
        numbers: &mut Vec<Range<u64>>,
    ) -> Result<Vec<f64>> {
        let barrier = Barrier::new(self.task.threads as usize);
        let append = |thread| -> Result<(u64, Vec<f64>)> {
            barrier.wait();
            let begun = Instant::now();
            let mut latencies = Vec::new();
            let mut number = first;
            while number < first + each && begun.elapsed() < self.task.time {
                let batch = self.values.batch(number, 1);
                let begun = Instant::now();
                system.append_synced(thread, batch)?;
                latencies.push(begun.elapsed().as_secs_f64());
                number += 1;
            }
            Ok((number, latencies))
        };
        let mut all = Vec::new();
        std::thread::scope(|scope| {
            let threads = (0..self.task.threads)
                .map(|thread| scope.spawn(move || append(thread)))
                .collect::<Vec<_>>();
            for thread in threads {
                let appended = thread.join();
                let (end, latencies) = appended.expect("no thread has panicked")?;
                numbers.push(first..end);
                all.extend(latencies);
            }
            Ok(all)
        })
    }

    fn scan(&self) -> Result<f64> {
        let mut system = self.open(Purpose::Buffered)?;
        let (records, _) = self.appended(&mut system, self.scan_batch_len(), Duration::MAX)?;
        system.close()?;
        self.check(records)?;
        let seen = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&seen);
        let setup = self.setup(&self.directory, Purpose::Read);
        let elapsed = S::scan(&setup, move |record| {
            black_box(record);
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        })?;
        let seen = seen.load(Ordering::Relaxed);
        anyhow::ensure!(seen == records, "{seen} records instead of {records}");
        Ok(rate(records, elapsed.as_secs_f64()))
    }

    /// Batches are fastest for systems that store them whole, and do not slow others.
    fn scan_batch_len(&self) -> usize {
        (self.task.load_batch_bytes / self.task.record_bytes).clamp(1, BATCH_LEN)
    }

    fn read(&self) -> Result<(f64, Option<[f64; 2]>)> {
        let mut system = self.open(Purpose::Buffered)?;
        // One by one: a system that stores batches whole would read them whole.
        let (records, _) = self.appended(&mut system, 1, Duration::MAX)?;
        system.close()?;
        self.check(records)?;

        let system = self.open(Purpose::Read)?;
        let mut random = Random::new(1);
        let reads = self.task.reads;
        let mut numbers = (0..).map(|_| random.below(records));
        // Warms up the caches, the systems' own included, and checks the values.
        for number in numbers.by_ref().take(usize::try_from(reads)?) {
            let mut right = false;
            system.read(number, |record| right = self.values.of(number) == record)?;
            anyhow::ensure!(right, "record {number} is not what was appended");
        }
        let begun = Instant::now();
        let mut done = 0;
        while done < reads && begun.elapsed() < self.task.time {
            let stride = (reads - done).min(64);
            for number in numbers.by_ref().take(usize::try_from(stride)?) {
                system.read(number, |record| {
                    black_box(record);
                })?;
            }
            done += stride;
        }
        let figure = rate(done, begun.elapsed().as_secs_f64());
        // Separately, since reading the clock takes time too.
        let mut latencies = Vec::new();
        for number in numbers.take(usize::try_from(done)?) {
            let begun = Instant::now();
            system.read(number, |record| {
                black_box(record);
            })?;
            latencies.push(begun.elapsed().as_secs_f64());
        }
        system.close()?;
        Ok((figure, Some(quantiles_us(&latencies))))
    }

    fn load(&self) -> Result<f64> {
        let system = self.open(Purpose::Synced)?;
        let batch_len = (self.task.load_batch_bytes / self.task.record_bytes).max(1) as u64;
        let begun = Instant::now();
        let mut number = 0;
        while number < self.task.records {
            let len = batch_len.min(self.task.records - number);
            let batch = self.values.batch(number, usize::try_from(len)?);
            system.append_synced(0, batch)?;
            number += len;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        if self.task.step == Step::LoadAndWait {
            println!("loaded");
            io::stdout().flush()?;
            // Blocks until the process is killed.
            io::stdin().read_exact(&mut [0]).context("not killed")?;
        }
        system.close()?;
        Ok(rate(number, elapsed))
    }

    fn show_damaged(&self) -> Result<f64> {
        let check = Check::in_any_order(&self.values);
        let seen = check.clone();
        let setup = self.setup(&self.directory, Purpose::Read);
        S::scan(&setup, move |record| seen.see(record))?;
        Ok(match check.wrong() {
            Some(_) => -1.0,
            None => rate(check.records(), 1.0),
        })
    }

    fn reopen(&self) -> Result<f64> {
        let begun = Instant::now();
        let system = self.open(Purpose::Read)?;
        let elapsed = begun.elapsed();
        system.close()?;
        self.check(self.task.records)?;
        Ok(elapsed.as_secs_f64() * 1e3)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "there are fewer than 2^52 records"
)]
fn rate(records: u64, seconds: f64) -> f64 {
    records as f64 / seconds
}

fn quantiles_us(latencies: &[f64]) -> [f64; 2] {
    [0.5, 0.99].map(|at| quantile(latencies, at) * 1e6)
}
