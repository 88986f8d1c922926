//! A process with limited memory that damages a log, and opens and reads it. It ends if it needs more.

use std::fs;
use std::ops::Range;
use std::process::{ExitCode, Output};
use std::sync::mpsc::channel;

use anyhow::{Context, ensure};
use proglog_log::Log;
use proglog_store::testing::SimDisk;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::job::Found;
use crate::system::itself;
use proglog_harness::damage::fixture::{Fixture, both, is_padding, options, trimmed, truncated};

/// The first argument of the process.
pub(crate) const NAME: &str = "opener";

/// The limit on the growth of the mapped memory, in bytes. The log's files take 100 KiB.
const MEMORY_MAX: u64 = 64 << 20;

/// The widths of the numbers that are written, in bytes.
const WIDTHS: [usize; 2] = [4, 8];

/// The number of values of each width at a place.
const NUMBERS_LEN: usize = 6;

/// The exit code of a process that could not begin.
const COULD_NOT: i32 = 1;

/// The places at which the process damages a log, one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Places {
    /// Chooses the log's records.
    pub(crate) seed: u64,
    /// The index in [`logs`].
    pub(crate) log: usize,
    pub(crate) file: String,
    /// The bytes of the file.
    pub(crate) bytes: Range<usize>,
}

/// The logs that can be damaged: one closed, one trimmed, one truncated.
pub(crate) fn logs(seed: u64) -> [Fixture; 3] {
    let author = &format!("writer {seed}");
    let [closed, _] = both(author);
    let [_, trimmed] = trimmed(author);
    let [_, truncated] = truncated(author);
    [closed, trimmed, truncated]
}

/// Runs the process; returns the number of values that it wrote.
pub(crate) fn run(places: &Places) -> anyhow::Result<Found> {
    let mut command = itself(NAME, places)?;
    let output = command
        .env_remove("RUST_BACKTRACE")
        // glibc would map 64 MiB for each thread that asks for memory, to use little of them.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() != Some(COULD_NOT), "{errors}");
    Ok(found(places, &output, &errors))
}

fn found(places: &Places, output: &Output, errors: &str) -> Found {
    let printed = String::from_utf8_lossy(&output.stdout);
    // A background thread may have panicked without ending the process.
    if output.status.success() && errors.is_empty() {
        let places = printed.lines().count();
        return Ok((places * WIDTHS.len() * NUMBERS_LEN) as u64);
    }
    let at = printed.lines().next_back().unwrap_or("none yet");
    let Places {
        seed, log, file, ..
    } = places;
    let why = errors.lines().filter(|line| !line.starts_with("note:"));
    let why = why.collect::<Vec<_>>().join(" ");
    Err(format!(
        "a number at byte {at} of {file} of log {log}, seed {seed}: {why} ({})",
        output.status
    ))
}

/// The main function of the process. It prints each place before it damages it.
pub(crate) fn main(places: &str) -> anyhow::Result<ExitCode> {
    let places: Places = serde_json::from_str(places)?;
    let logs = logs(places.seed);
    let log = logs.get(places.log).context("there is no such log")?;
    let Places { file, bytes, .. } = &places;
    start_thread()?;
    limit_memory()?;
    for at in bytes.clone().filter(|at| is_tried(file, *at)) {
        println!("{at}");
        try_at(log, file, at);
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until the thread runs that opening a log starts: it maps memory of its own.
fn start_thread() -> anyhow::Result<()> {
    let log = Log::open_in(SimDisk::new().directory(), &options())?;
    let (sender, receiver) = channel();
    log.submit("begun")?
        .on_complete(move |appended| _ = sender.send(appended));
    receiver.recv()??;
    Ok(())
}

/// Limits the memory of the process to what it has mapped and [`MEMORY_MAX`], as `prlimit --as` does.
fn limit_memory() -> anyhow::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mapped = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = mapped.and_then(|mapped| mapped.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes
        .context("/proc/self/status has no size")?
        .parse()?;
    let limits = Rlimit {
        current: Some((kibibytes << 10) + MEMORY_MAX),
        ..getrlimit(Resource::As)
    };
    setrlimit(Resource::As, limits).context("cannot limit the memory")
}

/// True for every place outside of padding, and for few in it.
pub(crate) fn is_tried(file: &str, at: usize) -> bool {
    !is_padding(file, at as u64) || at.is_multiple_of(512)
}

/// Writes each number at `at` of the file, and opens and reads the log that has it.
fn try_at(log: &Fixture, file: &str, at: usize) {
    let bytes = log.disk.read_file(file);
    for width in WIDTHS {
        for number in numbers(width, bytes.len() as u64) {
            let number = &number.to_be_bytes()[8 - width..];
            let mut damaged = bytes.clone();
            let place = damaged[at..].iter_mut().zip(number);
            place.for_each(|(byte, new)| *byte = *new);
            let disk = log.disk.deep_clone();
            disk.write_file(file, &damaged);
            open_and_read(&disk);
        }
    }
}

/// Numbers that may be used as a length, in a file of `size` bytes.
fn numbers(width: usize, size: u64) -> [u64; NUMBERS_LEN] {
    let signed_max = u64::MAX >> (65 - 8 * width);
    [u64::MAX, signed_max, 0, size - 1, size, size + 1]
}

/// Opens and reads the log. Any error is fine; a panic is not.
fn open_and_read(disk: &SimDisk) {
    if let Ok(log) = Log::open_in(disk.directory(), &options()) {
        let (start, end) = (log.start_offset().get(), log.end_offset().get());
        for offset in (start..end).take(100) {
            drop(log.read(offset));
        }
        log.records(start..).take(100).for_each(drop);
    }
}
