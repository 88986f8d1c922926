//! Workloads: steps of a log that are the same in every run.

use std::ops::Range;

use proglog_log::{Durability, Error, ErrorKind, Log, LogOptions, Ticket};
use proglog_store::testing::SimDisk;

use super::background;
use super::history::{Checked, Cut, End, History, Shape};
use super::keeping::Keeps;

#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Append a batch of this many records of this length, and wait.
    Append(usize, usize),
    /// Append a batch and do not wait.
    Submit(usize, usize),
    /// Wait for all that was submitted.
    Wait,
    Sync,
    /// Drop this many of the oldest records.
    Trim(u64),
    /// Drop all that readers see.
    TrimAll,
    /// Drop this many of the newest records, and everything submitted after them.
    Truncate(u64),
    /// Drop all records and skip this many offsets.
    Reset(u64),
    /// Put all on the device, and drop what the policy of retention lets go.
    Retain,
    /// Close the log and open it again.
    Reopen,
}

use Step::{Append, Reopen, Reset, Retain, Submit, Sync, Trim, TrimAll, Truncate, Wait};

#[derive(Debug, Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    pub durability: Durability,
    pub segment_bytes_max: u64,
    /// The least that retention keeps.
    pub keeps: Keeps,
    pub steps: &'static [Step],
    /// The steps after the log was opened again.
    pub afterwards: &'static [Step],
    /// Another one makes other choices.
    pub seed: u64,
    /// The number of seeded choices of survivors at each call.
    pub seeds: u64,
    /// One of this many recoveries is stopped at each of its calls.
    pub recoveries: u64,
}

impl Workload {
    pub fn seed_range(&self) -> Range<u64> {
        self.seed..self.seed + self.seeds
    }

    /// True if a run is quick enough to try every call in many ways.
    pub fn is_small(&self) -> bool {
        self.seeds > 100
    }
}

/// A log on a simulated disk, and what happened to it.
#[derive(Debug)]
pub struct Run {
    pub disk: SimDisk,
    pub history: History,
    options: LogOptions,
    keeps: Keeps,
    log: Option<Log>,
    tickets: Vec<(usize, Ticket)>,
    /// The number of failed operations.
    failures: usize,
    /// True if the log is poisoned.
    poisoned: bool,
}

impl Run {
    /// A run on a disk whose log is not open, with what is known of it.
    pub fn new(workload: &Workload, disk: SimDisk, history: History) -> Self {
        background::stop();
        let options = LogOptions::new()
            .idle_after(std::time::Duration::MAX)
            .segment_bytes_max(workload.segment_bytes_max)
            .durability(workload.durability)
            .retention(workload.keeps.policy());
        Self {
            disk,
            history,
            options,
            keeps: workload.keeps,
            log: None,
            tickets: Vec::new(),
            failures: 0,
            poisoned: false,
        }
    }

    /// Opens the log after its last life ended like `end`, and checks what it shows.
    pub fn open(&mut self, end: End) -> Checked {
        self.opened(end)?
            .map_err(|error| format!("the log cannot be opened: {error:?}"))
    }

    /// As [`Run::open`], while faults are injected: it may fail.
    pub fn try_open(&mut self, end: End) -> Checked {
        let opened = self.opened(end)?;
        self.failures += usize::from(opened.is_err());
        Ok(())
    }

    fn opened(&mut self, end: End) -> Checked<Result<(), Error>> {
        match Log::open_in(self.disk.directory(), &self.options) {
            _ if self.disk.has_crashed() => {}
            Ok(log) => {
                self.note_retained(&log)?;
                self.history.reopened(&log, end)?;
                self.check_files(&log)?;
                self.log = Some(log);
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    /// If the log starts later than requested, its policy must allow that.
    fn note_retained(&mut self, log: &Log) -> Checked {
        let (start, end) = (log.start_offset().get(), log.end_offset().get());
        if self.keeps.is_all() || self.history.may_start(start) {
            return Ok(());
        }
        let bases = self.bases();
        self.keeps.check_start(&self.disk, &bases, (start, end))?;
        self.history.trimming(start);
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.log.is_some()
    }

    /// Does the steps until the process dies. `failed` is called after each step in which something
    /// failed.
    pub fn steps(
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
            if !self.disk.has_crashed() {
                background::run();
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
        if let Some(log) = self.log.clone() {
            self.note_retained(&log)?;
            self.history.observe(&log)?;
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
    pub fn check_sealed(&self) -> Checked {
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
            Sync => self.sync().map(drop),
            Trim(records) => self.trim(|log| log.start_offset().get() + records),
            TrimAll => self.trim(|log| log.end_offset().get()),
            Truncate(records) => {
                self.cut(
                    |log| Cut {
                        end: (log.end_offset().get().saturating_sub(records))
                            .max(log.start_offset().get()),
                        is_reset: false,
                    },
                    |log, cut| log.truncate(cut.end),
                );
                Ok(())
            }
            Reset(records) => {
                // The end that is assigned, not only what readers see.
                self.wait()?;
                self.cut(
                    |log| Cut {
                        end: log.end_offset().get() + records,
                        is_reset: true,
                    },
                    |log, cut| log.reset(cut.end),
                );
                Ok(())
            }
            Retain => {
                let synced = self.sync()?;
                self.retain(synced)
            }
            Reopen => self.reopen(),
        }
    }

    /// Returns whether all is on the device.
    fn sync(&mut self) -> Checked<bool> {
        let synced = self.log.as_ref().map(Log::sync);
        match synced {
            _ if self.disk.has_crashed() => {}
            Some(Ok(())) => {
                self.history.synced()?;
                return Ok(true);
            }
            Some(Err(error)) => self.fail(&error),
            None => {}
        }
        Ok(false)
    }

    fn retain(&mut self, synced: bool) -> Checked {
        let Some(log) = self.log.clone() else {
            return Ok(());
        };
        match log.apply_retention() {
            _ if self.disk.has_crashed() => {}
            Ok(start) => {
                self.note_retained(&log)?;
                if start != log.start_offset() {
                    return Err(format!("retention tells of a start at {start}"));
                }
                if synced {
                    let (bases, shown) = (self.bases(), (start.get(), log.end_offset().get()));
                    self.keeps.check_dropped(&self.disk, &bases, shown)?;
                }
            }
            Err(error) => self.fail(&error),
        }
        Ok(())
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

    fn cut(&mut self, wanted: impl Fn(&Log) -> Cut, cut: impl Fn(&Log, Cut) -> Result<(), Error>) {
        let Some(log) = &self.log else { return };
        let wanted = wanted(log);
        self.history.cutting(wanted);
        match cut(log, wanted) {
            _ if self.disk.has_crashed() => {}
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
    }

    fn submit(&mut self, shape: Shape) -> Checked {
        let Some(log) = &self.log else { return Ok(()) };
        let (number, batch) = self.history.ask(shape);
        match log.submit_batch(batch) {
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
        if let Some(log) = self.log.clone() {
            self.note_retained(&log)?;
            self.history.observe(&log)?;
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

/// True if the log is poisoned: a trim of trimmed records does nothing else than report it.
fn is_poisoned(log: &Log) -> bool {
    log.trim(0)
        .is_err_and(|error| error.kind() == ErrorKind::Poisoned)
}
