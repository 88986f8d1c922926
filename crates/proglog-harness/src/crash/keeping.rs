//! Retention: a log that drops its oldest segments keeps what its policy says.

use proglog_log::Retention;
use proglog_store::testing::SimDisk;

use super::history::Checked;

/// The two copies of the header of a segment's file.
const HEADER_LEN: usize = 2 * 4096;

/// The least number of newest records or bytes that a log keeps. Without a limit it keeps all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keeps {
    pub records: Option<u64>,
    pub bytes: Option<u64>,
}

impl Keeps {
    pub const ALL: Self = Self {
        records: None,
        bytes: None,
    };

    pub fn is_all(self) -> bool {
        self.records.is_none() && self.bytes.is_none()
    }

    pub fn policy(self) -> Retention {
        let mut policy = Retention::new();
        if let Some(records) = self.records {
            policy = policy.records(records);
        }
        if let Some(bytes) = self.bytes {
            policy = policy.bytes(bytes);
        }
        policy
    }

    /// True if the records from `start` on are enough, in a log that ends at `end` and lies on `disk` in
    /// the segments with these base offsets.
    fn are_enough(self, disk: &SimDisk, bases: &[u64], (start, end): (u64, u64)) -> bool {
        let enough_records = self.records.is_some_and(|records| end - start >= records);
        let bytes = bases.iter().filter(|base| **base >= start);
        let bytes = bytes.map(|base| data_len(disk, *base)).sum::<u64>();
        enough_records || self.bytes.is_some_and(|least| bytes >= least)
    }

    /// A log that ends at `end` may drop all below `start`.
    pub fn check_start(self, disk: &SimDisk, bases: &[u64], (start, end): (u64, u64)) -> Checked {
        if bases.contains(&start) && self.are_enough(disk, bases, (start, end)) {
            return Ok(());
        }
        Err(format!(
            "a log of {start}..{end} in the segments {bases:?} is to keep {self:?}"
        ))
    }

    /// A log of `start..end`, all of it on the device, has dropped what it may. A file that could not be
    /// removed may be left.
    pub fn check_dropped(self, disk: &SimDisk, bases: &[u64], (start, end): (u64, u64)) -> Checked {
        let second = bases.iter().find(|base| **base > start);
        if second.is_some_and(|second| self.are_enough(disk, bases, (*second, end))) {
            return Err(format!(
                "a log of {start}..{end} in the segments {bases:?} needs to keep only {self:?}"
            ));
        }
        Ok(())
    }
}

/// The length of the frames in the file of the segment with this base offset. No record ends with a zero.
fn data_len(disk: &SimDisk, base: u64) -> u64 {
    let bytes = disk.read_file(&format!("{base:020}.log"));
    let end = bytes.iter().rposition(|byte| *byte != 0);
    end.map_or(0, |end| (end + 1).saturating_sub(HEADER_LEN) as u64)
}
