//! Every call at which a workload can stop, and every disk that can be left.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use proglog_store::testing::{Call, CallKind, Fault, SimDisk, Survivors, When};

use super::history::{Checked, End, History, Violation};
use super::workload::{Run, Workload};

/// The number of cores that every machine is assumed to have.
const THREADS: usize = 2;

/// Pending changes are tried in each combination up to this many.
const EXHAUSTIVE_BITS: usize = 10;

/// Spreads `number` over all 64 bits.
pub fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Does `work` on each of `tasks`, and returns the sum of what it returns.
///
/// # Panics
///
/// With the first violation that `work` returns.
pub fn sum_over<T: Sync>(tasks: &[T], work: impl Fn(&T) -> Checked<usize> + Sync) -> usize {
    let (next, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let violation = Mutex::new(None::<Violation>);
    let run = || {
        let _guard = StopAtPanic(&stop);
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(task) {
                _ if stop.load(Ordering::Relaxed) => return,
                Ok(count) => _ = sum.fetch_add(count, Ordering::Relaxed),
                Err(found) => {
                    stop.store(true, Ordering::Relaxed);
                    *violation.lock().expect("no thread panics with it") = Some(found);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(run);
        }
    });
    if let Some(violation) = violation.into_inner().expect("no thread panics with it") {
        panic!("{violation}");
    }
    sum.into_inner()
}

struct StopAtPanic<'a>(&'a AtomicBool);

impl Drop for StopAtPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The calls of a run in which nothing goes wrong: only those that change something, or all.
pub fn calls_of(workload: &Workload, changes_only: bool) -> Checked<Vec<Call>> {
    let disk = SimDisk::new();
    if changes_only {
        disk.count_only_changes();
    }
    disk.start_trace();
    let run = run_on(workload, &disk)?;
    let trace = disk.trace();
    run.check_sealed()?;
    drop(run);
    Ok(trace
        .into_iter()
        .filter(|call| call.number.is_some())
        .collect())
}

fn run_on(workload: &Workload, disk: &SimDisk) -> Checked<Run> {
    let mut run = Run::new(workload, disk.clone(), History::new(workload.durability));
    run.steps(workload.steps, |_| Err("an operation failed".to_owned()))?;
    Ok(run)
}

/// The survivors of a crash of `disk`: each combination of pending changes, if there are not too many, and one for each
/// of `seeds`.
fn survivors(disk: &SimDisk, seeds: Range<u64>) -> Vec<Survivors> {
    let mut survivors = vec![Survivors::KeepAll, Survivors::LoseAll];
    let masks = |bits: usize| {
        let all = bits <= EXHAUSTIVE_BITS;
        let numbers = if all { 0..1 << bits } else { seeds.clone() };
        numbers.map(move |number| if all { number } else { mix(number) })
    };
    survivors.extend(masks(disk.pending()).map(Survivors::Ops));
    if disk.pending_parts() > disk.pending() {
        survivors.extend(masks(disk.pending_parts()).map(Survivors::Parts));
    }
    survivors.extend(seeds.map(Survivors::Seeded));
    survivors
}

pub fn end(survivors: Survivors) -> End {
    if survivors == Survivors::KeepAll {
        End::Kill
    } else {
        End::PowerCut
    }
}

/// A disk after a crash, with the history of the log on it.
pub struct Image<'a> {
    pub workload: &'a Workload,
    pub disk: SimDisk,
    pub history: History,
    /// The end of the log's last life.
    pub end: End,
    /// The seed of what happens next.
    pub seed: u64,
}

impl Image<'_> {
    /// Opens the log, appends to it, stops it at some call, and opens it once more.
    pub fn live_on(self) -> Checked {
        let Self {
            workload,
            disk,
            seed,
            ..
        } = self;
        let mut run = Run::new(workload, disk, self.history);
        run.disk.count_only_changes();
        run.open(self.end)?;
        run.disk.inject(
            When::Call(run.disk.calls() + mix(seed) % 14),
            Fault::crash().after_writing(usize::MAX),
        );
        let first = usize::from(!mix(seed + 3).is_multiple_of(4));
        run.steps(&workload.afterwards[first..], |_| {
            Err("an operation failed".to_owned())
        })?;
        let cut = match mix(seed + 1) % 5 {
            0 => Survivors::KeepAll,
            1 => Survivors::LoseAll,
            2 => Survivors::Ops(mix(seed + 2)),
            3 => Survivors::Parts(mix(seed + 2)),
            _ => Survivors::Seeded(mix(seed + 2)),
        };
        let history = run.history.clone();
        Run::new(workload, run.disk.crash(cut), history)
            .open(end(cut))
            .map_err(|violation| format!("then {cut:?}: {violation}"))
    }
}

/// The number of different disks tried that a stop can leave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    /// Disks left by the workload.
    pub left: usize,
    /// Disks left by a recovery of these that was stopped too.
    pub left_by_recovery: usize,
}

impl Tried {
    pub fn sum(self) -> usize {
        self.left + self.left_by_recovery
    }
}

