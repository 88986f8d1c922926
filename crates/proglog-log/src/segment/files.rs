//! The open files of a segment: its store and its index.
//!
//! The index is a cache. A record carries its own offset, which is compared; if it does not match, the store
//! is scanned ([`index_rebuild`](super::index_rebuild)).

use std::io;
use std::ops::Range;
use std::sync::Arc;

use proglog_store::segment::{FRAME_OVERHEAD, StoreExt, byte_of};
use proglog_store::{Boundary, Frames, Outcome, Position, Store};

use crate::error::reason::{Reason, Result};
use crate::layout::log_position::LogPosition;
use crate::layout::names;
use crate::offset::Offset;
use crate::record::StoredRecord;
use crate::record::decode;
use crate::segment::damaged_ranges::DamagedRanges;
use crate::segment::index::{Appender, Entry, Index};

/// Most records that are read to find the newest or oldest readable one.
const EDGE_RECORDS_MAX: u64 = 1000;

/// Bytes that a read fetches when the index does not know where the record ends.
const READ_LEN_DEFAULT: u64 = 4 << 10;

/// The open files of a segment.
#[derive(Debug)]
pub(crate) struct SegmentFiles {
    pub(super) base: Offset,
    pub(super) file: Arc<str>,
    pub(crate) store: Store,
    pub(crate) index: Index,
    /// Records that a scan of the store did not find.
    pub(super) damaged: DamagedRanges,
}

