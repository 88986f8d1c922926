//! What is known of a log over all lives of its writers, and so what it must show.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

use proglog_log::Log;

use super::values::parse;
use super::writer::Events;

/// What was acknowledged, read and refused.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Offsets that were told, and the numbers of their records.
    records: BTreeMap<u64, u64>,
    /// Numbers of records that are said to be nowhere.
    nowhere: BTreeSet<u64>,
    /// What the log was last trimmed to, and the highest that was asked for.
    trimmed: u64,
    trim_asked: u64,
}

impl Known {
    /// Takes in all that a writer told, which has to have ended.
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

    /// Takes in only which records are nowhere.
    pub(crate) fn refuse(&mut self, events: &Events) {
        let failed = events.failed.iter();
        self.nowhere
            .extend(failed.filter_map(|(id, nowhere)| nowhere.then_some(*id)));
    }

    /// Somebody was told that record `id` is at `offset`.
    pub(crate) fn note(&mut self, offset: u64, id: u64) -> Result<(), String> {
        let known = *self.records.entry(offset).or_insert(id);
        if known == id {
            Ok(())
        } else {
            Err(format!("offset {offset} was given to {known} and to {id}"))
        }
    }

    /// The end of what was told (exclusive).
    pub(crate) fn end(&self) -> u64 {
        self.records
            .last_key_value()
            .map_or(0, |(offset, _)| offset + 1)
    }

    /// Where the log may begin: a trim that failed may have been done.
    fn starts(&self) -> RangeInclusive<u64> {
        self.trimmed..=self.trim_asked
    }

    /// Opens the log and looks at all of it; what it shows is known from then on. Returns how many
    /// records it has.
    pub(crate) fn check(&mut self, directory: &Path) -> Result<u64, String> {
        let log = Log::open(directory, &proglog_log::Options::new())
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
                .ok_or_else(|| format!("offset {end} holds what nobody appended: {record:?}"))?;
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
