//! A process that appends to a log and prints the result of each append, so that its parent can kill it, or make its
//! calls fail.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use proglog_log::{ErrorKind, Log, LogOptions, Outcome};
use serde::{Deserialize, Serialize};

use super::values::value;
use super::{clock, limit};

/// The first argument of the process.
pub(crate) const NAME: &str = "writer";

/// The options of the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Options {
    /// The directory of the log.
    pub(crate) directory: PathBuf,
    /// The number of processes that have written to the log before. It is part of the records' numbers.
    pub(crate) life: u64,
    pub(crate) records: u64,
    pub(crate) segment_bytes: u64,
    /// Chooses how long values are.
    pub(crate) seed: u64,
    /// The number of records after which all but the last few are dropped; 0 means never.
    pub(crate) trim_every: u64,
    /// True if the process ends without closing the log.
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

/// The most records of one life: the numbers of the next one follow.
const RECORDS_PER_LIFE: u64 = 1_000_000;

/// Longer than any process writes, also under strace and on a slow disk.
pub(crate) const TIME_MAX: Duration = Duration::from_mins(1);

/// The number of records that a trim leaves.
const RECORDS_LEFT: u64 = 5;

/// A command that starts the process.
pub(crate) fn command(options: &Options) -> anyhow::Result<Command> {
    super::itself(NAME, options)
}

/// The result of an append that succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged {
    pub(crate) offset: u64,
    /// The time of the return, by [`clock::now`].
    pub(crate) at: u64,
}

/// The events that a process printed.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Records by their numbers.
    pub(crate) acknowledged: BTreeMap<u64, Acknowledged>,
    /// Records whose append failed, and whether the error says that they were not appended.
    pub(crate) failed: BTreeMap<u64, bool>,
    /// The start by the last successful trim, and the highest requested one.
    pub(crate) trimmed: u64,
    pub(crate) trim_asked: u64,
    /// True if everything was done.
    pub(crate) ended: bool,
    /// True if it was killed at the time limit.
    pub(crate) hangs: bool,
    /// The standard error.
    pub(crate) errors: String,
    /// The number of failed openings.
    pub(crate) unopened: u64,
    /// The number of appends that succeeded after a failed one, before the log was opened again.
    pub(crate) went_on: u64,
    has_failed: bool,
}

/// Runs `command` to its end, or up to the time limit, and returns its events.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Events> {
    let (output, hangs) = limit::output(command.stderr(Stdio::piped()), TIME_MAX)?;
    Ok(Events {
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        hangs,
        ..read(&output.stdout[..])?
    })
}

/// Reads the events of a process, to the end.
pub(crate) fn read(output: impl Read) -> anyhow::Result<Events> {
    let mut events = Events::default();
    for line in BufReader::new(output).lines() {
        events.add(&line?)?;
    }
    Ok(events)
}

impl Events {
    /// Fails if the process did not end.
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
            _ => ensure!(line.len() < 60, "the process printed {line:?}"),
        }
        Ok(())
    }
}

/// The main function of the process.
pub(crate) fn main(options: &str) -> anyhow::Result<ExitCode> {
    let options: Options = serde_json::from_str(options)?;
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
    print(&"ended");
    // Dropping a log closes it.
    std::process::exit(0);
}

/// Appends a record, and prints the result.
fn append(log: &Log, id: u64, seed: u64) -> proglog_log::Result<u64> {
    match log.append(value(id, seed)) {
        Ok(offset) => {
            print(&format_args!("kept {id} {offset} {}", clock::now()));
            Ok(offset.get())
        }
        Err(error) => {
            let nowhere = error.outcome() == Outcome::NotAppended;
            let outcome = if nowhere { "nowhere" } else { "unknown" };
            print(&format_args!("failed {id} {outcome}"));
            Err(error)
        }
    }
}

/// Drops all but a few records up to the one at `offset`, and prints whether that succeeded.
fn trim(log: &Log, offset: u64) -> proglog_log::Result<()> {
    let start = (offset + 1).saturating_sub(RECORDS_LEFT);
    print(&format_args!("trim {start}"));
    log.trim(start)?;
    print(&"trimmed");
    Ok(())
}

/// Opens the log, also where a call fails once.
fn open(options: &Options) -> anyhow::Result<Log> {
    let log_options = LogOptions::new()
        .segment_bytes_max(options.segment_bytes)
        .preallocate_max(64 << 10);
    let open = || Log::open(&options.directory, &log_options);
    open()
        .or_else(|_| {
            print(&"unopened");
            open()
        })
        .inspect(|_| print(&"opened"))
        .context("cannot open the log")
}

/// Writes one line, whole.
fn print(line: &dyn fmt::Display) {
    let line = format!("{line}\n");
    // The parent may be gone.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
