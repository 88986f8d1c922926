//! A copy of the workspace whose crates take their locks and atomics from a scheduler, which chooses the thread
//! that takes the next step.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::copy::mirror;
use crate::system::limit;
use crate::workspace::{self, CONFIG_FILE, cargo, scratch};

const PROGRAM: &str = "proglog-model";

/// A crate's `sync.rs` in the copy.
const LOCKS: &str =
    "//! The locks and atomics of the model.\n\npub(crate) use proglog_model_sync::*;\n";

/// The start of a crate's dependencies in the copy.
const DEPENDENCY: &str = "
[dependencies]
proglog-model-sync = { path = \"../proglog-reliability/model/sync\" }
";

/// Longer than any run of a scenario takes.
const RUN_MAX: Duration = Duration::from_mins(5);

/// The program that runs scenarios, built.
#[derive(Debug)]
pub(crate) struct Model {
    program: PathBuf,
    /// The folder for schedules of failed executions.
    failures: PathBuf,
}

/// The result of some executions of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) executions: u64,
    /// The number of different schedules.
    pub(crate) schedules: u64,
    /// The number of different ends.
    pub(crate) ends: u64,
    /// The failure of the last execution, if it failed.
    pub(crate) finding: Option<String>,
}

impl Model {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (folder, target) = (scratch().join("model"), scratch().join("modelled"));
        mirror(&folder, with_own_locks)?;
        let mut build = cargo(&folder, &target);
        workspace::run(build.args(["build", "--quiet", "--package", PROGRAM]))
            .context("the model does not compile")?;
        Ok(Self {
            program: target.join("debug").join(PROGRAM),
            failures: scratch().join("schedules"),
        })
    }

    /// The names of all scenarios.
    pub(crate) fn scenarios(&self) -> anyhow::Result<Vec<String>> {
        let output = Command::new(&self.program).arg("list").output()?;
        let names = String::from_utf8(output.stdout)?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Runs a scenario this many times, or until one fails.
    pub(crate) fn run(
        &self,
        scenario: &str,
        scheduler: &str,
        seed: u64,
        executions: u64,
    ) -> anyhow::Result<Ran> {
        let failures = self.failures.join(format!("{scenario}-{scheduler}-{seed}"));
        _ = fs::remove_dir_all(&failures);
        fs::create_dir_all(&failures)?;
        let mut command = Command::new(&self.program);
        command
            .args([scenario, scheduler])
            .args([seed, executions].map(|number| number.to_string()))
            .arg(&failures)
            .stderr(Stdio::piped());
        let (output, hangs) = limit::output(&mut command, RUN_MAX)?;
        if hangs {
            return Ok(Ran {
                finding: Some("it does not end".to_owned()),
                ..Ran::default()
            });
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let mut lines = printed.lines();
        let counts = lines.next().unwrap_or_default().split(' ');
        let counts: Result<Vec<u64>, _> = counts.map(str::parse).collect();
        let Ok([tried, distinct, ends]) = counts.as_deref() else {
            let (status, error) = (output.status, String::from_utf8_lossy(&output.stderr));
            anyhow::bail!("{scenario} by {scheduler}, seed {seed}, ends with {status}: {error}");
        };
        let finding = if output.status.success() {
            fs::remove_dir(&failures)?;
            None
        } else {
            let finding = lines.next().unwrap_or("it printed nothing");
            let (program, failures) = (self.program.display(), failures.display());
            Some(format!(
                "{finding}; reproduced by {program} {scenario} replay {failures}/schedule000.txt"
            ))
        };
        Ok(Ran {
            executions: *tried,
            schedules: *distinct,
            ends: *ends,
            finding,
        })
    }
}

/// The bytes of a file in the copy: its crates depend on the scheduler's locks, and `sync.rs` names these.
fn with_own_locks(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    match name {
        // The settings of a copy that has a sabotage are for brief runs.
        CONFIG_FILE => Vec::new(),
        "crates/proglog-log/src/sync.rs" | "crates/proglog-store/src/sync.rs" => LOCKS.into(),
        "crates/proglog-log/Cargo.toml" | "crates/proglog-store/Cargo.toml" => {
            let manifest = String::from_utf8_lossy(&bytes);
            manifest
                .replace("\n[dependencies]\n", DEPENDENCY)
                .into_bytes()
        }
        _ => bytes,
    }
}
