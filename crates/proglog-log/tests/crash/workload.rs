//! What is done to a log, step by step, the same in every run.

use proglog_log::{Durability, Error, ErrorKind, Log, Options, Ticket};
use proglog_store::testing::SimDisk;

use crate::history::{Checked, Cut, End, History, Shape};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Append a batch of so many records of that length, and wait.
    Append(usize, usize),
    /// Append a batch and do not wait.
    Submit(usize, usize),
    /// Wait for all that was submitted.
    Wait,
    Sync,
    /// Drop so many of the oldest records.
    Trim(u64),
    /// Drop all that readers see.
    TrimAll,
    /// Drop so many of the newest records, and all that was submitted behind them.
    Truncate(u64),
    /// Drop all records and leave out so many offsets.
    Reset(u64),
    /// Close the log and open it again.
    Reopen,
}

use Step::{Append, Reopen, Reset, Submit, Sync, Trim, TrimAll, Truncate, Wait};

#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes_max: u64,
    pub(crate) steps: &'static [Step],
    /// What is done once the log was opened again after a crash.
    pub(crate) afterwards: &'static [Step],
    /// How many seeded choices of survivors are tried at each call.
    pub(crate) seeds: u64,
    /// Of one thing left in so many the recovery is stopped at each of its calls, too.
    pub(crate) recoveries: u64,
}

impl Workload {
    /// Whether a run is so quick that every call can be tried in many ways.
    pub(crate) fn is_small(&self) -> bool {
        self.seeds > 100
    }
}

/// An interval that never ends.
const INTERVAL: Durability = Durability::Interval(std::time::Duration::MAX);

/// Each fills three segments, or more.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "singles",
        durability: Durability::Synced,
        segment_bytes_max: 1 << 10,
        steps: SINGLES,
        afterwards: AFTERWARDS,
        seeds: 400,
        recoveries: 3,
    },
    Workload {
        name: "batches",
        durability: Durability::Synced,
        segment_bytes_max: 2 << 10,
        steps: BATCHES,
        afterwards: AFTERWARDS,
        seeds: 400,
        recoveries: 8,
    },
    Workload {
        name: "tickets",
        durability: Durability::Synced,
        segment_bytes_max: 1 << 10,
        steps: TICKETS,
        afterwards: AFTERWARDS,
        seeds: 400,
        recoveries: 3,
    },
    Workload {
        name: "larger than the buffer",
        durability: Durability::Synced,
        segment_bytes_max: 400 << 10,
        steps: LARGE,
        afterwards: AFTERWARDS,
        seeds: 12,
        recoveries: 40,
    },
    Workload {
        name: "interval",
        durability: INTERVAL,
        segment_bytes_max: 1 << 10,
        steps: WEAK,
        afterwards: AFTERWARDS,
        seeds: 400,
        recoveries: 5,
    },
    Workload {
        name: "buffered",
        durability: Durability::Buffered,
        segment_bytes_max: 1 << 10,
        steps: WEAK,
        afterwards: AFTERWARDS,
        seeds: 400,
        recoveries: 3,
    },
    Workload {
        name: "buffered, larger than the buffer",
        durability: Durability::Buffered,
        segment_bytes_max: 400 << 10,
        steps: WEAK_LARGE,
        afterwards: AFTERWARDS,
        seeds: 12,
        recoveries: 40,
    },
    Workload {
        name: "trims",
        durability: Durability::Synced,
        segment_bytes_max: 1 << 10,
        steps: TRIMS,
        afterwards: AFTERWARDS_CUT,
        seeds: 200,
        recoveries: 6,
    },
    Workload {
        name: "cuts",
        durability: Durability::Synced,
        segment_bytes_max: 1 << 10,
        steps: CUTS,
        afterwards: AFTERWARDS_CUT,
        seeds: 200,
        recoveries: 6,
    },
    Workload {
        name: "interval, trimmed and cut",
        durability: INTERVAL,
        segment_bytes_max: 1 << 10,
        steps: WEAK_CUTS,
        afterwards: AFTERWARDS_CUT,
        seeds: 200,
        recoveries: 5,
    },
    Workload {
        name: "buffered, trimmed and cut",
        durability: Durability::Buffered,
        segment_bytes_max: 1 << 10,
        steps: WEAK_CUTS,
        afterwards: AFTERWARDS_CUT,
        seeds: 200,
        recoveries: 5,
    },
];

