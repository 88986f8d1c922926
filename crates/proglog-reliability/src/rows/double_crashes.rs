//! Crashes of a recovery: opening what a crash left is stopped at each of its calls.

use super::row::Row;
use crate::double;
use crate::job::Job;
use proglog_harness::crash::workload::Workload;
use proglog_harness::crash::workloads::WORKLOADS;

/// The findings as which each sabotage may show.
const FINDINGS: &[&str] = &[
    "a walk fails",
    "are lost",
    "cannot be opened",
    "must not come back",
    "the log starts at",
];

pub(super) const ROW: Row = Row {
    number: 2,
    name: "double-crashes",
    figure: "stops of a recovery from a stop: a record lost, or come back",
    tried_min: 20_000,
    controls: &[
        ("recovered-not-synced", FINDINGS),
        ("older-slot-not-settled", FINDINGS),
    ],
    needs: &[],
    run,
};

/// The number of random workloads beside the listed ones.
const RANDOM_WORKLOADS: u64 = 3;

fn run(job: &Job) -> anyhow::Result<()> {
    let twice = |workload: Workload| Workload {
        seed: job.seed << 20,
        seeds: workload.seeds.div_ceil(20),
        recoveries: workload.recoveries * job.size(4, 1),
        ..workload
    };
    let workloads = WORKLOADS.iter().copied();
    let first = job.seed << 20 | 1 << 10;
    let random = (first..first + RANDOM_WORKLOADS).map(double::random_workload);
    double::stop_everywhere(job, workloads.chain(random).map(twice), |tried| {
        tried.left_by_recovery
    })
}
