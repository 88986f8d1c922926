//! Verification of every record of a log, step by step.

use bytes::Bytes;
use proglog_log::{CommitLog, Header, Offset, Offsets, Reason, Result, StoredRecord};

/// The most bytes of records that are read in a step.
const STEP_BYTES: usize = 1 << 20;

/// The result of [`Handle::verify`](crate::Handle::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Offsets that were read, intact or damaged.
    pub records: Offsets,
    /// Bytes of the intact records, as [`LogConfig::record_bytes_max`](crate::LogConfig::record_bytes_max) counts them.
    pub bytes: u64,
    /// Offsets of records that are damaged, cannot be read, or are in missing segments, in order; consecutive ones share
    /// a range.
    pub damaged: Vec<Offsets>,
}

/// A verification that is under way.
#[derive(Debug)]
pub(crate) struct Verifying {
    found: Verification,
    next: Offset,
}

impl Verifying {
    /// Begins to verify the records that have these offsets.
    pub(crate) fn new(records: Offsets) -> Self {
        let found = Verification {
            records,
            bytes: 0,
            damaged: Vec::new(),
        };
        let next = records.start;
        Self { found, next }
    }

    /// Returns the result once all records were read.
    pub(crate) fn result(&self) -> Option<&Verification> {
        (self.next >= self.found.records.end).then_some(&self.found)
    }

    /// Reads some more records.
    pub(crate) fn step(&mut self, log: &dyn CommitLog) -> Result<()> {
        let end = self.found.records.end;
        match log.read_batch(self.next, usize::MAX, STEP_BYTES) {
            Ok(mut records) => {
                records.retain(|record| record.offset < end);
                self.next = records
                    .last()
                    .map_or(end, |last| last.offset.saturating_add(1));
                let sizes = records.iter().map(size);
                self.found.bytes += sizes.sum::<u64>();
            }
            Err(error) => match error.reason {
                Reason::Corrupt { .. } | Reason::MissingSegment { .. } => self.skip_damaged(),
                // Trimmed in the meantime.
                Reason::Trimmed { start, .. } => {
                    self.next = start;
                    self.found.records.start = start.min(end);
                }
                // Shorter than it was: it was opened again.
                Reason::OutOfRange { .. } => self.found.records.end = self.next,
                _ => return Err(error),
            },
        }
        Ok(())
    }

    fn skip_damaged(&mut self) {
        let after = self.next.saturating_add(1);
        match self.found.damaged.last_mut() {
            Some(last) if last.end == self.next => last.end = after,
            _ => self.found.damaged.push(Offsets::new(self.next, after)),
        }
        self.next = after;
    }
}

/// Returns the bytes of a record, as the limit on them counts.
fn size(record: &StoredRecord) -> u64 {
    let header = |header: &Header| header.name.len() + header.value.len() + 32;
    let headers = record.headers.iter().map(header).sum::<usize>();
    let key = record.key.as_ref().map_or(0, Bytes::len);
    (record.value.len() + key + headers) as u64
}
