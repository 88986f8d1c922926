#![doc = include_str!("../README.md")]

mod checkpoint;
mod clock;
mod commit;
mod commit_log;
mod error;
mod index;
mod iter;
mod label;
mod log;
mod memory;
mod names;
mod offset;
mod open;
mod options;
mod record;
mod recovery;
mod runtime;
mod segment;
mod shared;
mod sync;
mod ticket;

pub use commit_log::{CommitLog, Records};
pub use error::{Error, ErrorKind, Result, SegmentIdentity};
pub use log::Log;
pub use memory::MemoryLog;
pub use offset::Offset;
pub use options::{Durability, Options, OptionsError};
/// The layer below, whose types some of this crate's operations take and return.
pub use proglog_store as store;
pub use proglog_store::Outcome;
pub use record::{Batch, Header, Record};
pub use recovery::Recovery;
pub use ticket::Ticket;
