//! The fuzz targets: random files, records and requests. A soak runs them with libFuzzer, which looks for inputs that
//! reach new code; a landing check runs them on random inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::row::Row;
use crate::job::{Found, Job};
use crate::system::{Need, limit};
use crate::workspace::{self, root, scratch};

pub(super) const ROW: Row = Row {
    number: 13,
    name: "fuzz",
    figure: "inputs of six fuzz targets (frame, segment, index, checkpoint, record, HTTP body): a panic, more than \
             10 s or 64 MiB, a wrong record, ways of reading that differ",
    tried_min: 60_000,
    controls: &[("checksum-not-checked", &["panicked at"])],
    needs: &[Need::SoakProgram("cargo-fuzz"), Need::SoakProgram("c++")],
    run,
};

/// The targets. The first ones show what is wrong with a checksum.
const TARGETS: [&str; 6] = ["segment", "frame", "checkpoint", "index", "record", "http"];

/// The number of random inputs that a target is run on without a fuzzer.
const INPUTS: u64 = 12_000;

/// The time limit of such a run.
const PLAIN_MAX: Duration = Duration::from_mins(2);

/// The time for which a target runs with the fuzzer.
const TIME: Duration = Duration::from_secs(40);

const PACKAGE: &str = "crates/proglog-reliability/fuzz";

/// The options of cargo-fuzz: the stable toolchain has no sanitizers.
const OPTIONS: [&str; 6] = [
    "--fuzz-dir",
    PACKAGE,
    "--sanitizer",
    "none",
    "--features",
    "libfuzzer",
];

fn run(job: &Job) -> anyhow::Result<()> {
    if !job.is_soak {
        let program = workspace::build("proglog-fuzz")?;
        return job.try_each(&TARGETS, |target| run_plain(&program, target, job.seed));
    }
    let built = scratch().join("fuzz");
    for targets in TARGETS.chunks(2) {
        for target in targets {
            build(&built, target)?;
        }
        job.try_each(targets, |target| fuzz(&built, target, job))?;
    }
    Ok(())
}

/// Runs a target without a fuzzer; returns the number of inputs.
fn run_plain(program: &Path, target: &str, seed: u64) -> anyhow::Result<Found> {
    let mut command = Command::new(program);
    command
        .args([target, &seed.to_string(), &INPUTS.to_string()])
        .env_remove("RUST_BACKTRACE")
        .stderr(Stdio::piped());
    let (output, hangs) = limit::output(&mut command, PLAIN_MAX)?;
    if hangs {
        return Ok(Err(format!("{target} does not end")));
    }
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let why = why(&errors);
        return Ok(Err(format!("{target}: {why}; reproduced by {command:?}")));
    }
    let inputs = String::from_utf8_lossy(&output.stdout);
    let inputs = inputs.trim().parse();
    inputs.map(Ok).context("the target printed no number")
}

fn build(built: &Path, target: &str) -> anyhow::Result<()> {
    let mut command = Command::new("cargo-fuzz");
    command
        .args(["fuzz", "build", target, "--target-dir"])
        .arg(built)
        .args(OPTIONS)
        .current_dir(root());
    workspace::run(&mut command).map(drop)
}

/// Runs a target with the fuzzer; returns the number of inputs.
fn fuzz(built: &Path, target: &str, job: &Job) -> anyhow::Result<Found> {
    let corpus = built.join("corpus").join(target);
    // Inputs that earlier runs found are not used: a run is the same for the same seed, as far as its time allows.
    _ = fs::remove_dir_all(&corpus);
    fs::create_dir_all(&corpus)?;
    let artifacts = built.join("artifacts").join(target).join("");
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(binary(built, target)?);
    command
        .arg(&corpus)
        .arg(format!("-artifact_prefix={}", artifacts.display()))
        // 0 would be a different one each time.
        .arg(format!("-seed={}", (job.seed % (1 << 32)).max(1)))
        .arg(format!("-max_total_time={}", TIME.as_secs()))
        .args(["-timeout=10", "-rss_limit_mb=512", "-max_len=16384"])
        .args(["-verbosity=0", "-print_final_stats=1"])
        .stderr(Stdio::piped());
    let (ended, hangs) = limit::output(&mut command, 3 * TIME)?;
    let (status, output) = (ended.status, String::from_utf8_lossy(&ended.stderr));
    if hangs {
        return Ok(Err(format!("{target} does not end: {output}")));
    }
    if status.success() {
        let runs = number(&output).with_context(|| format!("{target} printed {output:?}"))?;
        return Ok(Ok(runs));
    }
    let mut lines = output.lines();
    let artifact = lines.find_map(|line| line.split("Test unit written to ").nth(1));
    let artifact = artifact.with_context(|| format!("{target} ended with {status}: {output}"))?;
    let (why, options) = (why(&output), OPTIONS.join(" "));
    Ok(Err(format!(
        "{target}: {why}; reproduced by `cargo fuzz run {options} {target} {artifact}`"
    )))
}

/// The program that cargo-fuzz built, in a folder that is named after the target triple.
fn binary(built: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let kinds = fs::read_dir(built)?.filter_map(Result::ok);
    let mut paths = kinds.map(|kind| kind.path().join("release").join(target));
    let found = paths.find(|path| path.is_file());
    found.with_context(|| format!("{target} was not built"))
}

/// The number of inputs.
fn number(output: &str) -> Option<u64> {
    let name = "stat::number_of_executed_units:";
    output
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// The panic of the target, or else the summary of the fuzzer.
fn why(errors: &str) -> String {
    let mut lines = errors
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    let panic = lines
        .by_ref()
        .take_while(|line| !line.starts_with("note: run with"));
    let panic = panic.take(6).collect::<Vec<_>>().join(" ");
    if !panic.is_empty() {
        return panic;
    }
    let summary = errors.lines().find(|line| line.starts_with("SUMMARY"));
    summary.unwrap_or("no reason is given").to_owned()
}
