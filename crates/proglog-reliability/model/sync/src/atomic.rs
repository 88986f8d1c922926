//! Atomics, and cells that are set once.

use std::ops::Deref;
use std::sync::atomic;

use crate::point;

/// A primitive of the standard library, each use of which is a step.
#[derive(Debug, Default)]
pub struct Step<T>(T);

impl<T> Deref for Step<T> {
    type Target = T;

    fn deref(&self) -> &T {
        point();
        &self.0
    }
}

macro_rules! step {
    ($name:ident, $value:ty) => {
        /// As the one of the standard library.
        pub type $name = Step<atomic::$name>;

        impl $name {
            #[doc = "Holds `value`."]
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }
        }
    };
}

step!(AtomicBool, bool);
step!(AtomicU32, u32);
step!(AtomicU64, u64);
step!(AtomicUsize, usize);

/// As the one of the standard library.
pub type OnceLock<T> = Step<std::sync::OnceLock<T>>;

impl<T> OnceLock<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }
}
