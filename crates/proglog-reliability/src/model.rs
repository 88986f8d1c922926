//! A copy of the workspace whose crates take their locks and atomics from a scheduler, which chooses the thread
//! that takes the next step.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::copy::{put, remove_others};
use crate::system::limit;
use crate::workspace::{self, cargo, root, scratch};

const PROGRAM: &str = "proglog-model";

/// The folder of its sources.
const SOURCES: &str = "crates/proglog-reliability/model";

/// The crates that it takes, and whether they take locks.
const CRATES: [(&str, bool); 3] = [
    ("proglog-api", false),
    ("proglog-store", true),
    ("proglog-log", true),
];

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
        refresh(&folder)?;
        let mut build = cargo(&folder, &target);
        workspace::run(build.args(["build", "--quiet", "--bin", PROGRAM]))
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

/// Makes the copy in `folder` equal to the workspace, but for its locks.
fn refresh(folder: &Path) -> anyhow::Result<()> {
    let mut wanted = HashSet::new();
    let mut put_wanted = |path: PathBuf, bytes: &[u8]| {
        put(&path, bytes)?;
        wanted.insert(path);
        anyhow::Ok(())
    };
    let sources = root().join(SOURCES);
    put_wanted(folder.join("Cargo.toml"), manifest()?.as_bytes())?;
    put_wanted(
        folder.join("Cargo.lock"),
        &fs::read(sources.join("Cargo.lock"))?,
    )?;
    for file in files(&sources)? {
        put_wanted(
            folder.join("model").join(&file),
            &fs::read(sources.join(&file))?,
        )?;
    }
    for (name, takes_locks) in CRATES {
        let from = root().join("crates").join(name);
        for file in files(&from)? {
            let mut bytes = fs::read(from.join(&file))?;
            if takes_locks {
                bytes = with_own_locks(&file, bytes)?;
            }
            put_wanted(folder.join("crates").join(name).join(&file), &bytes)?;
        }
    }
    remove_others(folder, &wanted)
}

/// The manifest of a workspace of these packages alone, with the settings that all packages of this one share.
fn manifest() -> anyhow::Result<String> {
    let whole = fs::read_to_string(root().join("Cargo.toml"))?;
    let (_, shared) = whole
        .split_once("[workspace.package]")
        .context("the packages of the workspace share nothing")?;
    let members = "members = [\"crates/*\", \"model\", \"model/sync\"]";
    Ok(format!(
        "[workspace]\nresolver = \"3\"\n{members}\n\n[workspace.package]{shared}"
    ))
}

/// The bytes of a crate's file, where that names its locks or its dependencies.
fn with_own_locks(file: &Path, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("src/sync.rs") {
        return Ok(fs::read(root().join(SOURCES).join("sync.rs"))?);
    }
    if file != Path::new("Cargo.toml") {
        return Ok(bytes);
    }
    let text = String::from_utf8(bytes)?;
    // Tests are not built, and need packages that are not copied.
    let (text, lints) = match text.split_once("[dev-dependencies]") {
        Some((text, rest)) => (
            text,
            rest.split_once("[lints]").map_or("", |(_, lints)| lints),
        ),
        None => (&*text, ""),
    };
    let (before, after) = text
        .split_once("[dependencies]\n")
        .context("a crate that takes locks depends on something")?;
    let own = "proglog-model-sync = { path = \"../../model/sync\" }";
    Ok(format!("{before}[dependencies]\n{own}\n{after}[lints]{lints}").into_bytes())
}

/// The files of the package in `folder`, as paths from there.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            let is_left_out = ["target", "fuzz"]
                .iter()
                .any(|name| *name == entry.file_name());
            if !entry.file_type()?.is_dir() {
                found.push(path);
            } else if !is_left_out {
                folders.push(path);
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "there is nothing in {}",
        folder.display()
    );
    Ok(found)
}
