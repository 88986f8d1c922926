//! Locks, atomics, events and caches of this crate, named in one place so that a model checker can replace them.

pub(crate) use event_listener::{Event, EventListener, Listener};
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
/// Loads a value that several threads ask for only once; the others wait.
pub(crate) use quick_cache::sync::Cache;
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// For many threads that wait on one condition: this one wakes all with one system call, while the one above
/// releases them one by one. And for threads that may wait while the process is forked.
pub(crate) mod std_sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}
