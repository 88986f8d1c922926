//! One run of a row: its seed, and its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::panics::{caught, lock, missed};

/// The number of cores that every machine is assumed to have.
const THREADS: usize = 2;

/// The number of findings that are printed.
const PRINTED_MAX: u64 = 5;

/// The most characters of a finding that is kept.
const FINDING_LEN_MAX: usize = 320;

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
    figures: Mutex<Figures>,
}

/// The counts of a row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) tried: u64,
    pub(crate) bad: u64,
    /// The first finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finding: Option<String>,
    /// Counts beside the tries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Job {
    /// The first of the runs that `args` ask for.
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            seed: args.seed,
            is_soak: args.soak,
            until_bad: args.until_bad,
            figures: Mutex::default(),
        }
    }

    /// The size of a landing check, or the one of a soak.
    pub(crate) fn size<T>(&self, landing: T, soak: T) -> T {
        if self.is_soak { soak } else { landing }
    }

    /// Counts tries.
    pub(crate) fn tried(&self, number: u64) {
        lock(&self.figures).tried += number;
    }

    /// Counts a bad result.
    pub(crate) fn bad(&self, finding: &str) {
        let mut figures = lock(&self.figures);
        if figures.bad < PRINTED_MAX {
            eprintln!("BAD: {finding}");
        }
        figures.bad += 1;
        let kept = || finding.chars().take(FINDING_LEN_MAX).collect();
        figures.finding.get_or_insert_with(kept);
    }

    /// Counts something that is neither good nor bad, and is printed beside the figures.
    pub(crate) fn count(&self, what: &str, number: u64) {
        let mut figures = lock(&self.figures);
        *figures.counts.entry(what.to_owned()).or_default() += number;
    }

    /// True if nothing more needs to be tried.
    pub(crate) fn is_over(&self) -> bool {
        self.until_bad && lock(&self.figures).bad > 0
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

    /// The counts so far. A panic of a background thread is bad too, even if it was caught.
    pub(crate) fn figures(&self) -> Figures {
        for panic in missed() {
            self.bad(&format!("a panic in the background: {panic}"));
        }
        lock(&self.figures).clone()
    }
}
