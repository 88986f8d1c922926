//! A fuzzer makes files, records and requests up, led by what code they reach.

mod seeds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Row;
use crate::copy::{target, workspace};
use crate::job::{Found, Job};
use crate::system::Need;

pub(super) const ROW: Row = Row {
    number: 13,
    name: "fuzz",
    figure: "runs of six fuzz targets (frame, segment, index, checkpoint, record, HTTP body), 40 s each: \
             a panic, more than 10 s or 64 MiB, a wrong record, ways of reading that differ",
    tried_min: 20_000,
    controls: &[("checksum-not-checked", &["panicked at"])],
    needs: &[Need::Program("cargo-fuzz"), Need::Program("c++")],
    run,
};

/// The targets, in the order in which they are run, two at a time. What is wrong with a checksum shows first.
const TARGETS: [&str; 6] = ["segment", "frame", "checkpoint", "index", "record", "http"];

/// How long each is run.
const TIME: Duration = Duration::from_secs(40);

const PACKAGE: &str = "crates/proglog-reliability/fuzz";

/// How a target is built by: the stable toolchain has no sanitizers.
const OPTIONS: [&str; 4] = ["--fuzz-dir", PACKAGE, "--sanitizer", "none"];

fn run(job: &Job) -> anyhow::Result<()> {
    let built = target().join("fuzz");
    for targets in TARGETS.chunks(2) {
        if job.is_over() {
            break;
        }
        for target in targets {
            build(&built, target)?;
        }
        job.try_each(targets, |target| fuzz(&built, target, job))?;
    }
    Ok(())
}

fn build(built: &Path, target: &str) -> anyhow::Result<()> {
    let output = Command::new("cargo-fuzz")
        .args(["fuzz", "build", target, "--target-dir"])
        .arg(built)
        .args(OPTIONS)
        .current_dir(workspace())
        .output()
        .context("cannot run cargo-fuzz")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it does not compile: {told}");
    Ok(())
}

/// Runs a target; returns how many inputs it was given.
fn fuzz(built: &Path, target: &str, job: &Job) -> anyhow::Result<Found> {
    let corpus = built.join("corpus").join(target);
    sow(&corpus, target)?;
    let artifacts = built.join("artifacts").join(target).join("");
    fs::create_dir_all(&artifacts)?;
    let told = built.join("corpus").join(format!("{target}.txt"));
    let mut child = Command::new(binary(built, target)?)
        .arg(&corpus)
        .arg(format!("-artifact_prefix={}", artifacts.display()))
        // 0 would be a different one each time.
        .arg(format!("-seed={}", (job.seed % (1 << 32)).max(1)))
        .arg(format!("-max_total_time={}", TIME.as_secs()))
        .args(["-timeout=10", "-rss_limit_mb=512", "-max_len=16384"])
        .args(["-verbosity=0", "-print_final_stats=1"])
        .stdin(Stdio::null())
        .stderr(fs::File::create(&told)?)
        .spawn()
        .with_context(|| format!("cannot run {target}"))?;
    let ended = wait(&mut child, job)?;
    let told = String::from_utf8_lossy(&fs::read(told)?).into_owned();
    let Some(status) = ended else {
        return Ok(if job.is_over() {
            Ok(0)
        } else {
            Err(format!("{target} does not end: {told}"))
        });
    };
    if status.success() {
        let runs = number(&told).with_context(|| format!("{target} told {told:?}"))?;
        return Ok(Ok(runs));
    }
    let mut lines = told.lines();
    let artifact = lines.find_map(|line| line.split("Test unit written to ").nth(1));
    let artifact = artifact.with_context(|| format!("{target} ended with {status}: {told}"))?;
    let (why, options) = (why(&told), OPTIONS.join(" "));
    Ok(Err(format!(
        "{target}: {why}; again by `cargo fuzz run {options} {target} {artifact}`"
    )))
}

/// Waits for the end, unless it is not wanted any more or does not come.
fn wait(child: &mut Child, job: &Job) -> anyhow::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if job.is_over() || begun.elapsed() > 3 * TIME {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes the corpus that a target begins with. What earlier runs found is not used: a run is the same for the
/// same seed, as far as its time allows.
fn sow(corpus: &Path, target: &str) -> anyhow::Result<()> {
    if corpus.exists() {
        fs::remove_dir_all(corpus)?;
    }
    fs::create_dir_all(corpus)?;
    let crates = workspace().join("crates");
    let read =
        |path: &str| fs::read(crates.join(path)).with_context(|| format!("cannot read {path}"));
    for (number, seed) in seeds::of(target, read)?.iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}

/// Where cargo-fuzz puts a target: in a folder that is named after the machine's kind.
fn binary(built: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let kinds = fs::read_dir(built)?.filter_map(Result::ok);
    let mut paths = kinds.map(|kind| kind.path().join("release").join(target));
    let found = paths.find(|path| path.is_file());
    found.with_context(|| format!("{target} was not built"))
}

/// How many inputs were run.
fn number(told: &str) -> Option<u64> {
    let name = "stat::number_of_executed_units:";
    told.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// What the target itself said, or else the fuzzer.
fn why(told: &str) -> String {
    let mut lines = told
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    let panic = lines
        .by_ref()
        .take_while(|line| !line.starts_with("note: run with"));
    let panic = panic.take(6).collect::<Vec<_>>().join(" ");
    if !panic.is_empty() {
        return panic;
    }
    let summary = told.lines().find(|line| line.starts_with("SUMMARY"));
    summary.unwrap_or("no reason is told").to_owned()
}