/// The closing mark of the first step may stand where the lost mark of a torn write stood.
const AFTERWARDS: &[Step] = &[
    Reopen,
    Append(1, 25),
    Append(2, 40),
    Submit(1, 600),
    Append(1, 30),
];

const AFTERWARDS_CUT: &[Step] = &[
    Trim(2),
    Append(2, 30),
    Truncate(1),
    Append(1, 300),
    Reset(1),
    Append(1, 30),
];

const SINGLES: &[Step] = &[
    Append(1, 20),
    Append(1, 200),
    Sync,
    Append(1, 90),
    Append(1, 300),
    Append(1, 150),
    Append(1, 14),
    Append(1, 400),
    Reopen,
    Append(1, 80),
    Append(1, 250),
    Append(1, 120),
    Append(1, 30),
    Append(1, 500),
    Append(1, 700),
    Append(1, 60),
    Append(1, 20),
];

const BATCHES: &[Step] = &[
    Append(3, 40),
    Append(2, 600),
    Append(12, 200),
    Append(1, 20),
    Reopen,
    Append(4, 300),
    Append(2, 14),
    Sync,
    Append(30, 100),
    Append(5, 60),
    Append(3, 500),
];

const TICKETS: &[Step] = &[
    Submit(1, 50),
    Submit(2, 60),
    Wait,
    Submit(1, 300),
    Submit(1, 200),
    Submit(3, 100),
    Sync,
    Submit(2, 90),
    Append(1, 30),
    Submit(1, 400),
    Reopen,
    Submit(1, 20),
    Submit(5, 150),
    Submit(1, 100),
    Wait,
    Submit(1, 500),
    Append(2, 30),
    Submit(1, 40),
    Submit(2, 40),
];

const LARGE: &[Step] = &[
    Append(1, 30),
    Submit(1, 40),
    Append(4, 70_000),
    Append(1, 30),
    Submit(2, 50),
    Submit(2, 60_000),
    Reopen,
    Append(1, 200),
    Append(6, 50_000),
    Submit(1, 20),
    Append(4, 80_000),
];

const WEAK: &[Step] = &[
    Append(1, 50),
    Append(2, 100),
    Submit(1, 200),
    Append(1, 30),
    Sync,
    Append(1, 60),
    Append(3, 90),
    Append(1, 120),
    Append(2, 200),
    Submit(1, 20),
    Append(1, 70),
    Append(1, 40),
    Reopen,
    Append(1, 100),
    Append(2, 30),
    Append(1, 400),
    Append(1, 600),
    Append(1, 30),
    Submit(1, 50),
    Append(1, 20),
    Append(2, 40),
];

const WEAK_LARGE: &[Step] = &[
    Append(2, 60_000),
    Append(1, 50),
    Append(2, 50_000),
    Append(3, 40_000),
    Sync,
    Append(2, 30_000),
    Append(2, 70_000),
    Append(5, 60_000),
    Append(1, 40),
    Append(1, 100_000),
    Append(2, 90_000),
];

const TRIMS: &[Step] = &[
    Append(3, 40),
    Trim(2),
    Append(4, 250),
    Append(1, 300),
    Submit(2, 30),
    Trim(4),
    Wait,
    Append(3, 400),
    Append(1, 60),
    Trim(7),
    TrimAll,
    Append(2, 50),
    TrimAll,
    TrimAll,
    Submit(1, 30),
    TrimAll,
    Append(2, 500),
    Trim(1),
    Reopen,
    Append(1, 20),
];

const CUTS: &[Step] = &[
    Append(3, 40),
    Truncate(2),
    Append(2, 300),
    Append(1, 400),
    Submit(1, 30),
    Submit(2, 30),
    Truncate(1),
    Wait,
    Append(4, 350),
    Append(2, 100),
    Truncate(6),
    Append(1, 20),
    Trim(3),
    Reopen,
    Truncate(1),
    Reset(3),
    Append(2, 30),
    Submit(1, 600),
    Reset(0),
    Append(3, 30),
    Truncate(3),
    Append(1, 50),
];

