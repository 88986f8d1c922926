//! The knowledge about a log, over all lives of its writers, that the log has to agree with. The names of the anomalies
//! are Jepsen's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use proglog_log::Log;

use super::values::parse;
use super::writer::Events;

/// Acknowledged, read and rejected records.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The records' numbers by offset, and their offsets by number.
    records: BTreeMap<u64, u64>,
    offsets: HashMap<u64, u64>,
    /// The numbers of rejected records.
    nowhere: BTreeSet<u64>,
    /// The last acknowledged trim, and the highest requested one, which may have been done.
    pub(crate) trimmed: u64,
    pub(crate) trim_asked: u64,
}

impl Known {
    /// Adds the events of a writer, which must have ended.
    pub(crate) fn learn(&mut self, events: &Events) -> Result<(), String> {
        events.check_end()?;
        for (id, kept) in &events.acknowledged {
            self.note(kept.offset, *id)?;
        }
        for (id, _) in events.failed.iter().filter(|(_, nowhere)| **nowhere) {
            self.refuse(*id)?;
        }
        self.trimmed = self.trimmed.max(events.trimmed);
        self.trim_asked = self.trim_asked.max(events.trim_asked);
        Ok(())
    }

    /// Notes that record `id` is nowhere; fails if it was seen.
    pub(crate) fn refuse(&mut self, id: u64) -> Result<(), String> {
        self.nowhere.insert(id);
        let seen = self.offsets.get(&id).map(|offset| (*offset, id));
        seen.map_or(Ok(()), |(offset, id)| self.note(offset, id))
    }

    /// Notes that record `id` is at `offset`; fails if another one was there, or if it was elsewhere or rejected.
    pub(crate) fn note(&mut self, offset: u64, id: u64) -> Result<(), String> {
        let known = *self.records.entry(offset).or_insert(id);
        let other = *self.offsets.entry(id).or_insert(offset);
        Err(if known != id {
            format!("inconsistent-offsets: offset {offset} was given to {known} and to {id}")
        } else if other != offset {
            format!("duplicate: record {id} is at {other} and at {offset}")
        } else if self.nowhere.contains(&id) {
            format!("aborted-read: record {id} was refused and is at {offset}")
        } else {
            return Ok(());
        })
    }

    /// The end of the known offsets (exclusive).
    pub(crate) fn end(&self) -> u64 {
        self.records
            .last_key_value()
            .map_or(0, |(offset, _)| offset + 1)
    }

    /// Opens the log and checks all of it; its records are known from then on. Returns their number.
    pub(crate) fn check(&mut self, directory: &Path) -> Result<u64, String> {
        let log = Log::open(directory, &proglog_log::LogOptions::new())
            .map_err(|error| format!("the log cannot be opened: {error:?}"))?;
        let count = self.check_open(&log)?;
        log.close()
            .map_err(|error| format!("the log cannot be closed: {error:?}"))?;
        Ok(count)
    }

    /// As [`Known::check`], of a log whose making may have been cut short. Returns the number of logs that were checked.
    pub(crate) fn check_made(&mut self, directory: &Path) -> Result<u64, String> {
        let is_made = directory.join("checkpoint").exists() || self.end() > 0;
        if is_made {
            self.check(directory)?;
        }
        Ok(is_made.into())
    }

    /// As [`Known::check`], of an open log that nobody appends to.
    pub(crate) fn check_open(&mut self, log: &Log) -> Result<u64, String> {
        let (start, end) = (log.start_offset().get(), log.end_offset().get());
        let starts = self.trimmed..=self.trim_asked;
        if !starts.contains(&start) {
            return Err(format!("the log begins at {start}, not in {starts:?}"));
        }
        let mut next = start;
        for record in log.records(start..) {
            let record = record.map_err(|error| format!("lost-write: offset {next}: {error:?}"))?;
            if record.offset != next {
                return Err(format!("poll-skip: {} stands at {next}", record.offset));
            }
            self.note(next, parse(&record.value)?)?;
            next += 1;
        }
        if next != end {
            return Err(format!(
                "poll-skip: a walk ends at {next}, the log at {end}"
            ));
        }
        match self.records.range(end..).next() {
            Some((offset, id)) => Err(format!(
                "lost-write: record {id} at {offset} is lost: the log ends at {end}"
            )),
            None => Ok(end - start),
        }
    }
}
