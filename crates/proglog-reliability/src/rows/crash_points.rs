//! Crashes of a log at each of its calls. Everything that can be left is opened, and used further.

use super::row::Row;
use crate::double;
use crate::job::Job;
use proglog_harness::crash::workload::Workload;
use proglog_harness::crash::workloads::WORKLOADS;

pub(super) const ROW: Row = Row {
    number: 1,
    name: "crash-points",
    figure: "stops at a call with a subset of what was not synced: a record lost, or come back",
    tried_min: 50_000,
    controls: &[
        ("sync-skipped", &["are lost", "cannot be opened"]),
        ("directory-sync-skipped", &["are lost", "cannot be opened"]),
        (
            "trim-before-checkpoint",
            &["the log starts at", "are lost", "cannot be opened"],
        ),
        ("batch-end-ignored", &["the batch ends before"]),
    ],
    needs: &[],
    run,
};

/// The number of random workloads beside the listed ones, in a landing check and in a soak.
const RANDOM_WORKLOADS: [u64; 2] = [5, 26];

fn run(job: &Job) -> anyhow::Result<()> {
    let once = |workload: Workload| Workload {
        seed: job.seed << 20,
        recoveries: u64::MAX,
        ..workload
    };
    let [landing, soak] = RANDOM_WORKLOADS;
    let workloads = WORKLOADS.iter().copied();
    let random =
        (0..job.size(landing, soak)).map(|number| double::random_workload(job.seed << 20 | number));
    double::stop_everywhere(job, workloads.chain(random).map(once), |tried| tried.left)
}
