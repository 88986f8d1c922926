//! Verifying all that a log holds.

use crate::error::{Error, Result};
use crate::offset::{Offset, Offsets};
use crate::read::reader::Reader;

/// What reading all of a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The records that were verified, or found damaged.
    pub records: Offsets,
    /// How many bytes the readable ones take, as [`Options::record_bytes_max`] counts them.
    ///
    /// [`Options::record_bytes_max`]: crate::Options::record_bytes_max
    pub bytes: u64,
    /// The records that are damaged, in order; those one behind the other are in one range.
    pub damaged: Vec<Offsets>,
}

impl Reader {
    /// Reads every record that there is now and verifies its checksum, its place and its offset.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the file system fails; [`Error::Closed`]. Damaged records are no error but
    /// reported.
    pub fn verify(&self) -> Result<Verification> {
        let mut next = self.start_offset();
        let mut found = Verification {
            records: Offsets::new(next, self.end_offset()),
            bytes: 0,
            damaged: Vec::new(),
        };
        while next < found.records.end {
            match self.verify_run(Offsets::new(next, found.records.end), &mut found.bytes) {
                // Less, if what was behind it was truncated in the meantime.
                Ok(end) => (next, found.records.end) = (end, end),
                Err((offset, Error::Corrupt { .. })) => {
                    found.add_damaged(offset);
                    next = offset.plus(1);
                }
                // What was trimmed in the meantime is of no interest any more.
                Err((_, Error::Trimmed { start, .. })) => {
                    next = start;
                    found.records.start = start.min(found.records.end);
                }
                Err((offset, Error::OutOfRange { .. })) => found.records.end = offset,
                Err((_, error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Reads the records `offsets` up to the first error, which is that of the offset beside it.
    fn verify_run(&self, offsets: Offsets, bytes: &mut u64) -> Result<Offset, (Offset, Error)> {
        let mut next = offsets.start;
        let mut cursor = self.cursor(next);
        while next < offsets.end {
            match cursor.next_ref() {
                Some(Ok(record)) => *bytes += record.size() as u64,
                Some(Err(error)) => return Err((next, error)),
                None => break,
            }
            next = next.plus(1);
        }
        Ok(next)
    }
}

impl Verification {
    fn add_damaged(&mut self, offset: Offset) {
        match self.damaged.last_mut() {
            Some(last) if last.end == offset => last.end = offset.plus(1),
            _ => self.damaged.push(Offsets::new(offset, offset.plus(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::options::Options;
    use crate::record::Record;

    #[test]
    fn what_was_appended_since_it_began_is_not_verified() {
        let disk = SimDisk::new();
        let options = Options::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &options).unwrap();
        for _ in 0..9 {
            log.append(&Record::new("value")).unwrap();
        }
        for end in 0..=9 {
            let (offsets, mut bytes) = (Offsets::new(0, end), 0);
            let verified = log.reader.verify_run(offsets, &mut bytes).unwrap();
            assert_eq!((verified.get(), bytes), (end, 5 * end));
        }
    }
}
