//! The process: what belongs to one, and is not the same after a fork.

use crate::error::reason::{Reason, Result};
use crate::sync::{AtomicU64, OnceLock, Ordering};

/// The process that has opened something. A process that it forks has a copy of that, and is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u32);

impl Owner {
    /// Returns the process that calls this.
    pub(crate) fn current() -> Self {
        Self(std::process::id())
    }

    /// Checks that this is still the process that calls.
    pub(crate) fn check(self) -> Result<()> {
        if self == Self::current() {
            Ok(())
        } else {
            Err(Reason::Forked { opened_by: self.0 })
        }
    }
}

/// A value that each process makes for itself.
///
/// A process that was forked must not use that of its parent: the threads that it counts are gone, and its locks may
/// be held by them for ever. So it appends one of its own.
pub(crate) struct PerProcess<T> {
    /// Id of the process; zero before the first use.
    owner: AtomicU64,
    value: OnceLock<T>,
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self {
            owner: AtomicU64::new(0),
            value: OnceLock::new(),
            next: OnceLock::new(),
        }
    }

    /// Returns the value of this process, which `make` returns at first.
    pub(crate) fn get(&'static self, make: impl FnOnce() -> T) -> &'static T {
        let current = u64::from(std::process::id());
        let mut candidate = self;
        loop {
            let owner = candidate.owner.load(Ordering::Acquire);
            if owner == 0 {
                // Other threads that come here store the same.
                candidate.owner.store(current, Ordering::Release);
            }
            if owner == 0 || owner == current {
                return candidate.value.get_or_init(make);
            }
            candidate = candidate.next.get_or_init(|| Box::new(Self::new()));
        }
    }
}