/// Stops the workload at `call`, and checks everything that may be left.
pub fn stop_at(workload: &Workload, call: &Call) -> Checked<Tried> {
    let number = call.number.ok_or("the call is not counted")?;
    let context = |violation| {
        let Workload { name, .. } = workload;
        format!(
            "{name}, stopped at call {number} ({:?} {}): {violation}",
            call.kind, call.name
        )
    };
    let mut tried = HashSet::new();
    let run = stopped_run(workload, number, usize::MAX).map_err(context)?;
    for (index, survivors) in (0..).zip(survivors(&run.disk, workload.seed_range())) {
        let context = |violation| context(format!("{survivors:?}: {violation}"));
        let disk = run.disk.crash(survivors);
        let end = end(survivors);
        let fingerprint = disk.fingerprint();
        if !tried.insert((usize::MAX, end == End::Kill, fingerprint, None)) {
            continue;
        }
        let seed = mix(number << 32 | index ^ workload.seed << 16);
        let history = run.history.clone();
        let image = Image {
            workload,
            disk,
            history,
            end,
            seed,
        };
        if seed.is_multiple_of(workload.recoveries) {
            let stops = stop_recovery(&image).map_err(context)?;
            tried.extend(stops.into_iter().map(|(at, kill, left)| {
                (
                    usize::MAX,
                    kill,
                    left,
                    Some((fingerprint, end == End::Kill, at)),
                )
            }));
        }
        image.live_on().map_err(context)?;
    }
    let torn = stop_within(workload, call, number).map_err(context)?;
    let left = tried.iter().filter(|(.., recovery)| recovery.is_none());
    let left = left.count();
    Ok(Tried {
        left: left + torn,
        left_by_recovery: tried.len() - left,
    })
}

/// Stops the workload after a part of the bytes of `call`, if it is a write, and checks the disk as the process left
/// it. Returns the number of such parts.
fn stop_within(workload: &Workload, call: &Call, number: u64) -> Checked<usize> {
    if call.kind != CallKind::Write {
        return Ok(0);
    }
    let len = usize::try_from(call.len).map_err(|error| error.to_string())?;
    let lens = [0, 1, 7, 33, 512, len / 2, len - 1];
    let lens = lens.into_iter().filter(|written| *written < len);
    let lens = lens.collect::<BTreeSet<_>>();
    for written in &lens {
        let run = stopped_run(workload, number, *written)?;
        let image = Image {
            workload,
            disk: run.disk.crash(Survivors::KeepAll),
            history: run.history.clone(),
            end: End::Kill,
            seed: mix(number ^ *written as u64),
        };
        image
            .live_on()
            .map_err(|violation| format!("{written} bytes written: {violation}"))?;
    }
    Ok(lens.len())
}

fn stopped_run(workload: &Workload, number: u64, written: usize) -> Checked<Run> {
    let disk = SimDisk::new();
    disk.count_only_changes();
    disk.inject(When::Call(number), Fault::crash().after_writing(written));
    let run = run_on(workload, &disk)?;
    if disk.has_crashed() {
        Ok(run)
    } else {
        Err("the run was not stopped: it is not the same every time".to_owned())
    }
}

/// Stops the recovery of `image` at each of its calls, and checks what may be left. Returns the call,
/// whether it was a kill, and the fingerprint of what was left.
fn stop_recovery(image: &Image<'_>) -> Checked<HashSet<(u64, bool, u64)>> {
    let Image { workload, seed, .. } = *image;
    let fresh = || Run::new(workload, image.disk.deep_clone(), image.history.clone());
    let calls = {
        let mut run = fresh();
        run.open(image.end)?;
        run.disk.calls()
    };
    let mut tried = HashSet::new();
    for at in 0..calls {
        let mut run = fresh();
        run.disk
            .inject(When::Call(at), Fault::crash().after_writing(usize::MAX));
        run.try_open(image.end)?;
        for (index, survivors) in (0..).zip(survivors_of_recovery(&run.disk, mix(seed ^ at))) {
            let disk = run.disk.crash(survivors);
            let kill = survivors == Survivors::KeepAll;
            let fingerprint = disk.fingerprint();
            if !tried.insert((at, kill, fingerprint)) {
                continue;
            }
            let end = if kill { image.end } else { End::PowerCut };
            let (history, seed) = (image.history.clone(), mix(seed ^ (at << 32 | index)));
            Image {
                workload,
                disk,
                history,
                end,
                seed,
            }
            .live_on()
            .map_err(|violation| {
                format!("recovery stopped at call {at}, {survivors:?}: {violation}")
            })?;
        }
    }
    Ok(tried)
}

/// A few of the survivors of a crash during recovery.
fn survivors_of_recovery(disk: &SimDisk, seed: u64) -> Vec<Survivors> {
    let mut survivors = vec![Survivors::KeepAll, Survivors::LoseAll];
    let pending = disk.pending();
    if pending <= 4 {
        survivors.extend((0..1 << pending).map(Survivors::Ops));
    }
    survivors.extend((0..4).map(|number| Survivors::Parts(mix(seed + number))));
    survivors.extend((4..10).map(|number| Survivors::Seeded(mix(seed + number))));
    survivors
}
