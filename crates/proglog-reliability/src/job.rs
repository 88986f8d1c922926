//! One run of a row: its seed, and its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use fastrand::Rng;

use crate::args::Args;
use crate::panics::{caught, lock, missed};

/// The number of cores that every machine is assumed to have.
const THREADS: usize = 2;

/// The number of findings that are printed.
const PRINTED_MAX: u64 = 5;

/// The number of tries, or a finding.
pub(crate) type Found = Result<u64, String>;

/// The finding of an operation that should have succeeded.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
pub(crate) fn failed(error: proglog_log::Error) -> String {
    format!("an operation failed: {error:?}")
}

/// One run of a row.
#[derive(Debug)]
pub(crate) struct Job {
    /// The seed of all random choices.
    pub(crate) seed: u64,
    /// True for a soak, which runs with one seed after another.
    pub(crate) is_soak: bool,
    until_bad: bool,
    tried: AtomicU64,
    bad: AtomicU64,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    finding: OnceLock<String>,
}

impl Job {
    /// One of the runs that `args` ask for.
    pub(crate) fn new(seed: u64, args: &Args) -> Self {
        Self {
            seed,
            is_soak: args.soak,
            until_bad: args.until_bad,
            tried: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            counts: Mutex::default(),
            finding: OnceLock::new(),
        }
    }

    /// The size of a landing check, or the one of a soak.
    pub(crate) fn size<T>(&self, landing: T, soak: T) -> T {
        if self.is_soak { soak } else { landing }
    }

    /// Counts tries.
    pub(crate) fn tried(&self, number: u64) {
        self.tried.fetch_add(number, Ordering::Relaxed);
    }

    /// Counts a bad result.
    pub(crate) fn bad(&self, finding: &str) {
        if self.bad.fetch_add(1, Ordering::Relaxed) < PRINTED_MAX {
            eprintln!("BAD: {finding}");
        }
        _ = self.finding.set(finding.to_owned());
    }

    /// Counts something that is neither good nor bad, and is printed beside the figures.
    pub(crate) fn count(&self, what: &'static str, number: u64) {
        *lock(&self.counts).entry(what).or_default() += number;
    }

    /// True if nothing more needs to be tried.
    pub(crate) fn is_over(&self) -> bool {
        self.until_bad && self.bad.load(Ordering::Relaxed) > 0
    }

    /// Does `work`, which returns its number of tries, on each of `tasks`. Its error, or a panic, is bad. The order is
    /// random by the seed, so that a fault that few tasks show is found sooner.
    pub(crate) fn each<T: Sync>(&self, tasks: &[T], work: impl Fn(&T) -> Found + Sync) {
        let mut order: Vec<_> = tasks.iter().collect();
        Rng::with_seed(self.seed).shuffle(&mut order);
        let next = AtomicUsize::new(0);
        let run = || {
            while let Some(task) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.is_over() {
                    return;
                }
                self.one(|| work(task));
            }
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(run);
            }
        });
    }

    /// As [`Job::each`], for work that the machine may fail. The first such error is returned, and no task begins after
    /// it.
    pub(crate) fn try_each<T: Sync>(
        &self,
        tasks: &[T],
        work: impl Fn(&T) -> anyhow::Result<Found> + Sync,
    ) -> anyhow::Result<()> {
        let broken = Mutex::new(None);
        self.each(tasks, |task| {
            if lock(&broken).is_some() {
                return Ok(0);
            }
            work(task).unwrap_or_else(|error| {
                lock(&broken).get_or_insert(error);
                Ok(0)
            })
        });
        broken
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Ok(()), Err)
    }

    /// As [`Job::each`], for a single task.
    pub(crate) fn one(&self, work: impl FnOnce() -> Found) {
        match caught(work).and_then(|result| result) {
            Ok(tried) => self.tried(tried),
            Err(finding) => {
                self.tried(1);
                self.bad(&finding);
            }
        }
    }

    /// The counts. A panic of a background thread is bad too, even if it was caught.
    pub(crate) fn into_figures(self) -> Figures {
        for panic in missed() {
            self.bad(&format!("a panic in the background: {panic}"));
        }
        Figures {
            tried: self.tried.into_inner(),
            bad: self.bad.into_inner(),
            counts: self
                .counts
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            finding: self.finding.into_inner(),
        }
    }
}

/// The counts of a row.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) tried: u64,
    pub(crate) bad: u64,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// The first finding.
    pub(crate) finding: Option<String>,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.bad += other.bad;
        self.finding = self.finding.take().or(other.finding);
        for (what, number) in other.counts {
            *self.counts.entry(what).or_default() += number;
        }
    }
}