impl SegmentFiles {
    pub(crate) fn new(base: Offset, store: Store, index: Index) -> Self {
        Self {
            base,
            file: names::store(base).into(),
            store,
            index,
            damaged: DamagedRanges::new(),
        }
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// Returns the end of this segment.
    #[inline]
    pub(crate) fn end(&self) -> LogPosition {
        self.position(self.store.end())
    }

    /// Returns the position below which this segment is known to be on the device.
    pub(crate) fn recovery_point(&self) -> LogPosition {
        self.position(self.store.recovery_point())
    }

    #[inline]
    fn position(&self, boundary: Boundary) -> LogPosition {
        LogPosition {
            segment_base: self.base,
            boundary,
        }
    }

    /// Returns whether records from `to` on can be erased: the index has none of them in its file.
    pub(crate) fn can_erase(&self, to: Boundary) -> bool {
        self.index.can_truncate(to.frames)
    }

    /// Erases the records from `to` on, durably, and returns the appender of the index. Reads that are under way
    /// may fail.
    pub(crate) fn erase(&self, to: Boundary) -> Result<Appender> {
        self.store.erase(to)?;
        self.damaged.truncate(to.frames);
        Ok(self.index.truncate(to.frames))
    }

    /// Reads the record at `offset`, which this segment has.
    pub(crate) fn read(&self, offset: Offset) -> Result<StoredRecord> {
        let number = offset.saturating_since(self.base);
        if let Some(entry) = self.index.entry(number) {
            match self.read_entry(entry, offset) {
                Err(error) if self.may_be_elsewhere(&error, number) => {}
                read => return read,
            }
        }
        // Either the record is damaged or the index is wrong: a scan shows which.
        self.read_entry(self.locate(number)?, offset)
    }

    /// Returns whether `error`, of reading record `number` where the index has it, may be due to a wrong index. What
    /// the device cannot read is searched for no further.
    fn may_be_elsewhere(&self, error: &Reason, number: u64) -> bool {
        match error {
            Reason::Corrupt { source, .. } => {
                !is_unreadable(source.as_deref()) && self.damaged.containing(number).is_none()
            }
            _ => false,
        }
    }

    /// As [`SegmentFiles::read`], but trusts the index: one read, however much is damaged.
    pub(crate) fn read_as_indexed(&self, offset: Offset) -> Result<StoredRecord> {
        match self.index.entry(offset.saturating_since(self.base)) {
            Some(entry) => self.read_entry(entry, offset),
            None => Err(self.corrupt(offset, self.store.end().position, None)),
        }
    }

    /// Returns when the newest record of this segment, which ends at `end`, was appended. Damaged records are
    /// skipped; `None` if none of the newest can be read, or the device cannot read `unreadable_max` of them.
    pub(crate) fn newest_appended_at(
        &self,
        end: Offset,
        unreadable_max: usize,
    ) -> Result<Option<i64>> {
        let first = end
            .get()
            .saturating_sub(EDGE_RECORDS_MAX)
            .max(self.base.get());
        self.first_appended_at((first..end.get()).rev(), unreadable_max)
    }

    /// Returns when the oldest record of this segment, which ends at `end`, was appended. Damaged records are
    /// skipped; `None` if none of the oldest can be read, or the device cannot read `unreadable_max` of them.
    pub(crate) fn oldest_appended_at(
        &self,
        end: Offset,
        unreadable_max: usize,
    ) -> Result<Option<i64>> {
        let last = self.base.saturating_add(EDGE_RECORDS_MAX).min(end);
        self.first_appended_at(self.base.get()..last.get(), unreadable_max)
    }

    /// Returns when the first readable one of the records at `offsets` was appended. Every record that the device
    /// cannot read may take it seconds, so the search ends after `unreadable_max` of them.
    fn first_appended_at(
        &self,
        offsets: impl Iterator<Item = u64>,
        unreadable_max: usize,
    ) -> Result<Option<i64>> {
        let mut unreadable = 0;
        for offset in offsets {
            match self.read_as_indexed(Offset::new(offset)) {
                Ok(record) => return Ok(Some(record.appended_at)),
                Err(Reason::Corrupt { source, .. }) => {
                    unreadable += usize::from(is_unreadable(source.as_deref()));
                    if unreadable >= unreadable_max {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn read_entry(&self, entry: Entry, offset: Offset) -> Result<StoredRecord> {
        let position = entry.position;
        let frame = self
            .store
            .read_frame(position, self.read_len(entry))
            .map_err(|error| self.corrupt_at(offset, position, error))?;
        match decode::record_of_frame(frame) {
            Ok(record) if record.offset == offset => Ok(record),
            _ => Err(self.corrupt(offset, position, None)),
        }
    }

    /// Returns how many bytes to read for the record at `entry`.
    fn read_len(&self, entry: Entry) -> usize {
        let Entry { position, next } = entry;
        let len = next.map_or(READ_LEN_DEFAULT, |next| {
            next.get().saturating_sub(position.get())
        });
        let payload_len_max = u64::from(self.store.payload_len_max());
        usize::try_from(len.min(payload_len_max + FRAME_OVERHEAD)).unwrap_or(usize::MAX)
    }

    /// As [`SegmentFiles::read`], but returns `None` if that would wait for the device, or the record is not where the
    /// index has it.
    pub(crate) fn try_read(&self, offset: Offset) -> Option<StoredRecord> {
        let number = offset.saturating_since(self.base);
        let entry = self.index.try_entry(number)?;
        let len = self.read_len(entry);
        let frame = self.store.try_read_frame(entry.position, len).ok()??;
        let record = decode::record_of_frame(frame).ok()?;
        (record.offset == offset).then_some(record)
    }

    /// As [`SegmentFiles::run`], but returns `None` if that would wait for the device. The frames end with an error
    /// before the first one that is not in memory.
    pub(crate) fn try_run(
        &self,
        offsets: Range<Offset>,
        end: Option<Position>,
        bytes_max: usize,
    ) -> Option<(Offset, Frames)> {
        let Range { start, end: last } = offsets;
        let numbers = start.saturating_since(self.base)..last.saturating_since(self.base);
        let first = self.index.try_entry(numbers.start)?.position;
        let limited = self.index.try_limit(numbers.clone(), bytes_max as u64);
        let (count, limit) = if let Some((count, limit)) = limited {
            (count, Some(limit))
        } else {
            // What fits is not known. Where the last one ends may be.
            let after = self.index.try_entry(numbers.end);
            let limit = after.map(|entry| entry.position);
            (numbers.end - numbers.start, limit)
        };
        let end = end.into_iter().chain(limit).min();
        let frames = self
            .store
            .cached_frames(first..end.unwrap_or(Position::new(u64::MAX)));
        Some((start.saturating_add(count), frames))
    }

    /// Returns the frames of the records at `offsets`, and the end of that range. With `bytes_max`, of the first
    /// records that the index knows to take no more bytes, at least one. Nothing at or after `end` is read.
    pub(crate) fn run(
        &self,
        offsets: Range<Offset>,
        end: Option<Position>,
        bytes_max: Option<usize>,
    ) -> Result<(Offset, Frames)> {
        let Range { start, end: last } = offsets;
        let number = start.saturating_since(self.base);
        if self.damaged.containing(number).is_some() {
            // Fails after a small read, where a run would fetch a block.
            self.read(start)?;
        }
        let entry = match self.index.entry(number) {
            Some(entry) => entry,
            None => self.locate(number)?,
        };
        let end = end.unwrap_or(Position::new(u64::MAX));
        let limited = bytes_max.and_then(|bytes| {
            self.index
                .limit(number..last.saturating_since(self.base), bytes as u64)
        });
        let (count, end) = match limited {
            Some((count, limit)) => (count, end.min(limit)),
            None => (last.saturating_since(start), end),
        };
        Ok((
            start.saturating_add(count),
            self.store.frames(entry.position..end),
        ))
    }

    /// Returns where the record before the one at `offset` ends, if the index knows it, but nothing after `limit`.
    pub(crate) fn end_before(&self, offset: Offset, limit: Option<Position>) -> Option<Position> {
        let entry = self.index.entry(offset.saturating_since(self.base));
        let end = entry.map(|entry| entry.position);
        end.into_iter().chain(limit).min()
    }

    /// Returns the boundary before the record at `offset`, which this segment has: a log can be truncated there.
    pub(crate) fn boundary_before(&self, offset: Offset) -> Result<Boundary> {
        let number = offset.saturating_since(self.base);
        let entry = match self.index.entry(number) {
            // A record found there shows that the index is right.
            Some(entry) if self.read_entry(entry, offset).is_ok() => entry,
            _ => self.locate(number)?,
        };
        Ok(Boundary {
            position: entry.position,
            frames: number,
        })
    }

    #[cold]
    pub(crate) fn corrupt(
        &self,
        offset: Offset,
        position: Position,
        source: Option<proglog_store::Error>,
    ) -> Reason {
        Reason::Corrupt {
            offset,
            file: Arc::clone(&self.file),
            byte: byte_of(position),
            source: source.map(Arc::new),
        }
    }

    /// Returns the error of appends that a rewind was to drop and did not: their outcome is unknown.
    pub(crate) fn not_rewound(&self, error: proglog_store::Error) -> Reason {
        if error.outcome() == Outcome::Unknown {
            return error.into();
        }
        let source = Arc::new(io::Error::other(error));
        proglog_store::Error::WriteNotUndone {
            file: Arc::clone(&self.file),
            source,
        }
        .into()
    }

    /// Returns the error of a failed read of the record at `offset`.
    pub(crate) fn corrupt_at(
        &self,
        offset: Offset,
        position: Position,
        error: proglog_store::Error,
    ) -> Reason {
        use proglog_store::ErrorKind as Store;
        match error.kind() {
            Store::Corrupt | Store::OutOfRange | Store::InvalidInput => {
                self.corrupt(offset, position, Some(error))
            }
            Store::Closed => Reason::Closed,
            _ => error.into(),
        }
    }
}

/// Returns whether the device cannot read what `source` is the error of.
fn is_unreadable(source: Option<&proglog_store::Error>) -> bool {
    matches!(source, Some(proglog_store::Error::Unreadable { .. }))
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
    fn where_the_index_is_wrong_a_try_finds_nothing_and_a_read_the_record() {
        let disk = SimDisk::new();
        let never = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &never).unwrap();
        for _ in 0..3 {
            log.append((&Record::new("value")).into()).unwrap();
        }
        log.roll_now().unwrap();
        let sealed = log.view.segment_of(Offset::ZERO).unwrap();
        let files = sealed.open().unwrap();
        let right = [0, 1, 2].map(|number| files.index.entry(number).unwrap().position.get());
        let [first, second, third] = right.map(|position| u32::try_from(position).unwrap());
        let offset = Offset::new(1);
        let is_found = || {
            let run = files.try_run(offset..Offset::new(3), None, 1000);
            let first = run.and_then(|(_, mut frames)| frames.next()?.ok());
            let first = first.map(|frame| decode::record(frame.payload).unwrap().offset);
            (files.try_read(offset).is_some(), first == Some(offset))
        };
        assert_eq!(is_found(), (true, true));
        for wrong in [[first, first, third], [first, third, third]] {
            files.index.restore_page(0, &wrong);
            assert_eq!(is_found(), (false, false));
            assert_eq!(log.reader.try_read(offset).unwrap(), None);
            assert_eq!(log.reader.try_read_batch(offset, 2, 1000).unwrap(), None);
        }
        assert_eq!(files.read(offset).unwrap().offset, offset);
        files.index.restore_page(0, &[first, second, third]);
        assert_eq!(is_found(), (true, true));
    }
}
