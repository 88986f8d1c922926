//! The knowledge about a log, over all lives of its writers, that the log has to agree with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

use proglog_log::Log;

use super::values::parse;
use super::writer::Events;

/// Acknowledged, read and rejected records.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The records' numbers by offset.
    records: BTreeMap<u64, u64>,
    /// The numbers of rejected records.
    nowhere: BTreeSet<u64>,
    /// The last acknowledged trim, and the highest requested one.
    trimmed: u64,
    trim_asked: u64,
}

impl Known {
    /// Adds the events of a writer, which must have ended.
    pub(crate) fn learn(&mut self, events: &Events) -> Result<(), String> {
        events.check_end()?;
        for (id, kept) in &events.acknowledged {
            self.note(kept.offset, *id)?;
        }
        self.refuse(events);
        self.trimmed = self.trimmed.max(events.trimmed);
        self.trim_asked = self.trim_asked.max(events.trim_asked);
        Ok(())
    }

    /// Adds only the rejected records.
    pub(crate) fn refuse(&mut self, events: &Events) {
        let failed = events.failed.iter();
        self.nowhere
            .extend(failed.filter_map(|(id, nowhere)| nowhere.then_some(*id)));
    }

    /// Notes that record `id` is at `offset`; fails if another one was there.
    pub(crate) fn note(&mut self, offset: u64, id: u64) -> Result<(), String> {
        let known = *self.records.entry(offset).or_insert(id);
        if known == id {
            Ok(())
        } else {
            Err(format!("offset {offset} was given to {known} and to {id}"))
        }
    }

    /// The end of the known offsets (exclusive).
    pub(crate) fn end(&self) -> u64 {
        self.records
            .last_key_value()
            .map_or(0, |(offset, _)| offset + 1)
    }

    /// The possible starts of the log: a failed trim may have been done.
    fn starts(&self) -> RangeInclusive<u64> {
        self.trimmed..=self.trim_asked
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

    /// As [`Known::check`], of an open log.
    pub(crate) fn check_open(&mut self, log: &Log) -> Result<u64, String> {
        let mut offsets = HashMap::new();
        let start = log.start_offset().get();
        if !self.starts().contains(&start) {
            return Err(format!(
                "the log begins at {start}, not in {:?}",
                self.starts()
            ));
        }
        let mut end = start;
        for record in log.records(start..) {
            let record = record.map_err(|error| format!("offset {end}: {error:?}"))?;
            let id = parse(&record.value)
                .ok_or_else(|| format!("offset {end} holds a record of no writer: {record:?}"))?;
            if record.offset != end {
                return Err(format!("{} stands at {end}", record.offset));
            }
            if let Some(other) = offsets.insert(id, end) {
                return Err(format!("record {id} is at {other} and at {end}"));
            }
            if self.nowhere.contains(&id) {
                return Err(format!("record {id} was refused and is at {end}"));
            }
            self.note(end, id)?;
            end += 1;
        }
        match self.records.range(end..).next() {
            Some((offset, id)) => Err(format!(
                "record {id} at {offset} is lost: the log ends at {end}"
            )),
            None => Ok(end - start),
        }
    }
}
