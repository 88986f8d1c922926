//! What the fuzz targets do with the bytes that they are given, each in a module of its own.
//!
//! Bytes without a plan do not get past a checksum. So the first ones choose what the rest is: a script of
//! edits of a real file, or the file itself; and whether the checksums are made right again behind the
//! edits, so that what lies below them is reached. Where they are left alone, all that can still be read has
//! to be what was written; where they are made right, the log has to agree with itself.
//!
//! `RELIABILITY.md` tells how a target is run. No sanitizer is asked for, so the stable toolchain does. The
//! row `fuzz` of the reliability program runs all of them, from a corpus that it makes, and leaves what it found
//! in `target/reliability/fuzz/artifacts`.

mod edits;
mod files;
mod input;
mod logs;
mod memory;
mod plan;

pub mod checkpoint;
pub mod frame;
pub mod http;
pub mod index;
pub mod json;
pub mod record;
pub mod segment;

/// What the log keeps to itself, taken as it is: how it reads and writes a record by hand.
#[allow(dead_code, reason = "the log uses the rest")]
#[path = "../../../proglog-log/src/record/decode.rs"]
mod decode;
#[allow(dead_code, reason = "the log uses the rest")]
#[path = "../../../proglog-log/src/record/encode.rs"]
mod encode;
/// The bytes of a store.
#[allow(
    dead_code,
    clippy::missing_panics_doc,
    reason = "the store uses the rest"
)]
#[path = "../../../proglog-store/src/format.rs"]
mod format;

/// What these files name so.
mod offset {
    pub(crate) use proglog_log::Offset;
}
mod position {
    pub(crate) use proglog_store::{Boundary, Position};
}
