//! Preallocation: zeros after the data, so that a sync has to write the data alone, and no new length or
//! block list of the file.
//!
//! When a sync is about to happen and the data has reached the end of the zeros, more of them are written
//! first, so that the one sync covers both. Their number doubles each time, from [`STEP_MIN`], so that a
//! small store takes little more space than its data. Zeros are never a frame, and opening removes them, so
//! it does not matter which of them a crash leaves. An idle store removes them, and has none before the
//! second sync after that: they do not pay for a single append now and then.

use crate::format::{HEADER_LEN, offset_of};
use crate::io::Storage;
use crate::position::Position;

/// The zeros written first, in bytes.
const STEP_MIN: u64 = 64 << 10;
/// The most zeros written at a time, in bytes.
pub(crate) const STEP_MAX: u64 = 8 << 20;
/// The file system's block length, at a multiple of which the zeros end.
const BLOCK_LEN: u64 = 4096;

/// Decides when to preallocate, and how far.
#[derive(Debug)]
pub(crate) struct Preallocator {
    /// The most bytes beyond the data.
    ahead_max: u64,
    /// The position that is not to be exceeded.
    up_to: Position,
    /// True if there was a sync since the start, or since the store was idle.
    is_warm: bool,
    /// The bytes to preallocate next.
    step: u64,
    /// The end of the data at which more are due.
    next_at: Position,
    /// True if the file may be longer than its data.
    pub(crate) is_ahead: bool,
    /// True if a failed write has left bytes after the data that could not be removed for want of room. They are removed
    /// before the next write.
    pub(crate) has_remains: bool,
}

impl Preallocator {
    /// Never exceeds `ahead_max` bytes beyond the data, nor the position `up_to`.
    pub(crate) fn new(ahead_max: u64, up_to: Position) -> Self {
        Self {
            ahead_max: ahead_max.min(STEP_MAX),
            up_to,
            is_warm: false,
            step: STEP_MIN,
            next_at: Position::ZERO,
            is_ahead: false,
            has_remains: false,
        }
    }

    /// Writes zeros after the data, which ends at `end`, if they are due. A failure is no error: the space
    /// that was taken is freed, and it is some time before the next attempt.
    pub(crate) fn extend_if_due(&mut self, file: &dyn Storage, end: Position) {
        if !std::mem::replace(&mut self.is_warm, true) {
            return;
        }
        let Some(target) = self.target(end) else {
            return;
        };
        self.is_ahead = true;
        self.next_at = target;
        if file.allocate(offset_of(target)).is_ok() {
            self.step = (self.step * 2).min(STEP_MAX);
        } else {
            self.step = STEP_MIN;
            // Zeros that cannot be removed stay.
            self.is_ahead = file.set_len(offset_of(end)).is_err();
        }
    }

    /// The end of the zeros to write now; `None` if none are due.
    fn target(&self, end: Position) -> Option<Position> {
        let step = self.step.min(self.ahead_max);
        if step == 0 || end < self.next_at {
            return None;
        }
        let target = end.plus(step);
        let in_block = (HEADER_LEN + target.get()) % BLOCK_LEN;
        let aligned = Position::new(target.get().saturating_sub(in_block));
        let target = if aligned > end { aligned } else { target };
        let target = target.min(self.up_to);
        (target > end).then_some(target)
    }

    /// Removes the zeros after the data, which ends at `end`, and starts over. Zeros that cannot be removed
    /// stay.
    pub(crate) fn reset(&mut self, file: &dyn Storage, end: Position) {
        if self.is_ahead && file.set_len(offset_of(end)).is_ok() {
            self.truncated(end);
        }
        (self.is_warm, self.step) = (false, STEP_MIN);
    }

    /// Notes that the end of the data was overwritten with zeros.
    pub(crate) fn erased(&mut self) {
        self.is_ahead = true;
    }

