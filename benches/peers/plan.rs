//! The order of measurements, each in a separate process and directory.

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

/// The seed of the shuffle: every run has the same order.
const SEED: u64 = 7;

/// The figures of a system at one work, one for each round.
pub(crate) type Figures = Vec<Measured>;

/// All measurements.
#[derive(Debug, Default)]
pub(crate) struct Results {
    figures: HashMap<(usize, &'static str), Figures>,
    pub(crate) rounds: usize,
}

impl Results {
    /// The figures of `system` at the work of this number, if it was measured.
    pub(crate) fn of(&self, work: usize, system: &'static str) -> Option<&Figures> {
        self.figures.get(&(work, system))
    }

    /// The most threads that `system` started.
    pub(crate) fn threads_started(&self, system: &str) -> usize {
        let of_system = self.figures.iter().filter(|((_, of), _)| *of == system);
        let threads = of_system
            .flat_map(|(_, figures)| figures)
            .map(|one| one.threads_started);
        threads.max().unwrap_or(0)
    }
}

/// Measures all `works` on ours and on `peers`, round by round. The order is shuffled, but all systems do the
/// same work one right after the other, since the machine's speed varies.
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
        let mut groups = groups(works);
        random.shuffle(&mut groups);
        for (done, group) in groups.iter().enumerate() {
            let progress = format!("round {} {}/{}", results.rounds + 1, done + 1, groups.len());
            let ours = ours
                .iter()
                .filter(|system| ours_in(works, group, system).is_some());
            let peers = peers.iter().filter(|system| works[group[0]].suits(system));
            let mut systems = ours.chain(peers).collect::<Vec<_>>();
            random.shuffle(&mut systems);
            for system in systems {
                let work = &works[ours_in(works, group, system).unwrap_or(group[0])];
                let measured = measure(scale, work, system.name)
                    .with_context(|| format!("{} at {work:?}", system.name))?;
                print_progress(&progress, work, system, &measured);
                for number in group {
                    let figures = results.figures.entry((*number, system.name));
                    figures.or_default().push(measured);
                }
            }
        }
        results.rounds += 1;
    }
    Ok(results)
}

/// The numbers of the works, grouped by what the peers do: works of a group differ only in our system.
fn groups(works: &[Work]) -> Vec<Vec<usize>> {
    let same = |work: &Work| (work.step, work.record_bytes, work.threads);
    let mut groups = Vec::<Vec<usize>>::new();
    for (number, work) in works.iter().enumerate() {
        match groups
            .iter_mut()
            .find(|group| same(&works[group[0]]) == same(work))
        {
            Some(group) => group.push(number),
            None => groups.push(vec![number]),
        }
    }
    groups
}

/// Returns the number of the work in `group` that `system`, one of ours, does.
fn ours_in(works: &[Work], group: &[usize], system: &Known) -> Option<usize> {
    let mut numbers = group.iter().copied();
    numbers.find(|number| works[*number].ours == system.name)
}

fn print_progress(progress: &str, work: &Work, system: &Known, measured: &Measured) {
    eprintln!(
        "{progress:<15} {:<19} {:>7} B x{:<2} {:>13} {:>12.1} {}",
        work.name,
        work.record_bytes,
        work.threads,
        system.name,
        measured.figure,
        work.unit(),
    );
}

/// Measures once, and leaves nothing in memory or on disk.
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

/// Starts the task in a separate process.
pub(crate) fn start(task: &Task) -> Result<Child> {
    let child = Command::new(env::current_exe()?)
        .args(["measure", &serde_json::to_string(task)?])
        .env("WALRUS_DATA_DIR", &task.directory)
        .env("WALRUS_QUIET", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A system may report a damaged log at length.
        .stderr(match task.step {
            Step::ShowDamaged => Stdio::null(),
            _ => Stdio::inherit(),
        })
        .spawn()?;
    Ok(child)
}

/// Waits for the end of the process and returns its measurement.
pub(crate) fn finish(mut child: Child) -> Result<Measured> {
    let mut report = String::new();
    let output = child.stdout.as_mut().context("no output")?;
    output.read_to_string(&mut report)?;
    let status = child.wait()?;
    anyhow::ensure!(
        status.success(),
        "the process that measures failed: {status}"
    );
    serde_json::from_str(&report).context("not a measurement")
}

/// Kills the process once it reports that the log is loaded.
fn kill(mut child: Child) -> Result<()> {
    let output = child.stdout.as_mut().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    anyhow::ensure!(line == "loaded\n", "the process that loads has failed");
    Ok(())
}
