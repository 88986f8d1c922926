//! Interleavings of threads that use a log: at each lock, atomic and device call a scheduler chooses the next thread.
//!
//! The scenarios are in `model/`. They run on a copy of the crates whose `sync.rs` names other locks; nothing else
//! differs.

use anyhow::ensure;

use super::row::Row;
use crate::job::Job;
use crate::model::Model;

pub(super) const ROW: Row = Row {
    number: 15,
    name: "interleavings",
    figure: "schedules of threads that append, commit, roll, trim, truncate, follow, close, and are failed by the \
             device, random ones and by priorities, no two of a scenario's run alike: a deadlock, a panic, a lost wake-up, a wrong \
             record, an append or a read that returns before it is synced, an acknowledged record lost",
    tried_min: 30_000,
    controls: &[
        (
            "acknowledged-before-sync",
            &["came back, the end is", "is not synced", "is lost"],
        ),
        ("lead-not-passed-on", &["deadlock", "max_steps"]),
        ("looks-before-listening", &["deadlock"]),
    ],
    needs: &[],
    run,
};

/// The number of executions of a scenario by a scheduler, before the next scenario.
const EXECUTIONS: u64 = 920;

const SCHEDULERS: [&str; 2] = ["pct", "random"];

fn run(job: &Job) -> anyhow::Result<()> {
    let model = Model::new()?;
    let scenarios = model.scenarios()?;
    let mut tasks = Vec::new();
    for round in 0..job.size(2, 6) {
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
