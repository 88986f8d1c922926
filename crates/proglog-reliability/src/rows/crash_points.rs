//! A log is stopped at each call that it makes; whatever can be left then is opened, and lives on.

use super::row::Row;
use crate::double;
use crate::double::crash::workload::Workload;
use crate::double::crash::workloads::WORKLOADS;
use crate::job::Job;

pub(super) const ROW: Row = Row {
    number: 1,
    name: "crash-points",
    figure: "stops at a call with a subset of what was not synced: a record lost, or come back",
    tried_min: 100_000,
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

/// How many workloads are made up beside those that are written down.
const RANDOM_WORKLOADS: u64 = 26;

fn run(job: &Job) -> anyhow::Result<()> {
    let once = |workload: Workload| Workload {
        seed: job.seed << 20,
        recoveries: u64::MAX,
        ..workload
    };
    let workloads = WORKLOADS.iter().copied();
    let random =
        (0..RANDOM_WORKLOADS).map(|number| double::random_workload(job.seed << 20 | number));
    double::stop_everywhere(job, workloads.chain(random).map(once), |tried| tried.left)
}
