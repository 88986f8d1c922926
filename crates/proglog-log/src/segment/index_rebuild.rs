//! Finding records by walking over the store, and making an index again from what is found.

use std::ops::Range;
use std::sync::Arc;

use proglog_store::{FRAME_OVERHEAD, Frame, Position};

use crate::error::{Error, Result};
use crate::record::decode;
use crate::segment::damaged_ranges::Damage;
use crate::segment::files::OpenSegment;
use crate::segment::index::{self, Entry, PAGE_ENTRIES};

impl OpenSegment {
    /// Finds record `number` by walking over the store, and restores its page of the index.
    pub(super) fn locate(&self, number: u64) -> Result<Entry> {
        let (page, at) = index::place(number);
        let first = page * PAGE_ENTRIES as u64;
        let mut entries = Vec::new();
        let (from, start) = match (self.anchor(first), self.damage.of(number)) {
            (Some(anchor), _) => anchor,
            // A walk from further off would find no more than the one did that has missed it.
            (None, Some((_, position))) if position < self.store.end().position => {
                return Ok(Entry {
                    position,
                    next: None,
                });
            }
            (None, Some(_)) => return Err(self.not_found(number)),
            (None, None) => self.far_anchor(first),
        };
        self.walk(
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

    /// No record, nor any damage, is where record `number` should be.
    fn not_found(&self, number: u64) -> Error {
        self.corrupt(self.base.plus(number), self.store.end().position, None)
    }

    /// Where a walk to record `number` may start, and the number of the record there: the record
    /// before, if the index finds it. The segment's first record is where the segment starts.
    fn anchor(&self, number: u64) -> Option<(Position, u64)> {
        let Some(before) = number.checked_sub(1) else {
            return Some((Position::ZERO, 0));
        };
        let entry = self.index.entry(before)?;
        self.read_entry(entry, self.base.plus(before)).ok()?;
        Some((entry.position, before))
    }

    /// As [`OpenSegment::anchor`], where the record before is not found: the one before the damage that
    /// took it, or else the segment's first.
    fn far_anchor(&self, number: u64) -> (Position, u64) {
        let damaged = self.damage.of(number.saturating_sub(1));
        let before = damaged.and_then(|(numbers, _)| self.anchor(numbers.start));
        before.unwrap_or((Position::ZERO, 0))
    }

    /// Walks over the store from `from`, where record `numbers.start` is, and visits the position of
    /// each record of `numbers`. A record that is not found, because it was damaged, is visited with
    /// the place where it must have been; it is remembered, with all others that are missing there,
    /// also beyond `numbers`.
    fn walk(
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
                        self.damage.note(next..number, missing);
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
        // Nothing beyond this place tells how many there should be; a sealed store counts none.
        if next < numbers.end {
            let count = if end.frames == 0 {
                u64::MAX
            } else {
                end.frames
            };
            self.damage
                .note(next..count, damage.unwrap_or(end.position));
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

    /// Brings the index of the active segment, which has `count` records, up to date. Returns
    /// whether it had to be made again as a whole.
    pub(crate) fn recover_index(&mut self, count: u64) -> Result<bool> {
        let (full_pages, tail) = index::place(count);
        if self.store.recovery().clean
            && let Some(page) = self.index.page(full_pages)
            && page.len() == tail
        {
            self.index.push_page(&page);
            return Ok(false);
        }
        let first = full_pages * PAGE_ENTRIES as u64;
        let Some((from, start)) = self.anchor(first) else {
            self.rebuild_index(count)?;
            return Ok(true);
        };
        self.walk(from, start..count, |number, position| {
            if number >= first {
                self.index.push(position);
            }
        })?;
        self.fill_index(count);
        Ok(false)
    }

    /// Makes the index of this segment, which has `count` records, again.
    pub(crate) fn rebuild_index(&mut self, count: u64) -> Result<()> {
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
        self.damage = Damage::new();
        let index = &self.index;
        self.walk(Position::ZERO, 0..count, |_, position| {
            index.push(position);
            index.write_full_pages(count);
        })?;
        self.fill_index(count);
        Ok(())
    }

    /// Records at the end that no walk found, with no frame behind them either, are missing there.
    fn fill_index(&self, count: u64) {
        while self.index.len() < count {
            self.index.push(self.store.end().position);
        }
    }
}