    /// Notes that the file was truncated at `end`.
    pub(crate) fn truncated(&mut self, end: Position) {
        self.is_ahead = false;
        self.next_at = self.next_at.min(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::OpenMode;
    use crate::testing::SimDisk;

    fn lens(ahead_max: u64, up_to: u64, ends: &[u64], capacity: Option<u64>) -> Vec<u64> {
        let disk = SimDisk::new();
        disk.set_capacity(capacity);
        let directory = disk.directory();
        let file = directory.open("a", OpenMode::CreateNew).unwrap();
        let mut zeros = Preallocator::new(ahead_max, Position::new(up_to));
        zeros.extend_if_due(&*file, Position::ZERO);
        assert_eq!(file.len().unwrap(), 0, "one sync is not worth it");
        ends.iter()
            .map(|end| {
                file.set_len(file.len().unwrap().max(HEADER_LEN + end))
                    .unwrap();
                zeros.extend_if_due(&*file, Position::new(*end));
                file.len().unwrap() - HEADER_LEN
            })
            .collect()
    }

    #[test]
    fn steps_double_from_64_kib_to_8_mib_each_time_the_data_gets_there() {
        const K: u64 = 1 << 10;
        let mut ends = vec![10, 11, 64 * K - 1];
        let mut expected = vec![64 * K; 3];
        for step in [128, 256, 512, 1024, 2048, 4096, 8192, 8192, 8192] {
            let end = expected[expected.len() - 1] + 5;
            ends.push(end);
            expected.push((end + step * K) / 4096 * 4096);
        }
        assert_eq!(lens(u64::MAX, u64::MAX, &ends, None), expected);
    }

    #[test]
    fn an_idle_store_removes_the_zeros_and_starts_over() {
        let disk = SimDisk::new();
        let file = disk.directory().open("a", OpenMode::CreateNew).unwrap();
        let mut zeros = Preallocator::new(u64::MAX, Position::new(u64::MAX));
        let len = || file.len().unwrap() - HEADER_LEN;
        let mut end = Position::new(10);
        file.set_len(HEADER_LEN + 10).unwrap();
        for _ in 0..3 {
            zeros.extend_if_due(&*file, end);
            assert_eq!(len(), end.get(), "the first sync does without");
            zeros.extend_if_due(&*file, end);
            assert_eq!(len(), (end.get() + STEP_MIN) / 4096 * 4096);
            zeros.extend_if_due(&*file, end.plus(STEP_MIN));
            end = end.plus(STEP_MIN + 5);
            file.set_len(HEADER_LEN + end.get().max(len())).unwrap();
            zeros.reset(&*file, end);
            assert_eq!(len(), end.get());
        }
    }

    #[test]
    fn limits_are_kept() {
        let ends = [0, 4095, 5000, 8191, 8192];
        let unlimited = [4096, 4096, 8192, 8192, 12288];
        assert_eq!(lens(4096, u64::MAX, &ends, None), unlimited);
        assert_eq!(
            lens(4096, 6000, &ends, None),
            [4096, 4096, 6000, 8191, 8192]
        );
        assert_eq!(lens(100, u64::MAX, &[10, 4050], None), [110, 4096]);
        // A block ends there, and the next one is too far away.
        assert_eq!(lens(100, u64::MAX, &[4096], None), [4196]);
        assert_eq!(lens(0, u64::MAX, &[0, 5000], None), [0, 5000]);
    }

    #[test]
    fn a_file_of_the_maximum_length_has_nothing_to_remove() {
        let disk = SimDisk::new();
        let file = disk.directory().open("a", OpenMode::CreateNew).unwrap();
        let end = Position::new(5000);
        file.set_len(HEADER_LEN + end.get()).unwrap();
        let mut zeros = Preallocator::new(4096, end);
        for _ in 0..2 {
            zeros.extend_if_due(&*file, end);
            assert!(!zeros.is_ahead);
        }
        disk.start_trace();
        zeros.reset(&*file, end);
        assert_eq!(disk.trace(), []);
    }

    #[test]
    fn on_a_full_disk_the_space_is_freed_and_not_taken_again_soon() {
        let full = Some(HEADER_LEN + 50_000);
        assert_eq!(lens(u64::MAX, u64::MAX, &[10, 40_000], full), [10, 40_000]);
    }
}
