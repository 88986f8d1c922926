//! Threads that append to a log and poll it while calls fail and the power is cut. The results of each thread are
//! compared with those of the others. The names of the anomalies are Jepsen's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, ScopedJoinHandle};

use fastrand::Rng;
use proglog_log::{Batch, ErrorKind, Log, LogOptions, Outcome};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use super::row::Row;
use crate::double;
use crate::job::Job;
use crate::panics::{caught, lock};
use crate::system::known::Known;
use crate::system::values::{parse, value};

/// The anomalies as which each sabotage may show.
const ANOMALIES: &[&str] = &[
    "lost-write",
    "duplicate",
    "inconsistent-offsets",
    "aborted-read",
    "poll-skip",
    "nonmonotonic-poll",
    "nonmonotonic-send",
];

pub(super) const ROW: Row = Row {
    number: 16,
    name: "history",
    figure: "operations of 4 threads over crashes and failed calls: lost-write, duplicate, \
             inconsistent-offsets, aborted-read, poll-skip, nonmonotonic-poll, nonmonotonic-send",
    tried_min: 250_000,
    controls: &[
        ("shown-before-sync", ANOMALIES),
        ("acknowledged-before-sync", ANOMALIES),
        ("given-up-stays", ANOMALIES),
    ],
    needs: &[],
    run,
};

const LIVES: u64 = 4;
const OPERATIONS_PER_THREAD: u64 = 40;
/// The number of records that a poll asks for.
const POLL_LEN: usize = 20;

fn run(job: &Job) -> anyhow::Result<()> {
    let seeds: Vec<_> = (0..job.size(1_000, 3_400))
        .map(|number| job.seed << 20 | number)
        .collect();
    job.each(&seeds, |seed| {
        let mut rng = Rng::with_seed(*seed);
        let mut disk = SimDisk::new();
        let history = History::default();
        for life in 0..LIVES {
            disk = live(&history, &disk, &mut rng)
                .map_err(|finding| format!("seed {seed}, life {life}: {finding}"))?;
        }
        // No call fails from here on.
        lock(&history.known).check_open(&open(&disk)?)?;
        Ok(history.operations.into_inner())
    });
    Ok(())
}

/// One life of a log; returns the disk that is left.
fn live(history: &History, disk: &SimDisk, rng: &mut Rng) -> Result<SimDisk, String> {
    let log = open(disk)?;
    lock(&history.known).check_open(&log)?;
    plan(disk, rng);
    let life = Life {
        history,
        disk,
        log: &log,
        acknowledged: AtomicU64::new(log.end_offset().get()),
    };
    let seeds = [rng.u64(..), rng.u64(..), rng.u64(..), rng.u64(..)];
    let [one, other, poll, look] = seeds;
    thread::scope(|scope| {
        let life = &life;
        let appending =
            [one, other].map(|seed| scope.spawn(move || caught(|| life.append_all(seed))));
        let reading = [
            scope.spawn(move || caught(|| life.poll_all(poll))),
            scope.spawn(move || caught(|| life.look(look))),
        ];
        let threads = appending.into_iter().chain(reading);
        let joined: Vec<_> = threads.map(ScopedJoinHandle::join).collect();
        let ended = joined
            .into_iter()
            .map(|joined| joined.map_err(|_| "a panic".to_owned()).flatten().flatten());
        ended.collect::<Result<(), _>>()
    })?;
    let left = disk.crash(double::survivors(rng));
    drop(log);
    Ok(left)
}

fn open(disk: &SimDisk) -> Result<Log, String> {
    let options = LogOptions::new()
        .segment_bytes_max(6 << 10)
        .idle_after(std::time::Duration::MAX);
    Log::open_in(disk.directory(), &options)
        .map_err(|error| format!("lost-write: the log does not open: {error:?}"))
}

/// Plans a fault.
fn plan(disk: &SimDisk, rng: &mut Rng) {
    let at = disk.calls() + rng.u64(..120);
    match rng.u8(..8) {
        0..4 => disk.inject(
            When::Call(at),
            Fault::crash().after_writing(rng.usize(..200)),
        ),
        4 => disk.inject(
            When::Next(CallKind::Sync, rng.u64(..20)),
            Fault::os_error(5),
        ),
        5 => {
            let full = Fault::error(std::io::ErrorKind::StorageFull);
            let write = When::Next(CallKind::Write, rng.u64(..20));
            disk.inject(write, full.after_writing(rng.usize(..100)));
        }
        6 => disk.inject(When::Call(at), Fault::os_error(5)),
        _ => {}
    }
}

