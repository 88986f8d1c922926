//! What is measured in which order, each in a process and a directory of its own.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use benches::{Random, settle};
use tempfile::TempDir;

use crate::measure::{LOAD_BATCH_BYTES, Measured, Step, Task};
use crate::system::{Context, Instant, Result};
use crate::systems::Known;
use crate::works::{Scale, Work};

/// What the shuffling starts from, so that every run has the same order.
const SEED: u64 = 7;

/// The figures of a system at one work, one for each round.
pub(crate) type Figures = Vec<Measured>;

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    figures: HashMap<(usize, &'static str), Figures>,
    pub(crate) rounds: usize,
}

impl Results {
    /// What `system` has reached at the work of this number, if it was measured.
    pub(crate) fn of(&self, work: usize, system: &'static str) -> Option<&Figures> {
        self.figures.get(&(work, system))
    }

    /// The most threads that `system` has started.
    pub(crate) fn threads_started(&self, system: &str) -> usize {
        let of_system = self.figures.iter().filter(|((_, of), _)| *of == system);
        let threads = of_system
            .flat_map(|(_, figures)| figures)
            .map(|one| one.threads_started);
        threads.max().unwrap_or(0)
    }
}

/// Measures all `works` on ours and on `peers`, round by round.
pub(crate) fn run(
    scale: &Scale,
    works: &[Work],
    peers: &[Known],
    ours: &[Known],
) -> Result<Results> {
    let begun = Instant::now();
    let mut random = Random::new(SEED);
    let mut results = Results::default();
    while results.rounds < scale.rounds && begun.elapsed() < scale.rounds_time {
        let mut pairs = Vec::new();
        for (number, work) in works.iter().enumerate() {
            let ours = ours.iter().filter(|system| system.name == work.ours);
            let peers = peers.iter().filter(|system| work.suits(system));
            pairs.extend(ours.chain(peers).map(|system| (number, work, system.name)));
        }
        // Works that differ in whose of ours they are held against share what the peers do.
        pairs.retain(|(number, work, system)| first_alike(works, *number, work, system) == *number);
        random.shuffle(&mut pairs);
        for (done, (number, work, system)) in pairs.iter().enumerate() {
            let measured = measure(scale, work, system)
                .with_context(|| format!("{}, {} B, {system}", work.name, work.record_bytes))?;
            eprintln!(
                "round {} {:>3}/{} {system:>13} {:<19} {:>7} B x{:<2} {:>12.1} {}",
                results.rounds + 1,
                done + 1,
                pairs.len(),
                work.name,
                work.record_bytes,
                work.threads,
                measured.figure,
                work.unit(),
            );
            for (other, alike) in works.iter().enumerate() {
                if other == *number || first_alike(works, other, alike, system) == *number {
                    results
                        .figures
                        .entry((other, system))
                        .or_default()
                        .push(measured);
                }
            }
        }
        results.rounds += 1;
    }
    Ok(results)
}

/// The first work in which `system` does the same.
fn first_alike(works: &[Work], number: usize, work: &Work, system: &str) -> usize {
    let alike = |other: &Work| {
        let same = (other.step, other.record_bytes, other.threads)
            == (work.step, work.record_bytes, work.threads);
        // Ours are two systems, each with works of its own.
        same && (other.ours == work.ours || ![other.ours, work.ours].contains(&system))
    };
    works.iter().position(alike).unwrap_or(number)
}

/// Measures once. Nothing is left behind: not in memory, not on the disk.
fn measure(scale: &Scale, work: &Work, system: &str) -> Result<Measured> {
    let directory = TempDir::new()?;
    let task = Task {
        system: system.to_owned(),
        step: work.step,
        directory: directory.path().to_owned(),
        record_bytes: work.record_bytes,
        threads: work.threads,
        load_batch_bytes: LOAD_BATCH_BYTES,
        records: scale.records(work),
        reads: scale.reads(),
        time: scale.time,
    };
    let measured = match work.step {
        Step::Load => {
            finish(start(&task)?)?;
            reopen(&task)
        }
        Step::LoadAndWait => {
            kill(start(&task)?)?;
            reopen(&task)
        }
        _ => finish(start(&task)?),
    }?;
    directory.close()?;
    settle(env::temp_dir())?;
    Ok(measured)
}

fn reopen(task: &Task) -> Result<Measured> {
    settle(&task.directory)?;
    finish(start(&Task {
        step: Step::Reopen,
        ..task.clone()
    })?)
}

/// Begins the task in a process of its own.
pub(crate) fn start(task: &Task) -> Result<Child> {
    let child = Command::new(env::current_exe()?)
        .args(["measure", &serde_json::to_string(task)?])
        .env("WALRUS_DATA_DIR", &task.directory)
        .env("WALRUS_QUIET", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A damaged log may make a system tell of it at length.
        .stderr(match task.step {
            Step::ShowDamaged => Stdio::null(),
            _ => Stdio::inherit(),
        })
        .spawn()?;
    Ok(child)
}

/// What the task of this process comes to.
pub(crate) fn finish(mut child: Child) -> Result<Measured> {
    let mut told = String::new();
    let output = child.stdout.as_mut().context("no output")?;
    output.read_to_string(&mut told)?;
    let status = child.wait()?;
    anyhow::ensure!(
        status.success(),
        "the process that measures failed: {status}"
    );
    serde_json::from_str(&told).context("not a measurement")
}

/// Kills the process once it has said that the log is loaded.
fn kill(mut child: Child) -> Result<()> {
    let output = child.stdout.as_mut().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    anyhow::ensure!(line == "loaded\n", "the process that loads has failed");
    Ok(())
}
