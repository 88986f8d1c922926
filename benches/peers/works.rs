//! The works, their sizes and amounts.

use std::time::Duration;

use crate::measure::Step;
use crate::systems::Known;

/// One kind of work at one size: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) step: Step,
    pub(crate) record_bytes: usize,
    pub(crate) threads: u32,
    /// Our system that does it.
    pub(crate) ours: &'static str,
}

/// The amount of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) record_bytes: &'static [usize],
    /// Bytes of buffered appends, unless the time is up before.
    append_bytes: usize,
    /// Bytes of a log that is scanned.
    scan_bytes: usize,
    /// Bytes of a log that is read at random or opened.
    log_bytes: usize,
    /// The most random reads, and the most durable appends.
    reads: u64,
    synced: u64,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    /// The time after which no further round begins.
    pub(crate) rounds_time: Duration,
}

impl Scale {
    /// The amounts for published figures.
    pub(crate) const FULL: Self = Self {
        record_bytes: &[16, 128, 1 << 10, 16 << 10, 1 << 20],
        // Eight segments.
        append_bytes: 512 << 20,
        scan_bytes: 256 << 20,
        log_bytes: 1 << 30,
        reads: 200_000,
        synced: 40_000,
        time: Duration::from_secs(2),
        rounds: 3,
        rounds_time: Duration::MAX,
    };
    /// The amounts for a quick look.
    pub(crate) const QUICK: Self = Self {
        record_bytes: &[128, 1 << 10, 16 << 10],
        append_bytes: 128 << 20,
        scan_bytes: 32 << 20,
        log_bytes: 128 << 20,
        reads: 20_000,
        synced: 10_000,
        time: Duration::from_millis(250),
        rounds: 3,
        rounds_time: Duration::from_secs(50),
    };
    /// The amounts for a smoke test.
    pub(crate) const TEST: Self = Self {
        record_bytes: Self::FULL.record_bytes,
        append_bytes: 64 << 10,
        scan_bytes: 64 << 10,
        log_bytes: 64 << 10,
        reads: 100,
        synced: 128,
        time: Duration::from_millis(50),
        rounds: 1,
        rounds_time: Duration::MAX,
    };

    /// Returns the works in display order.
    pub(crate) fn works(&self) -> Vec<Work> {
        let sized = |name, step, ours| {
            let work = move |&record_bytes| Work {
                name,
                step,
                record_bytes,
                threads: 1,
                ours,
            };
            self.record_bytes.iter().map(work)
        };
        let kib = |name, step, threads| Work {
            name,
            step,
            record_bytes: 1 << 10,
            threads,
            ours: "proglog",
        };
        let mut works = Vec::new();
        works.extend(sized("store/append", Step::Append, "proglog-store"));
        works.extend(sized("log/append", Step::Append, "proglog"));
        // A hundred of the largest exceed the limit on a batch.
        works.extend(
            sized("log/append-batch100", Step::AppendBatches, "proglog")
                .filter(|work| work.record_bytes < 1 << 20),
        );
        works.extend(
            [1, 8, 64].map(|threads| kib("log/append-synced", Step::AppendSynced, threads)),
        );
        works.extend(sized("log/scan", Step::Scan, "proglog"));
        works.push(kib("log/read", Step::Read, 1));
        works.push(kib("log/reopen-clean", Step::Load, 1));
        works.push(kib("log/reopen-killed", Step::LoadAndWait, 1));
        works
    }

    /// Returns the most records that `work` appends, or the number in its log.
    pub(crate) fn records(&self, work: &Work) -> u64 {
        let bytes = match work.step {
            Step::Append | Step::AppendBatches => self.append_bytes,
            Step::Scan => self.scan_bytes,
            Step::AppendSynced => return self.synced,
            _ => self.log_bytes,
        };
        let least = match work.step {
            Step::AppendBatches => 200,
            _ => 3,
        };
        (bytes / work.record_bytes).max(least) as u64
    }

    /// Returns the number of random reads of `work`.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }
}

impl Work {
    /// Returns whether `system` can do the work with its durability.
    pub(crate) fn suits(&self, system: &Known) -> bool {
        match self.step {
            Step::AppendSynced => system.facts.durable,
            Step::Read => system.facts.numbered,
            _ => true,
        }
    }

    /// Returns the unit of its figures.
    pub(crate) fn unit(&self) -> &'static str {
        match self.step {
            Step::Load | Step::LoadAndWait => "ms",
            _ => "records/s",
        }
    }
}
