//! Locks, atomics and events of this crate, named in one place so that a model checker can replace them.

use std::time::Duration;

pub(crate) use event_listener::{Event, EventListener, Listener};
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// Locks `mutex`, unless that takes longer than `time_max`.
pub(crate) fn lock_within<T>(mutex: &Mutex<T>, time_max: Duration) -> Option<MutexGuard<'_, T>> {
    mutex.try_lock_for(time_max)
}

/// For many threads that wait on one condition: this one wakes all with one system call, while the one above
/// releases them one by one. And for threads that may wait while the process is forked.
pub(crate) mod std_sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}
