//! Locks, atomics and other primitives of proglog's crates, with the interfaces that they use, on threads of shuttle:
//! each operation is a point at which another thread may run.
//!
//! Everything is sequentially consistent: the effects of weaker orderings are not tried.

mod atomic;
mod event;

use std::time::Duration;

pub use std::sync::atomic::{Ordering, fence};

pub use atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, OnceLock, Step};
pub use event::{Condvar, Event, EventListener, Listener};
pub use shuttle_parking_lot::{Mutex, MutexGuard, RwLock};

/// Locks `mutex`, if no thread has it: there is no time here.
pub fn lock_within<T>(mutex: &Mutex<T>, _time_max: Duration) -> Option<MutexGuard<'_, T>> {
    mutex.try_lock()
}

/// The standard library's primitives, for many threads that wait for one event.
pub mod std_sync {
    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

/// A point at which another thread may run, if there is a scheduler.
pub fn point() {
    if shuttle::current::try_get_current_task().is_some() {
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}
