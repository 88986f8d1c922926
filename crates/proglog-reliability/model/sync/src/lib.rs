//! Locks, atomics and whatever else proglog's crates wait for, with the interfaces that they know, on threads
//! of shuttle: each operation is a place where another thread may go on.
//!
//! All of it is sequentially consistent: what weaker orderings allow is not tried.

mod atomic;
mod cache;
mod event;
mod lock;

pub use std::sync::atomic::Ordering;

pub use atomic::{AtomicBool, AtomicU64, AtomicUsize, OnceLock, fence};
pub use cache::Cache;
pub use event::{Event, EventListener, Listener};
pub use lock::{Condvar, Mutex, MutexGuard, RwLock};

/// Where many threads wait for one thing.
pub mod std_sync {
    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

/// Lets another thread go on here, if there is a scheduler.
pub fn point() {
    if shuttle::current::try_get_current_task().is_some() {
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}
