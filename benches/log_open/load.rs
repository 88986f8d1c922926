//! Memory of a large log under concurrent appends, scans and random reads.

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::{Random, Usage, mebibytes, payload, size_name};
use proglog_log::{Batch, Durability, Log, LogOptions};

use crate::Result;

/// The most anonymous memory that the process should take.
const TARGET_BYTES: u64 = 64 << 20;
const RECORD_BYTES: usize = 1 << 10;
const BATCH_LEN: usize = 100;
/// The interval of memory samples.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The argument that makes the process a child.
pub(crate) const CHILD: &str = "load-child";

/// Runs a child process that loads a log of `bytes` bytes, and prints its report.
pub(crate) fn run(bytes: u64) -> Result<()> {
    let child = Command::new(env::current_exe()?)
        .args([CHILD, &bytes.to_string()])
        .output()?;
    if !child.status.success() {
        return Err(String::from_utf8_lossy(&child.stderr).into());
    }
    print!("{}", String::from_utf8(child.stdout)?);
    Ok(())
}

/// The child: one thread appends `bytes` bytes, one scans repeatedly, one reads at random, and this one
/// samples the memory.
pub(crate) fn child(bytes: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let log = Log::open(
        directory.path(),
        &LogOptions::new().durability(Durability::Buffered),
    )?;
    let begun = Instant::now();
    let before = Usage::now().anonymous_bytes;
    let done = AtomicBool::new(false);
    let (scanned, read) = (AtomicU64::new(0), AtomicU64::new(0));
    let most = thread::scope(|scope| -> Result<_> {
        let threads = [
            scope.spawn(|| append(&log, bytes, &done)),
            scope.spawn(|| scan(&log, &done, &scanned)),
            scope.spawn(|| read_at_random(&log, &done, &read)),
        ];
        let mut most = None;
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            most = most.max(Usage::now().anonymous_bytes);
            thread::sleep(LOOK_EVERY);
        }
        for thread in threads {
            thread.join().expect("no thread panics")?;
        }
        Ok(most)
    })?;
    println!(
        "log_open/load: {} of {RECORD_BYTES} B records appended in {:.1?}, while {} were \
         scanned and {} read at random: at most {} of anonymous memory ({} before); target: below \
         {}: {}",
        size_name(bytes),
        begun.elapsed(),
        scanned.into_inner(),
        read.into_inner(),
        mebibytes(most),
        mebibytes(before),
        mebibytes(Some(TARGET_BYTES)),
        match most {
            Some(most) if most < TARGET_BYTES => "reached",
            Some(_) => "not reached",
            None => "not known",
        }
    );
    Ok(log.close()?)
}

fn append(log: &Log, bytes: u64, done: &AtomicBool) -> proglog_log::Result<()> {
    let value = payload(RECORD_BYTES);
    let batches = bytes.div_ceil((RECORD_BYTES * BATCH_LEN) as u64);
    let appended = (0..batches).try_for_each(|_| {
        let batch = (0..BATCH_LEN).map(|_| value.clone()).collect::<Batch>();
        log.append_batch(batch).map(drop)
    });
    done.store(true, Ordering::Release);
    appended
}

fn scan(log: &Log, done: &AtomicBool, scanned: &AtomicU64) -> proglog_log::Result<()> {
    while !done.load(Ordering::Acquire) {
        for record in log.records(0..) {
            black_box(record?);
            scanned.fetch_add(1, Ordering::Relaxed);
            if done.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    Ok(())
}

fn read_at_random(log: &Log, done: &AtomicBool, read: &AtomicU64) -> proglog_log::Result<()> {
    let mut random = Random::new(1);
    while !done.load(Ordering::Acquire) {
        let end = log.end_offset().get();
        if end > 0 {
            black_box(log.read(random.below(end))?);
            read.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
