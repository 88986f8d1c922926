#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod again;
mod batch;
mod buffers;
mod error;
mod fill;
mod follow;
mod format;
mod frames;
mod fs;
mod header_file;
mod inner;
mod options;
mod position;
mod recover;
mod scan;
mod set_aside;
mod storage;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod writer;

pub use error::{Error, ErrorKind, Operation, Outcome, Result};
pub use frames::{Frame, FrameRef, Frames};
pub use fs::FsDirectory;
pub use options::Options;
pub use position::{Boundary, Position};
pub use recover::{Recovery, SetAside};
pub use storage::{Directory, OpenMode, Storage};
pub use store::{Appended, Store};

/// How many bytes a frame is longer than its payload.
pub const FRAME_OVERHEAD: u64 = format::FRAME_HEADER_LEN as u64;
/// The largest limit on payloads, in bytes: 1 GiB less one byte.
pub const PAYLOAD_LEN_MAX: u32 = format::PAYLOAD_LEN_MAX;