/// The results of all threads, over all lives.
#[derive(Debug, Default)]
struct History {
    next: AtomicU64,
    operations: AtomicU64,
    known: Mutex<Known>,
}

/// A log that is open, and the state that its threads share.
struct Life<'a> {
    history: &'a History,
    disk: &'a SimDisk,
    log: &'a Log,
    /// The end of what was acknowledged (exclusive).
    acknowledged: AtomicU64,
}

impl Life<'_> {
    /// Counts an operation; whether the process still lives.
    fn goes_on(&self) -> bool {
        let goes_on = !self.disk.has_crashed();
        let operations = &self.history.operations;
        operations.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        goes_on
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.history.known)
    }

    fn append_all(&self, seed: u64) -> Result<(), String> {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..OPERATIONS_PER_THREAD {
            if !self.goes_on() {
                return Ok(());
            }
            let count = rng.u64(1..4);
            let first = self.history.next.fetch_add(count, Ordering::Relaxed);
            let ids = first..first + count;
            let batch: Batch = ids.clone().map(|id| value(id, 0)).collect();
            let before = self.acknowledged.load(Ordering::SeqCst);
            match self.log.append_batch(batch) {
                Ok(offsets) => {
                    let end = offsets.end.get();
                    self.acknowledged.fetch_max(end, Ordering::SeqCst);
                    if offsets.start.get() < before {
                        return Err(format!("nonmonotonic-send: {offsets:?} begun at {before}"));
                    }
                    let mut noted = (offsets.start.get()..).zip(ids);
                    noted.try_for_each(|(offset, id)| self.known().note(offset, id))?;
                }
                // Results after the crash reach no process.
                Err(_) if self.disk.has_crashed() => return Ok(()),
                Err(error) => {
                    if error.outcome() == Outcome::NotAppended {
                        ids.into_iter().try_for_each(|id| self.known().refuse(id))?;
                    }
                    if error.kind() == ErrorKind::Poisoned {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads on from its last place, and sometimes from the start.
    fn poll_all(&self, seed: u64) -> Result<(), String> {
        let mut rng = Rng::with_seed(seed);
        let mut next = 0;
        for _ in 0..OPERATIONS_PER_THREAD {
            if !self.goes_on() {
                return Ok(());
            }
            let from = if rng.u8(..8) == 0 { 0 } else { next };
            let acknowledged = self.acknowledged.load(Ordering::SeqCst);
            let (mut expected, mut fails) = (from, false);
            for record in self.log.records(from..).take(POLL_LEN) {
                let record = match record {
                    Ok(record) => record,
                    // It may be this call that fails.
                    Err(error) if error.kind() == ErrorKind::Io => {
                        fails = true;
                        break;
                    }
                    Err(error) => return Err(format!("lost-write: a poll fails: {error:?}")),
                };
                let offset = record.offset.get();
                match offset.cmp(&expected) {
                    std::cmp::Ordering::Greater => {
                        return Err(format!("poll-skip: {offset} after {expected}"));
                    }
                    std::cmp::Ordering::Less => {
                        return Err(format!("nonmonotonic-poll: {offset} after {expected}"));
                    }
                    std::cmp::Ordering::Equal => expected += 1,
                }
                self.known().note(offset, parse(&record.value)?)?;
            }
            if expected < acknowledged.min(from + POLL_LEN as u64) && !fails {
                return Err(format!(
                    "poll-skip: a poll from {from} ends at {expected}, {acknowledged} were acknowledged"
                ));
            }
            next = next.max(expected);
        }
        Ok(())
    }

    /// Reads the end, and a record below it: everything acknowledged before has to be there.
    fn look(&self, seed: u64) -> Result<(), String> {
        let mut rng = Rng::with_seed(seed);
        let mut last = 0;
        for _ in 0..OPERATIONS_PER_THREAD {
            if !self.goes_on() {
                return Ok(());
            }
            let acknowledged = self.acknowledged.load(Ordering::SeqCst);
            let end = self.log.end_offset().get();
            if end < acknowledged {
                return Err(format!(
                    "lost-write: the end is {end}, {acknowledged} were acknowledged"
                ));
            }
            if end < last {
                return Err(format!(
                    "nonmonotonic-poll: the end is {end}, it was {last}"
                ));
            }
            last = end;
            if end > 0 {
                let offset = rng.u64(..end);
                match self.log.read(offset) {
                    Ok(record) => self.known().note(offset, parse(&record.value)?)?,
                    Err(error) if error.kind() == ErrorKind::Io => {}
                    Err(error) => return Err(format!("lost-write: {offset}: {error:?}")),
                }
            }
        }
        Ok(())
    }
}
