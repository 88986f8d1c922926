//! The entries of an index that are not in its file.
//!
//! One thread appends entries without a lock: it has the page that it fills, and publishes each entry by raising
//! the number of entries. Threads that read, and the one that moves full pages to the file, share a lock, which
//! appending takes only to start or enlarge a page.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};

/// Entries of a page.
pub(crate) const PAGE_ENTRIES: usize = 1022;

/// Entries that the first page of a segment has memory for. It grows up to [`PAGE_ENTRIES`], and later ones start
/// with as many.
const PAGE_ENTRIES_MIN: usize = 64;

type Page = Arc<[AtomicU32]>;

/// The entries of an index that are not in its file.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pages: Mutex<Pages>,
    /// Number of entries of the index, with those in the file.
    len: AtomicU64,
}

#[derive(Debug)]
struct Pages {
    /// Number of the first page.
    first: u64,
    /// Consecutive pages. All but the last have [`PAGE_ENTRIES`].
    pages: VecDeque<Page>,
}

/// The entries, locked to be read.
pub(super) struct Entries<'a> {
    pages: MutexGuard<'a, Pages>,
    len: u64,
}

/// Appends entries. An index has one at a time: it is invalid once another was made.
#[derive(Debug)]
pub(crate) struct Appender {
    page: Page,
    /// Number of the first entry of `page`.
    start: u64,
}

impl Unwritten {
    /// Returns no entries, of an index whose first pages, `first` of them, are in the file.
    pub(super) fn new(first: u64) -> Self {
        Self {
            pages: Mutex::new(Pages {
                first,
                pages: VecDeque::new(),
            }),
            len: AtomicU64::new(start_of(first)),
        }
    }

    /// Returns the number of entries of the index, with those in the file.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn read(&self) -> Entries<'_> {
        let pages = self.pages.lock();
        let len = self.len();
        Entries { pages, len }
    }

    pub(super) fn appender(&self) -> Appender {
        self.pages.lock().appender()
    }

    /// Drops the entries from number `len` on.
    pub(super) fn truncate(&self, len: u64) -> Appender {
        let mut pages = self.pages.lock();
        let kept = len.checked_sub(start_of(pages.first));
        let kept = kept.expect("entries are written once their records stay");
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        pages.pages.truncate(kept.div_ceil(PAGE_ENTRIES));
        self.len.store(len, Ordering::Release);
        pages.appender()
    }

    /// Frees memory that is kept for later entries.
    pub(super) fn release_memory(&self) -> Appender {
        let mut pages = self.pages.lock();
        let len = self.len();
        let start = pages.last_start();
        if let Some(last) = pages.pages.back_mut() {
            let used = usize::try_from(len - start).unwrap_or(usize::MAX);
            *last = with_room(&last[..used.min(last.len())], used);
        }
        pages.pages.shrink_to_fit();
        pages.appender()
    }

    /// Returns the number of entries that there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let pages = self.pages.lock();
        pages.pages.iter().map(|page| page.len()).sum()
    }

    /// Drops the first page, which is in the file now.
    pub(super) fn drop_first_page(&self) {
        let mut pages = self.pages.lock();
        pages.pages.pop_front();
        pages.first += 1;
    }
}

impl Pages {
    /// Returns the number of the first entry of the last page, or of the page to start.
    fn last_start(&self) -> u64 {
        start_of(self.first + (self.pages.len() as u64).saturating_sub(1))
    }

    fn appender(&self) -> Appender {
        Appender {
            page: self.pages.back().map_or_else(Default::default, Arc::clone),
            start: self.last_start(),
        }
    }
}

impl Entries<'_> {
    /// Returns the number of the first page.
    pub(super) fn first_page(&self) -> u64 {
        self.pages.first
    }

    /// Returns entry `number`.
    pub(super) fn get(&self, number: u64) -> Option<u32> {
        if number >= self.len {
            return None;
        }
        let at = usize::try_from(number.checked_sub(start_of(self.pages.first))?).ok()?;
        let page = self.pages.pages.get(at / PAGE_ENTRIES)?;
        Some(page.get(at % PAGE_ENTRIES)?.load(Ordering::Relaxed))
    }

    /// Returns the entries of the first page.
    pub(super) fn first_page_entries(&self) -> Vec<u32> {
        let count = self.len - start_of(self.pages.first);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let page = self.pages.pages.front().into_iter();
        let entries = page.flat_map(|page| page.iter()).take(count);
        entries.map(|entry| entry.load(Ordering::Relaxed)).collect()
    }
}

impl Appender {
    /// Appends entries to `unwritten`, which made this appender, and publishes them together. Returns whether one of
    /// them was the last of a page.
    #[inline]
    pub(super) fn push_all(
        &mut self,
        unwritten: &Unwritten,
        mut entries: impl ExactSizeIterator<Item = u32>,
    ) -> bool {
        let mut len = unwritten.len.load(Ordering::Relaxed);
        let mut page_is_full = false;
        while entries.len() > 0 {
            if len - self.start >= self.page.len() as u64 {
                self.make_room(unwritten);
            }
            #[expect(clippy::cast_possible_truncation, reason = "less than a page has")]
            let at = (len - self.start) as usize;
            let left = entries.len();
            for (slot, entry) in self.page[at..].iter().zip(&mut entries) {
                slot.store(entry, Ordering::Relaxed);
            }
            let pushed = left - entries.len();
            page_is_full |= at + pushed == PAGE_ENTRIES;
            len += pushed as u64;
        }
        unwritten.len.store(len, Ordering::Release);
        page_is_full
    }

    /// Starts a page, or enlarges the last one.
    #[cold]
    fn make_room(&mut self, unwritten: &Unwritten) {
        let mut pages = unwritten.pages.lock();
        if self.page.len() == PAGE_ENTRIES {
            self.start += PAGE_ENTRIES as u64;
            self.page = with_room(&[], PAGE_ENTRIES);
        } else {
            let room = (2 * self.page.len()).clamp(PAGE_ENTRIES_MIN, PAGE_ENTRIES);
            self.page = with_room(&self.page, room);
            pages.pages.pop_back();
        }
        pages.pages.push_back(Arc::clone(&self.page));
    }
}

/// Returns a page of these entries, and zeros up to `room` entries.
fn with_room(entries: &[AtomicU32], room: usize) -> Page {
    let page: Page = (0..room).map(|_| AtomicU32::new(0)).collect();
    for (copy, entry) in page.iter().zip(entries) {
        copy.store(entry.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    page
}

/// Returns the number of the first entry of page `page`.
fn start_of(page: u64) -> u64 {
    page.saturating_mul(PAGE_ENTRIES as u64)
}
