//! Short transfers: reads and writes move fewer bytes than requested, or are interrupted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use proglog_store::testing::{SimDisk, Survivors};

use super::row::Row;
use crate::double;
use crate::job::Job;
use crate::system::Need;
use crate::system::known::Known;
use crate::system::writer;
use proglog_harness::crash::history::{End, History};
use proglog_harness::crash::workload::Run;

pub(super) const ROW: Row = Row {
    number: 8,
    name: "short-transfers",
    figure: "calls on the double, of whose reads and writes two of three are short or interrupted, and appends to \
             real files under a library that does the same: other bytes, or an error",
    tried_min: 500_000,
    controls: &[
        (
            "short-write-taken-for-whole",
            &["an operation failed", "are lost", "cannot be opened"],
        ),
        ("interruption-is-an-error", &["an operation failed"]),
    ],
    needs: &[Need::Program("cc")],
    run,
};

/// The library that changes the calls of the C library.
const PRELOAD: &str = include_str!("../system/preload.c");

fn run(job: &Job) -> anyhow::Result<()> {
    let seeds: Vec<_> = (0..job.size(1_000, 2_000))
        .map(|number| job.seed << 20 | 2 << 16 | number)
        .collect();
    job.each(&seeds, |seed| on_double(*seed));
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let library = build(folder.path())?;
    let lives: Vec<_> = (0..8).map(|number| job.seed << 8 | number).collect();
    job.try_each(&lives, |seed| {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let changed = folder.path().join("changed");
        let found = on_files(&library, &folder.path().join("log"), &changed, *seed);
        let changed: u64 = fs::read_to_string(changed)
            .context("the library wrote nothing")?
            .trim()
            .parse()?;
        ensure!(changed > 0, "the library changed no call");
        job.count("calls on files that were short or interrupted", changed);
        Ok(found.map_err(|error| format!("{error:#}")))
    })
}

/// Does a workload, cuts the power, and looks at what is left; returns how many calls were made.
fn on_double(seed: u64) -> Result<u64, String> {
    let workload = double::random_workload(seed);
    let disk = SimDisk::new();
    disk.set_short_transfers(Some(seed));
    let mut run = Run::new(&workload, disk.clone(), History::new(workload.durability));
    run.steps(workload.steps, |_| Err("an operation failed".to_owned()))?;
    let left = disk.crash(Survivors::LoseAll);
    left.set_short_transfers(Some(seed + 1));
    Run::new(&workload, left.clone(), run.history.clone()).open(End::PowerCut)?;
    Ok(disk.calls() + left.calls())
}

fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, library) = (folder.join("preload.c"), folder.join("preload.so"));
    fs::write(&source, PRELOAD)?;
    let built = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status()
        .context("cannot run cc")?;
    ensure!(built.success(), "the library does not compile");
    Ok(library)
}

/// Two lives of a log on real files, then a look without the library; returns how many records it has.
fn on_files(library: &Path, log: &Path, changed: &Path, seed: u64) -> anyhow::Result<u64> {
    let mut known = Known::default();
    for life in 0..2 {
        let options = writer::Options {
            life,
            records: 300,
            seed,
            ..writer::Options::new(log)
        };
        let mut command = writer::command(&options)?;
        command.env("LD_PRELOAD", library);
        command.env("SHORT_TRANSFERS_SEED", seed.to_string());
        command.env("SHORT_TRANSFERS_CHANGED", changed);
        let events = writer::output(&mut command)?;
        ensure!(
            events.failed.is_empty(),
            "appends fail: {:?}",
            events.failed
        );
        ensure!(events.ended, "it did not end well: {}", events.errors);
        known.learn(&events).map_err(anyhow::Error::msg)?;
    }
    known.check(log).map_err(anyhow::Error::msg)
}
