//! The locks and atomics of this crate, and whatever else a thread may wait for, in one place, so that a
//! model checker can take theirs.

pub(crate) use event_listener::{Event, EventListener, Listener};
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
/// Has one thread load what several ask for, and the others wait for it.
pub(crate) use quick_cache::sync::Cache;
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// Where many threads wait for one thing: this condition wakes all with one system call, while the one
/// above lets them go one by one.
pub(crate) mod std_sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}
