//! Atomics, and cells that are set once.

use std::sync::atomic::{self, Ordering};

use crate::point;

/// A fence: nothing is reordered here that it could keep in order.
pub fn fence(_order: Ordering) {
    point();
}

macro_rules! atomic {
    ($name:ident, $value:ty, $($operation:ident),*) => {
        /// As the one of the standard library.
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        impl $name {
            #[doc = "Holds `value`."]
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            #[doc = "The value."]
            pub fn load(&self, _order: Ordering) -> $value {
                point();
                self.0.load(Ordering::SeqCst)
            }

            #[doc = "Sets the value."]
            pub fn store(&self, value: $value, _order: Ordering) {
                point();
                self.0.store(value, Ordering::SeqCst);
            }

            $(
                #[doc = "Changes the value, and returns what it was."]
                pub fn $operation(&self, value: $value, _order: Ordering) -> $value {
                    point();
                    self.0.$operation(value, Ordering::SeqCst)
                }
            )*
        }
    };
}

atomic!(AtomicBool, bool, swap, fetch_or);
atomic!(
    AtomicU64, u64, swap, fetch_add, fetch_or, fetch_max, fetch_min
);
atomic!(AtomicUsize, usize, swap, fetch_add, fetch_max);

/// As the one of the standard library.
#[derive(Debug)]
pub struct OnceLock<T>(std::sync::OnceLock<T>);

impl<T> OnceLock<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        point();
        self.0.get()
    }

    /// Sets it.
    ///
    /// # Errors
    ///
    /// The value, if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        point();
        self.0.set(value)
    }

    /// The value, which `make` sets if it is not; `make` takes no lock.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        point();
        self.0.get_or_init(make)
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}
