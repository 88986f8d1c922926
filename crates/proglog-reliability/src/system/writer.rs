//! A process that appends to a log and tells what became of each record, so that it can be killed, cut
//! off and lied to by whoever started it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use proglog_log::{ErrorKind, Log, Outcome};

use super::values::value;
use super::{clock, limit};

/// The first argument of the process.
pub(crate) const NAME: &str = "writer";

/// What the process is asked to do.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Options {
    /// Where the log is.
    pub(crate) directory: PathBuf,
    /// How many processes have written to the log before; the records' numbers say so.
    #[arg(long)]
    pub(crate) life: u64,
    #[arg(long)]
    pub(crate) records: u64,
    #[arg(long)]
    pub(crate) segment_bytes: u64,
    /// Chooses how long values are.
    #[arg(long)]
    pub(crate) seed: u64,
    /// After so many records all but the last few are dropped; 0 means never.
    #[arg(long, default_value_t = 0)]
    pub(crate) trim_every: u64,
    /// Whether what comes before the end of the process is left out: closing the log.
    #[arg(long)]
    pub(crate) leave_open: bool,
}

impl Options {
    /// 100 records in segments of 8 KiB.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            life: 0,
            records: 100,
            segment_bytes: 8 << 10,
            seed: 0,
            trim_every: 0,
            leave_open: false,
        }
    }
}

/// How many records one life can write: the numbers of the next one begin behind them.
const RECORDS_PER_LIFE: u64 = 1_000_000;

/// Longer than any process writes, also under strace and on a slow disk.
pub(crate) const TIME_MAX: Duration = Duration::from_mins(1);

/// How many records a trim leaves.
const RECORDS_LEFT: u64 = 5;

/// A command that starts the process.
pub(crate) fn command(options: &Options) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let mut command = Command::new(program);
    command.arg(NAME).arg(&options.directory);
    let numbers = [
        ("--life", options.life),
        ("--records", options.records),
        ("--segment-bytes", options.segment_bytes),
        ("--seed", options.seed),
        ("--trim-every", options.trim_every),
    ];
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    if options.leave_open {
        command.arg("--leave-open");
    }
    Ok(command)
}

/// What became of an append that succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged {
    pub(crate) offset: u64,
    /// When it came back, as [`clock::now`] tells it.
    pub(crate) at: u64,
}

/// What a process told.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Records by their numbers.
    pub(crate) acknowledged: BTreeMap<u64, Acknowledged>,
    /// Records whose append failed, and whether it is said that they are nowhere.
    pub(crate) failed: BTreeMap<u64, bool>,
    /// The start that the log was last given by a trim that succeeded, and the highest that was asked for.
    pub(crate) trimmed: u64,
    pub(crate) trim_asked: u64,
    /// Whether all was done.
    pub(crate) ended: bool,
    /// Whether it did not end by itself, and was killed.
    pub(crate) hangs: bool,
    /// What it wrote to standard error.
    pub(crate) errors: String,
    /// How often the log could not be opened.
    pub(crate) unopened: u64,
    /// How many appends succeeded after one had failed, without the log having been opened again.
    pub(crate) went_on: u64,
    has_failed: bool,
}

/// Runs `command` and returns what it tells until it ends, however that comes, or for as long as it may take.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Events> {
    let (output, hangs) = limit::output(command.stderr(Stdio::piped()), TIME_MAX)?;
    Ok(Events {
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        hangs,
        ..read(&output.stdout[..])?
    })
}

/// Reads what a process tells, to the end.
pub(crate) fn read(output: impl Read) -> anyhow::Result<Events> {
    let mut events = Events::default();
    for line in BufReader::new(output).lines() {
        events.add(&line?)?;
    }
    Ok(events)
}

impl Events {
    /// That it came to no end is bad, whatever else it told.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        if self.hangs {
            return Err(format!("the writer does not end: {}", self.errors));
        }
        Ok(())
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        let words: Vec<_> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().with_context(|| line.to_owned());
        match words[..] {
            ["kept", id, offset, at] => {
                let (offset, at) = (number(offset)?, number(at)?);
                self.went_on += u64::from(self.has_failed);
                let kept = Acknowledged { offset, at };
                self.acknowledged.insert(number(id)?, kept);
            }
            ["failed", id, nowhere] => {
                self.has_failed = true;
                self.failed.insert(number(id)?, nowhere == "nowhere");
            }
            ["opened"] => self.has_failed = false,
            ["trim", start] => self.trim_asked = number(start)?,
            ["trimmed"] => self.trimmed = self.trim_asked,
            ["unopened"] => self.unopened += 1,
            ["ended"] => self.ended = true,
            // A process that is killed may have written a part of its last line.
            _ => ensure!(line.len() < 60, "the process told {line:?}"),
        }
        Ok(())
    }
}

/// What the process does.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let options = Options::parse_from(arguments);
    let mut log = open(&options)?;
    for number in 0..options.records {
        let id = options.life * RECORDS_PER_LIFE + number;
        let appended = append(&log, id, options.seed);
        let done = appended.and_then(|offset| {
            let is_due = options.trim_every > 0 && (number + 1).is_multiple_of(options.trim_every);
            if is_due { trim(&log, offset) } else { Ok(()) }
        });
        if done.is_err_and(|error| error.kind() == ErrorKind::Poisoned) {
            drop(log);
            log = open(&options)?;
        }
    }
    if !options.leave_open {
        log.close().context("cannot close the log")?;
    }
    tell(&"ended");
    // Dropping a log closes it.
    std::process::exit(0);
}

/// Appends a record, and tells what became of it.
fn append(log: &Log, id: u64, seed: u64) -> proglog_log::Result<u64> {
    match log.append(value(id, seed)) {
        Ok(offset) => {
            tell(&format_args!("kept {id} {offset} {}", clock::now()));
            Ok(offset.get())
        }
        Err(error) => {
            let nowhere = error.outcome() == Outcome::NotAppended;
            let outcome = if nowhere { "nowhere" } else { "unknown" };
            tell(&format_args!("failed {id} {outcome}"));
            Err(error)
        }
    }
}

/// Drops all but a few records up to the one at `offset`, and tells whether that succeeded.
fn trim(log: &Log, offset: u64) -> proglog_log::Result<()> {
    let start = (offset + 1).saturating_sub(RECORDS_LEFT);
    tell(&format_args!("trim {start}"));
    log.trim(start)?;
    tell(&"trimmed");
    Ok(())
}

/// Opens the log, also where a call fails once.
fn open(options: &Options) -> anyhow::Result<Log> {
    let log_options = proglog_log::Options::new()
        .segment_bytes_max(options.segment_bytes)
        .fill_ahead_max(64 << 10);
    let open = || Log::open(&options.directory, &log_options);
    open()
        .or_else(|_| {
            tell(&"unopened");
            open()
        })
        .inspect(|_| tell(&"opened"))
        .context("cannot open the log")
}

/// Writes one line, whole.
fn tell(line: &dyn fmt::Display) {
    let line = format!("{line}\n");
    // Whoever started the process may be gone.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
