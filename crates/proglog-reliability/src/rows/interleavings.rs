//! Threads use a log while a scheduler chooses, at each lock, atomic and call of the device, whose turn it is.
//!
//! The scenarios are in `model/`. They run on a copy of the crates whose `sync.rs` names other locks; nothing
//! else of the product differs.

use anyhow::ensure;

use super::row::Row;
use crate::job::Job;
use crate::model::Model;

pub(super) const ROW: Row = Row {
    number: 15,
    name: "interleavings",
    figure: "schedules of threads that append, commit, roll, trim, truncate, follow, close, and are failed by the \
             device, random ones and by priorities, no two of a scenario's run alike: a deadlock, a panic, a lost wake-up, a wrong \
             record, an append or a read told of before it is synced, an acknowledged record lost",
    tried_min: 100_000,
    controls: &[
        (
            "acknowledged-before-sync",
            &["came back, the end is", "is not synced", "is lost"],
        ),
        ("lead-not-passed-on", &["deadlock"]),
        ("looks-before-listening", &["deadlock"]),
    ],
    needs: &[],
    run,
};

/// How often a scenario is run by a scheduler before the next one is.
const EXECUTIONS: u64 = 920;
const ROUNDS: u64 = 6;

const SCHEDULERS: [&str; 2] = ["pct", "random"];

fn run(job: &Job) -> anyhow::Result<()> {
    let model = Model::new()?;
    let scenarios = model.scenarios()?;
    let mut tasks = Vec::new();
    for round in 0..ROUNDS {
        for scenario in &scenarios {
            tasks.extend(SCHEDULERS.map(|scheduler| (scenario, scheduler, job.seed << 8 | round)));
        }
    }
    job.try_each(&tasks, |(scenario, scheduler, seed)| {
        let ran = model.run(scenario, scheduler, *seed, EXECUTIONS)?;
        let executions = ran.executions;
        if let Some(finding) = ran.finding {
            return Ok(Err(format!(
                "{scenario} by {scheduler}, seed {seed}, execution {executions}: {finding}"
            )));
        }
        ensure!(ran.ends > 1, "{scenario} by {scheduler} always ends alike");
        Ok(Ok(ran.schedules))
    })
}
