//! Mutants of the store and the log: one operator is another, a function returns a plain value, an arm of a match is
//! missing. The tests of the mutant's package have to fail.
//!
//! cargo-mutants makes and tries them. `.cargo/mutants.toml` lists those that are equivalent to the code, each with the
//! reason.

use std::fs;

use anyhow::{Context, ensure};

use super::row::Row;
use crate::job::Job;
use crate::system::Need;
use crate::workspace::{cargo, git, root, scratch};

pub(super) const ROW: Row = Row {
    number: 17,
    name: "mutants",
    figure: "mutants of the store and the log by cargo-mutants, a shard for each seed: one that the tests of its \
             package do not catch",
    tried_min: 1,
    controls: &[("code-without-a-test", &["no test catches"])],
    needs: &[Need::Soak, Need::Program("cargo-mutants")],
    run,
};

/// The number of shards; consecutive seeds try all of them.
const SHARDS: u64 = 80;

/// Tries the mutants of the lines that are changed and not committed, or those of a shard if there are none.
fn run(job: &Job) -> anyhow::Result<()> {
    let folder = scratch().join("mutants");
    fs::create_dir_all(&folder)?;
    let diff = ["diff", "--no-ext-diff", "--no-color", "--", "crates/*/src"];
    let changes = git(root(), &diff)?;
    let mut command = cargo(root(), &folder.join("target"));
    command
        .args(["mutants", "--colors", "never", "--output"])
        .arg(&folder);
    command.args(["--package", "proglog-store", "--package", "proglog-log"]);
    if changes.is_empty() {
        let shard = (job.seed - 1) % SHARDS;
        command.args(["--shard", &format!("{shard}/{SHARDS}")]);
    } else {
        let diff = folder.join("changes.diff");
        fs::write(&diff, changes)?;
        command.arg("--in-diff").arg(diff);
    }
    // A build that loops counts as one that fails.
    command.args(["--build-timeout", "600"]);
    let output = command.output().context("cannot run cargo-mutants")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    // 2: some were missed. 3: some tests did not end.
    let has_ended = matches!(output.status.code(), Some(0 | 2 | 3));
    ensure!(
        has_ended,
        "cargo-mutants ends with {}: {errors}",
        output.status
    );
    let fates = folder.join("mutants.out");
    let of =
        |fate: &str| fs::read_to_string(fates.join(fate)).context("cargo-mutants wrote no result");
    for caught in ["caught.txt", "timeout.txt"] {
        job.tried(of(caught)?.lines().count() as u64);
    }
    for mutant in of("missed.txt")?.lines() {
        job.tried(1);
        job.bad(&format!("no test catches {mutant}"));
    }
    Ok(())
}