const WEAK_CUTS: &[Step] = &[
    Append(2, 40),
    Trim(1),
    Append(3, 300),
    Append(1, 100),
    Truncate(2),
    Append(2, 200),
    Submit(2, 40),
    Trim(3),
    Append(2, 500),
    Truncate(1),
    Reopen,
    Append(1, 30),
    TrimAll,
    Append(3, 30),
    Reset(2),
    Append(2, 100),
    Append(1, 20),
];

/// A log on a simulated disk, and what happened to it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) disk: SimDisk,
    pub(crate) history: History,
    options: Options,
    log: Option<Log>,
    tickets: Vec<(usize, Ticket)>,
    /// How many operations failed.
    failures: usize,
    /// Whether the log says that it has to be opened again.
    poisoned: bool,
}

impl Run {
    /// A run on a disk whose log is not open, with what is known of it.
    pub(crate) fn new(workload: &Workload, disk: SimDisk, history: History) -> Self {
        let options = Options::new()
            .idle_after(std::time::Duration::MAX)
            .segment_bytes_max(workload.segment_bytes_max)
            .durability(workload.durability);
        Self {
            disk,
            history,
            options,
            log: None,
            tickets: Vec::new(),
            failures: 0,
            poisoned: false,
        }
    }

    /// Opens the log after its last life ended like `end`, and checks what it shows.
    pub(crate) fn open(&mut self, end: End) -> Checked {
        self.opened(end)?
            .map_err(|error| format!("the log cannot be opened: {error:?}"))
    }

    /// As [`Run::open`], while faults are injected: it may fail.
    pub(crate) fn try_open(&mut self, end: End) -> Checked {
        let opened = self.opened(end)?;
        self.failures += usize::from(opened.is_err());
        Ok(())
    }

