//! Verification of every record of a log.

use crate::error::Result;
use crate::error::reason::Reason;
use crate::offset::{Offset, Offsets};
use crate::read::reader::Reader;

/// The result of [`Reader::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Verification {
    /// Offsets that were read, intact or damaged.
    pub records: Offsets,
    /// Bytes of the intact records, as [`LogOptions::record_bytes_max`] counts them.
    ///
    /// [`LogOptions::record_bytes_max`]: crate::LogOptions::record_bytes_max
    pub bytes: u64,
    /// Offsets of records that are damaged, cannot be read, or are in missing segments, in order; consecutive ones
    /// share a range.
    pub damaged: Vec<Offsets>,
}

impl Reader {
    /// Reads every record up to the present end, and verifies its checksum, position and offset. Records that are
    /// damaged or missing, or that the device cannot read, are reported in the result, not as an error.
    ///
    /// # Errors
    ///
    /// [`Reason::Io`] and [`Reason::Store`] if the file system fails; [`Reason::Closed`].
    pub fn verify(&self) -> Result<Verification> {
        if self.is_closed() {
            return Err(self.log().error(Reason::Closed));
        }
        let mut next = self.start_offset();
        let mut found = Verification {
            records: Offsets::new(next, self.end_offset()),
            bytes: 0,
            damaged: Vec::new(),
        };
        while next < found.records.end {
            let run = Offsets::new(next, found.records.end);
            let (offset, verified) = self.verify_run(run, &mut found.bytes);
            match verified {
                // Earlier than expected if the log was truncated in the meantime.
                Ok(()) => (next, found.records.end) = (offset, offset),
                Err(error) => match error.reason {
                    Reason::Corrupt { .. } => {
                        next = offset.saturating_add(1);
                        found.add_damaged(Offsets::new(offset, next));
                    }
                    Reason::MissingSegment { base_offset } => {
                        let end = self.end_of_segment(base_offset);
                        next = end.clamp(offset.saturating_add(1), found.records.end);
                        found.add_damaged(Offsets::new(offset, next));
                    }
                    // Trimmed in the meantime.
                    Reason::Trimmed { start, .. } => {
                        next = start;
                        found.records.start = start.min(found.records.end);
                    }
                    Reason::OutOfRange { .. } => found.records.end = offset,
                    _ => return Err(error),
                },
            }
        }
        Ok(found)
    }

    /// Reads the records at `offsets`; returns the end, or the offset of the first error and that error.
    fn verify_run(&self, offsets: Offsets, bytes: &mut u64) -> (Offset, Result<()>) {
        let mut next = offsets.start;
        let mut cursor = self.cursor(next);
        while next < offsets.end {
            match cursor.next_ref() {
                Some(Ok(record)) => *bytes += record.size() as u64,
                Some(Err(error)) => return (next, Err(error)),
                None => break,
            }
            next = next.saturating_add(1);
        }
        (next, Ok(()))
    }
}

impl Verification {
    fn add_damaged(&mut self, offsets: Offsets) {
        match self.damaged.last_mut() {
            Some(last) if last.end == offsets.start => last.end = offsets.end,
            _ => self.damaged.push(offsets),
        }
    }

    /// Drops what lies below `start`, since it was trimmed.
    pub(crate) fn trim(&mut self, start: Offset) {
        self.records.start = start.clamp(self.records.start, self.records.end);
        for range in &mut self.damaged {
            range.start = range.start.max(start);
        }
        self.damaged.retain(|range| range.start < range.end);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::options::LogOptions;
    use crate::record::Record;

    #[test]
    fn records_appended_since_the_start_are_not_verified() {
        let disk = SimDisk::new();
        let options = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &options).unwrap();
        for _ in 0..9 {
            log.append((&Record::new("value")).into()).unwrap();
        }
        for end in 0..=9 {
            let (offsets, mut bytes) = (Offsets::new(0, end), 0);
            let (verified, result) = log.reader.verify_run(offsets, &mut bytes);
            result.unwrap();
            assert_eq!((verified.get(), bytes), (end, 5 * end));
        }
    }
}
