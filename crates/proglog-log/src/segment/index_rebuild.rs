//! Scans of a segment's store: to find a record that the index does not have, and to rebuild the index.

use std::ops::Range;
use std::sync::Arc;

use proglog_store::segment::FRAME_OVERHEAD;
use proglog_store::{Frame, Position};

use crate::error::reason::{Reason, Result};
use crate::record::decode;
use crate::segment::damaged_ranges::DamagedRanges;
use crate::segment::files::SegmentFiles;
use crate::segment::index::{self, Appender, Entry, PAGE_ENTRIES};

impl SegmentFiles {
    /// Finds record `number` by a scan of the store, and restores its page of the index in memory.
    pub(super) fn locate(&self, number: u64) -> Result<Entry> {
        let (page, at) = index::page_of(number);
        let first = page * PAGE_ENTRIES as u64;
        let mut entries = Vec::new();
        let (from, start) = match (self.anchor(first), self.damaged.containing(number)) {
            (Some(anchor), _) => anchor,
            // A scan that starts further back finds no more than the one that missed the record.
            (None, Some((_, position))) if position < self.store.end().position => {
                return Ok(Entry {
                    position,
                    next: None,
                });
            }
            (None, Some(_)) => return Err(self.not_found(number)),
            (None, None) => self.far_anchor(first),
        };
        self.scan(
            from,
            start..first + PAGE_ENTRIES as u64,
            |number, position| {
                if number >= first {
                    entries.extend(u32::try_from(position.get()));
                }
            },
        )?;
        self.index.restore_page(page, &entries);
        Entry::of(&entries, at).ok_or_else(|| self.not_found(number))
    }

    /// Returns the error for record `number`, in whose place there is neither a record nor damage.
    fn not_found(&self, number: u64) -> Reason {
        self.corrupt(
            self.base.saturating_add(number),
            self.store.end().position,
            None,
        )
    }

    /// Returns where a scan for record `number` may start, and the number of the record there: the record
    /// before, if the index finds it, or the start of the segment.
    fn anchor(&self, number: u64) -> Option<(Position, u64)> {
        let Some(before) = number.checked_sub(1) else {
            return Some((Position::ZERO, 0));
        };
        let entry = self.index.entry(before)?;
        self.read_entry(entry, self.base.saturating_add(before))
            .ok()?;
        Some((entry.position, before))
    }

    /// As [`SegmentFiles::anchor`], where the index does not find the record before: the last record before
    /// the damaged range, or else the start of the segment.
    fn far_anchor(&self, number: u64) -> (Position, u64) {
        let damaged = self.damaged.containing(number.saturating_sub(1));
        let before = damaged.and_then(|(numbers, _)| self.anchor(numbers.start));
        before.unwrap_or((Position::ZERO, 0))
    }

    /// Scans the store from `from`, where record `numbers.start` is, and calls `visit` with the position of
    /// each record of `numbers`. For a damaged record, that is where it must have been. Damaged ranges are
    /// kept, including their part beyond `numbers`.
    fn scan(
        &self,
        from: Position,
        numbers: Range<u64>,
        mut visit: impl FnMut(u64, Position),
    ) -> Result<()> {
        let end = self.store.end();
        let mut frames = self.store.frames(from..end.position);
        let mut next = numbers.start;
        let mut damage = None;
        while next < numbers.end {
            match frames.next() {
                Some(Ok(frame)) => match self.number(&frame) {
                    Some(number) if number >= next => {
                        let missing = damage.take().unwrap_or(frame.position);
                        self.damaged.insert(next..number, missing);
                        (next..number.min(numbers.end)).for_each(|number| visit(number, missing));
                        if number >= numbers.end {
                            return Ok(());
                        }
                        visit(number, frame.position);
                        next = number + 1;
                    }
                    _ => drop(damage.get_or_insert(frame.position)),
                },
                Some(Err(error @ proglog_store::Error::Io { .. })) => return Err(error.into()),
                Some(Err(_)) => {
                    damage.get_or_insert(frames.position());
                    if frames.resume()?.is_none() {
                        break;
                    }
                }
                None => break,
            }
        }
        // No record follows whose number would bound the range; a sealed store does not count its frames.
        if next < numbers.end {
            let count = if end.frames == 0 {
                u64::MAX
            } else {
                end.frames
            };
            self.damaged
                .insert(next..count, damage.unwrap_or(end.position));
        }
        if let Some(damage) = damage {
            (next..numbers.end).for_each(|number| visit(number, damage));
        }
        Ok(())
    }

    fn number(&self, frame: &Frame) -> Option<u64> {
        let (offset, _) = decode::offset_and_size(&frame.payload).ok()?;
        offset.checked_sub(self.base.get())
    }

    /// Completes the index of the active segment, which has `count` records. Returns whether all of it had
    /// to be rebuilt.
    pub(super) fn recover_index(&mut self, count: u64) -> Result<bool> {
        let (full_pages, in_last) = index::page_of(count);
        let mut appender = self.index.appender();
        if self.store.recovery().clean
            && let Some(page) = self.index.load(full_pages)
            && page.len() == in_last
        {
            for entry in page.iter() {
                self.index.push(&mut appender, Position::new(entry.into()));
            }
            return Ok(false);
        }
        let first = full_pages * PAGE_ENTRIES as u64;
        let Some((from, start)) = self.anchor(first) else {
            self.rebuild_index(count)?;
            return Ok(true);
        };
        self.scan(from, start..count, |number, position| {
            if number >= first {
                self.index.push(&mut appender, position);
            }
        })?;
        self.pad_index(&mut appender, count);
        Ok(false)
    }

    /// Rebuilds the index of this segment, which has `count` records.
    pub(super) fn rebuild_index(&mut self, count: u64) -> Result<()> {
        let end = self.store.end().position;
        // Each record takes more than a frame's header.
        if count > end.get() / FRAME_OVERHEAD {
            let expected = Position::new(count.saturating_mul(FRAME_OVERHEAD));
            let file = Arc::clone(&self.file);
            return Err(proglog_store::Error::Truncated {
                file,
                end,
                expected,
            }
            .into());
        }
        self.index.clear()?;
        self.damaged = DamagedRanges::new();
        let index = &self.index;
        let mut appender = index.appender();
        self.scan(Position::ZERO, 0..count, |_, position| {
            if index.push(&mut appender, position) {
                index.write_full_pages(count);
            }
        })?;
        self.pad_index(&mut appender, count);
        Ok(())
    }

    /// Adds entries for records that are missing at the end of the store, up to `count`.
    fn pad_index(&self, appender: &mut Appender, count: u64) {
        while self.index.len() < count {
            self.index.push(appender, self.store.end().position);
        }
    }
}
