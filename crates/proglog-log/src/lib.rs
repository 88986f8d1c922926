//! An embeddable commit log.

mod clock;
mod commit_log;
mod error;
mod memory;
mod offset;
mod options;
mod record;
mod sync;
mod ticket;

pub use commit_log::{CommitLog, Records};
pub use error::{Error, ErrorKind, Result, SegmentIdentity};
pub use memory::MemoryLog;
pub use offset::Offset;
pub use options::{Durability, Options, OptionsError};
pub use proglog_store::Outcome;
pub use record::{Batch, Header, Record};
pub use ticket::Ticket;
