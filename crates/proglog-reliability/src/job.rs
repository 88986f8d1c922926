//! What a row is handed: a seed, and where it counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use fastrand::Rng;

use crate::args::Args;
use crate::panics::{caught, lock, missed};

/// Two cores are what a run can count on.
const THREADS: usize = 2;

/// How many findings are told in full.
const TOLD_MAX: u64 = 5;

/// How many things were tried, or what is bad.
pub(crate) type Found = Result<u64, String>;

/// The finding of an operation that should have succeeded.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
pub(crate) fn failed(error: proglog_log::Error) -> String {
    format!("an operation failed: {error:?}")
}

/// One run of a row.
#[derive(Debug)]
pub(crate) struct Job {
    /// Chooses what is tried.
    pub(crate) seed: u64,
    /// Whether it is one of many, with seed after seed.
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

    /// So many more things were tried.
    pub(crate) fn tried(&self, number: u64) {
        self.tried.fetch_add(number, Ordering::Relaxed);
    }

    /// One of them showed what must never be.
    pub(crate) fn bad(&self, finding: &str) {
        if self.bad.fetch_add(1, Ordering::Relaxed) < TOLD_MAX {
            eprintln!("BAD: {finding}");
        }
        _ = self.finding.set(finding.to_owned());
    }

    /// Counts what is neither good nor bad, and is told beside the figures.
    pub(crate) fn count(&self, what: &'static str, number: u64) {
        *lock(&self.counts).entry(what).or_default() += number;
    }

    /// Whether nothing more needs to be tried.
    pub(crate) fn is_over(&self) -> bool {
        self.until_bad && self.bad.load(Ordering::Relaxed) > 0
    }

    /// Does `work`, which returns how many things it tried, on each of `tasks`; what it tells of, and a
    /// panic, is bad. It takes them in an order by the seed: what only a few of them show is found sooner.
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

    /// As [`Job::each`], for work that may not be possible: that says nothing of the log. The first such error is
    /// returned, and no task is begun after it.
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

    /// What was counted. A panic of a thread that works in the background is bad too, whoever caught it.
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

/// What a row counted.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) tried: u64,
    pub(crate) bad: u64,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// What was bad first.
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
