//! The bound on the producers of all logs that are open.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use proglog_log::producers::{KEPT_FOR, Producers};

/// The most producers of all open logs.
pub(crate) const PRODUCERS_MAX: usize = 100_000;

/// The tables of all open logs, and how many producers they have.
#[derive(Debug)]
pub(crate) struct ProducerLimit {
    max: usize,
    count: AtomicUsize,
    tables: Mutex<Vec<Weak<Table>>>,
}

/// The table of one log. Its lock is held for moments only, and no other is taken under it.
#[derive(Debug)]
pub(crate) struct Table {
    producers: Mutex<Producers>,
    limit: Arc<ProducerLimit>,
}

impl ProducerLimit {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            count: AtomicUsize::new(0),
            tables: Mutex::default(),
        })
    }

    /// Counts the producers of a log that is opened, even if there are too many by that: they are not forgotten.
    pub(crate) fn add(self: &Arc<Self>, producers: Producers) -> Arc<Table> {
        self.count.fetch_add(producers.len(), Ordering::Relaxed);
        let table = Arc::new(Table {
            producers: Mutex::new(producers),
            limit: Arc::clone(self),
        });
        let mut tables = self.tables.lock();
        tables.retain(|table| table.strong_count() > 0);
        tables.push(Arc::downgrade(&table));
        table
    }

    /// Makes room for one more producer: of all open logs, the one that was unused for longest is forgotten, unless it
    /// has appended within the last hour. Returns whether there is room. Several threads that do this at once may
    /// exceed the bound, each by one.
    pub(crate) fn make_room(&self, now: SystemTime) -> bool {
        if self.count.load(Ordering::Relaxed) < self.max {
            return true;
        }
        let tables: Vec<_> = self
            .tables
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let used = tables
            .iter()
            .filter_map(|table| Some((table.read(Producers::oldest_use)?, table)));
        let Some((used_at, table)) = used.min_by_key(|(used_at, _)| *used_at) else {
            return false;
        };
        let is_unused = now
            .duration_since(used_at)
            .is_ok_and(|unused| unused >= KEPT_FOR);
        if is_unused {
            table.update(Producers::forget_oldest);
        }
        is_unused
    }
}

impl Table {
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Producers) -> T) -> T {
        read(&self.producers.lock())
    }

    pub(crate) fn update<T>(&self, update: impl FnOnce(&mut Producers) -> T) -> T {
        let mut producers = self.producers.lock();
        let before = producers.len();
        let updated = update(&mut producers);
        // Wraps around where there are fewer.
        let more = producers.len().wrapping_sub(before);
        self.limit.count.fetch_add(more, Ordering::Relaxed);
        updated
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.limit
            .count
            .fetch_sub(self.producers.get_mut().len(), Ordering::Relaxed);
    }
}
