//! An append-only file of checksummed frames.
#![forbid(unsafe_code)]

mod storage;
#[cfg(feature = "testing")]
pub mod testing;

pub use storage::{Directory, OpenMode, Storage};