    fn opened(&mut self, end: End) -> Checked<Result<(), Error>> {
        match Log::open_in(self.disk.directory(), &self.options) {
            _ if self.disk.has_crashed() => {}
            Ok(log) => {
                self.history.reopened(&log, end)?;
                self.check_files(&log)?;
                self.log = Some(log);
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.log.is_some()
    }

    /// Does the steps until the process dies. `failed` is called after each step in which something
    /// failed.
    pub(crate) fn steps(
        &mut self,
        steps: &[Step],
        mut failed: impl FnMut(&mut Self) -> Checked,
    ) -> Checked {
        for step in steps {
            let failures = self.failures;
            if self.log.is_none() {
                self.try_open(End::Kill)?;
            }
            if self.log.is_some() {
                self.step(*step)?;
            }
            if self.disk.has_crashed() {
                return Ok(());
            }
            if self.poisoned {
                self.open_poisoned()?;
            }
            match self.observe() {
                // Where files were opened again, reads are counted too.
                Err(_) if self.disk.has_crashed() => return Ok(()),
                observed => observed?,
            }
            if failures < self.failures {
                failed(self)?;
            }
        }
        Ok(())
    }

    fn observe(&mut self) -> Checked {
        if let Some(log) = &self.log {
            self.history.observe(log)?;
        }
        // A segment is made once all before it is on the device, or is dropped.
        if !self.history.is_being_cut() {
            let newest = self.bases().last().copied();
            self.history.on_device_below(newest.unwrap_or(0));
        }
        Ok(())
    }

    /// The base offsets of the segments that there are.
    fn bases(&self) -> Vec<u64> {
        let names = self.disk.file_names();
        let bases = names.iter().filter_map(|name| name.strip_suffix(".log"));
        bases.filter_map(|base| base.parse().ok()).collect()
    }

    /// Only segments are left that have a record, and the active one.
    fn check_files(&self, log: &Log) -> Checked {
        let (start, end) = (log.start_offset().get(), log.end_offset().get());
        let bases = self.bases();
        let has_start = bases.first().is_some_and(|first| *first <= start);
        if !has_start || bases[1..].iter().any(|base| *base <= start || *base > end) {
            return Err(format!(
                "a log of {start}..{end} has the segments {bases:?}"
            ));
        }
        Ok(())
    }

    /// The file of a sealed segment ends with its data.
    pub(crate) fn check_sealed(&self) -> Checked {
        let bases = self.bases();
        for base in &bases[..bases.len().saturating_sub(1)] {
            let bytes = self.disk.read_file(&format!("{base:020}.log"));
            if bytes.ends_with(&[0; 64]) {
                return Err(format!("segment {base} ends with zeros"));
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Checked {
        match step {
            Append(records, len) => {
                self.submit(Shape { records, len })?;
                self.wait()
            }
            Submit(records, len) => self.submit(Shape { records, len }),
            Wait => self.wait(),
            Sync => {
                let synced = self.log.as_ref().map(Log::sync);
                match synced {
                    Some(Ok(())) => self.history.synced()?,
                    Some(Err(error)) => self.fail(&error),
                    None => {}
                }
                Ok(())
            }
            Trim(records) => self.trim(|log| log.start_offset().get() + records),
            TrimAll => self.trim(|log| log.end_offset().get()),
            Truncate(records) => self.cut(
                |log| Cut {
                    end: (log.end_offset().get().saturating_sub(records))
                        .max(log.start_offset().get()),
                    is_reset: false,
                },
                |log, cut| log.truncate(cut.end),
            ),
            Reset(records) => {
                // The end that is assigned, not only what readers see.
                self.wait()?;
                self.cut(
                    |log| Cut {
                        end: log.end_offset().get() + records,
                        is_reset: true,
                    },
                    |log, cut| log.reset(cut.end),
                )
            }
            Reopen => self.reopen(),
        }
    }

    fn trim(&mut self, start: impl Fn(&Log) -> u64) -> Checked {
        let Some(log) = &self.log else { return Ok(()) };
        let start = start(log).min(log.end_offset().get());
        self.history.trimming(start);
        match log.trim(start) {
            _ if self.disk.has_crashed() => Ok(()),
            Ok(()) => self.history.started(start),
            Err(error) => {
                self.poisoned |= is_poisoned(log);
                self.fail(&error);
                Ok(())
            }
        }
    }

    fn cut(
        &mut self,
        wanted: impl Fn(&Log) -> Cut,
        cut: impl Fn(&Log, Cut) -> Result<(), Error>,
    ) -> Checked {
        let Some(log) = &self.log else { return Ok(()) };
        let wanted = wanted(log);
        self.history.cutting(wanted);
        match cut(log, wanted) {
            _ if self.disk.has_crashed() => {}
            Ok(()) if log.end_offset().get() != wanted.end => {
                return Err(format!("{wanted:?} left the end at {}", log.end_offset()));
            }
            Ok(()) => self.history.was_cut(),
            Err(error) => {
                if is_poisoned(log) {
                    self.poisoned = true;
                } else {
                    self.history.failed_to_cut(log);
                }
                self.fail(&error);
            }
        }
        Ok(())
    }

    fn submit(&mut self, shape: Shape) -> Checked {
        let Some(log) = &self.log else { return Ok(()) };
        let (number, batch) = self.history.ask(shape);
        match log.submit(batch) {
            _ if self.disk.has_crashed() => Ok(()),
            Ok(ticket) => {
                self.history
                    .accepted(number, ticket.offsets().start.get())?;
                self.tickets.push((number, ticket));
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                self.history.failed(number, error.outcome())
            }
        }
    }

    fn wait(&mut self) -> Checked {
        for (number, ticket) in std::mem::take(&mut self.tickets) {
            if self.disk.has_crashed() {
                return Ok(());
            }
            match ticket.wait() {
                _ if self.disk.has_crashed() => {}
                Ok(_) => self.history.acknowledged(number)?,
                Err(error) => {
                    self.fail(&error);
                    self.history.failed(number, error.outcome())?;
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: &Error) {
        self.failures += 1;
        self.poisoned |= error.kind() == ErrorKind::Poisoned;
    }

    fn open_poisoned(&mut self) -> Checked {
        if let Some(log) = &self.log {
            self.history.observe(log)?;
        }
        self.wait()?;
        self.log = None;
        self.poisoned = false;
        self.try_open(End::Kill)
    }

    fn reopen(&mut self) -> Checked {
        let Some(log) = self.log.take() else {
            return Ok(());
        };
        let closed = log.close();
        if self.disk.has_crashed() {
            return Ok(());
        }
        if closed.is_ok() {
            self.history.synced()?;
        } else {
            self.failures += 1;
        }
        self.wait()?;
        drop(log);
        self.try_open(End::Kill)
    }
}

/// Whether the log has to be opened again: trimming what is trimmed does nothing, and tells.
fn is_poisoned(log: &Log) -> bool {
    log.trim(0)
        .is_err_and(|error| error.kind() == ErrorKind::Poisoned)
}
