//! The pages of a segment's index that are in memory.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::segment::eviction::{Eviction, Place};
use crate::segment::index::page::Page;
use crate::sync::{AtomicBool, Ordering, RwLock};

/// The bound on the pages of all indexes that share it, in bytes.
pub(crate) type PageEviction = Eviction<PagePlace>;

/// The pages of a segment's index that are in memory, by their number.
#[derive(Debug)]
pub(crate) struct CachedPages {
    /// Held to copy a few words, but for one page at most.
    pages: RwLock<HashMap<u64, Cached>>,
    eviction: Arc<PageEviction>,
}

#[derive(Debug)]
struct Cached {
    page: Page,
    was_used: AtomicBool,
}

/// The place of a page.
#[derive(Debug)]
pub(crate) struct PagePlace {
    pages: Weak<CachedPages>,
    number: u64,
}

impl CachedPages {
    pub(crate) fn new(eviction: Arc<PageEviction>) -> Self {
        Self {
            pages: RwLock::new(HashMap::new()),
            eviction,
        }
    }

    /// Returns what `read` finds in page `number`, if that is in memory.
    #[inline]
    pub(super) fn read<T>(&self, number: u64, read: impl FnOnce(&Page) -> T) -> Option<T> {
        let pages = self.pages.read();
        let cached = pages.get(&number)?;
        if !cached.was_used.load(Ordering::Relaxed) {
            cached.was_used.store(true, Ordering::Relaxed);
        }
        Some(read(&cached.page))
    }

    /// Puts page `number` in memory.
    pub(super) fn insert(self: &Arc<Self>, number: u64, page: Page) {
        let size = page.size();
        let cached = Cached {
            page,
            was_used: AtomicBool::new(false),
        };
        let old = self.pages.write().insert(number, cached);
        // Another thread may have been first.
        if old.is_none_or(|old| old.page.size() != size) {
            let pages = Arc::downgrade(self);
            self.eviction.filled(PagePlace { pages, number }, size);
        }
    }

    /// Drops page `number`.
    pub(super) fn remove(&self, number: u64) -> Option<Page> {
        let mut pages = self.pages.write();
        let removed = pages.remove(&number)?;
        // A segment that is no longer read takes no memory.
        if pages.len() * 8 <= pages.capacity() {
            pages.shrink_to_fit();
        }
        Some(removed.page)
    }
}

impl Place for PagePlace {
    type Held = Page;

    fn was_used(&self) -> bool {
        self.pages.upgrade().is_some_and(|pages| {
            let pages = pages.pages.read();
            let cached = pages.get(&self.number);
            cached.is_some_and(|cached| cached.was_used.swap(false, Ordering::Relaxed))
        })
    }

    fn take(&self) -> Option<Page> {
        self.pages.upgrade()?.remove(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pages: &CachedPages) -> usize {
        pages.pages.read().len()
    }

    #[test]
    fn indexes_share_a_bound_and_one_that_is_not_read_any_more_takes_no_memory() {
        let page = Page::new(&[1, 2, 3]);
        let eviction = Arc::new(PageEviction::new(100 * page.size()));
        let [old, new] = [(); 2].map(|()| Arc::new(CachedPages::new(Arc::clone(&eviction))));
        (0..200).for_each(|number| old.insert(number, page.clone()));
        assert_eq!(count(&old), 100);
        (0..70).for_each(|number| new.insert(number, page.clone()));
        assert_eq!([count(&old), count(&new)], [30, 70]);
        assert_eq!(old.read(199, |page| page.get(1)), Some(Some(2)));
        (70..100).for_each(|number| new.insert(number, page.clone()));
        // The one that was read got another chance.
        assert_eq!([count(&old), count(&new)], [1, 99]);
        (100..200).for_each(|number| new.insert(number, page.clone()));
        assert_eq!([count(&old), count(&new)], [0, 100]);
        assert_eq!(old.pages.read().capacity(), 0);
    }

    #[test]
    fn pages_of_an_index_that_is_gone_make_room_for_others() {
        let page = Page::new(&[1, 2, 3]);
        let eviction = Arc::new(PageEviction::new(2 * page.size()));
        let [gone, other] = [(); 2].map(|()| Arc::new(CachedPages::new(Arc::clone(&eviction))));
        (0..2).for_each(|number| gone.insert(number, page.clone()));
        drop(gone);
        (0..2).for_each(|number| other.insert(number, page.clone()));
        assert_eq!(count(&other), 2);
    }

    #[test]
    fn a_page_in_place_of_another_counts_as_well() {
        let (short, long) = (Page::new(&[1]), Page::new(&[1; 100]));
        let eviction = Arc::new(PageEviction::new(long.size() + short.size()));
        let pages = Arc::new(CachedPages::new(eviction));
        pages.insert(0, short.clone());
        pages.insert(0, long);
        pages.insert(1, short);
        assert_eq!(count(&pages), 1);
        assert_eq!(pages.read(0, Page::len), None);
    }
}
