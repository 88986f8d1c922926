//! Threads use a log while a scheduler chooses, at each lock, atomic and call of the device, whose turn it is.
//!
//! The scenarios are in `model/`. They run on a copy of the crates whose `sync.rs` names other locks; nothing
//! else of the product differs.

use super::Row;
use crate::job::Job;
use crate::model::Model;

pub(super) const ROW: Row = Row {
    number: 15,
    name: "interleavings",
    figure: "schedules of threads that append, commit, roll, trim, truncate, follow, close, and are failed by the \
             device, no two alike, random ones and by priorities: a deadlock, a panic, a lost wake-up, a wrong \
             record, an append or a read told of before it is synced, an acknowledged record lost",
    tried_min: 100_000,
    controls: &[
        "acknowledged-before-sync",
        "lead-not-passed-on",
        "looks-before-listening",
    ],
    needs: &[],
    run,
};

/// How often a scenario is run by a scheduler before the next one is.
const EXECUTIONS: u64 = 850;
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
    job.each(&tasks, |(scenario, scheduler, seed)| {
        let ran = model.run(scenario, scheduler, *seed, EXECUTIONS);
        let ran = ran.map_err(|error| format!("{error:#}"))?;
        match ran.finding {
            Some(finding) => Err(format!(
                "{scenario} by {scheduler}, seed {seed}, execution {}: {finding}",
                ran.executions
            )),
            None if ran.ends < 2 => Err(format!("{scenario} by {scheduler} always ends alike")),
            None => Ok(ran.schedules),
        }
    });
    Ok(())
}
