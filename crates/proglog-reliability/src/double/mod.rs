//! Logs on the simulated disk.

pub(crate) mod opener;

use anyhow::anyhow;
use fastrand::Rng;
use proglog_log::Durability;
use proglog_store::testing::Survivors;

use crate::job::Job;
use proglog_harness::crash::explore::{Tried, calls_of, stop_at};
use proglog_harness::crash::keeping::Keeps;
use proglog_harness::crash::workload::{Step, Workload};
use proglog_harness::crash::workloads::WORKLOADS;

/// Stops each workload at each call that changes something.
pub(crate) fn stop_everywhere(
    job: &Job,
    workloads: impl Iterator<Item = Workload>,
    count: impl Fn(Tried) -> usize + Sync,
) -> anyhow::Result<()> {
    let mut points = Vec::new();
    for workload in workloads {
        let calls = calls_of(&workload, true);
        let calls = calls.map_err(|violation| anyhow!("{}: {violation}", workload.name))?;
        points.extend(calls.into_iter().map(|call| (workload, call)));
    }
    job.each(&points, |(workload, call)| {
        stop_at(workload, call).map(|tried| count(tried) as u64)
    });
    Ok(())
}

/// A random workload, the same for the same seed. Its memory is leaked.
pub(crate) fn random_workload(seed: u64) -> Workload {
    let mut rng = Rng::with_seed(seed);
    let durability = match rng.u8(..4) {
        0 => Durability::Interval(std::time::Duration::MAX),
        1 => Durability::Buffered,
        _ => Durability::Synced,
    };
    let steps: Vec<_> = (0..rng.usize(10..24))
        .map(|_| random_step(&mut rng))
        .collect();
    let afterwards = rng.choice(WORKLOADS).unwrap_or(&WORKLOADS[0]).afterwards;
    Workload {
        name: format!("random {seed}").leak(),
        durability,
        segment_bytes_max: 1 << 10,
        keeps: Keeps::ALL,
        steps: steps.leak(),
        afterwards,
        seed: 0,
        seeds: 400,
        recoveries: 5,
    }
}

fn random_step(rng: &mut Rng) -> Step {
    let records = rng.usize(1..5);
    let len = rng.usize(14..400) / if rng.bool() { 1 } else { 5 };
    match rng.u8(..32) {
        0..13 => Step::Append(records, len),
        13..19 => Step::Submit(records, len),
        19..21 => Step::Wait,
        21..23 => Step::Sync,
        23..26 => Step::Trim(rng.u64(1..6)),
        26 => Step::TrimAll,
        27..29 => Step::Truncate(rng.u64(1..6)),
        29 => Step::Reset(rng.u64(..3)),
        _ => Step::Reopen,
    }
}

/// A random choice of what survives a crash.
pub(crate) fn survivors(rng: &mut Rng) -> Survivors {
    match rng.u8(..8) {
        0 => Survivors::KeepAll,
        1 => Survivors::LoseAll,
        2..5 => Survivors::Parts(rng.u64(..)),
        _ => Survivors::Seeded(rng.u64(..)),
    }
}
