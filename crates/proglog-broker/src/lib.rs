//! [`BrokerOptions`]: crate::BrokerOptions
//! [`Disk`]: crate::Disk
//! [`Broker::put`]: crate::Broker::put
//! [`Cursors`]: crate::Cursors
//! [`Handle::append`]: crate::Handle::append
//! [`Memory`]: crate::Memory
//! [`Single`]: crate::Single
//! [`Backend`]: crate::Backend
#![doc = include_str!("../README.md")]

mod admission;
mod backend;
mod backoff;
mod broker;
mod config;
mod cursor;
mod cursors;
mod ends;
mod error;
mod handle;
mod id;
mod logs;
mod meta;
mod name;
mod nearest;
mod open_log;
mod options;
mod producers;
mod slot;
mod threads;
mod upkeep;
mod verification;
mod wait;

pub use admission::{Admission, AppendPermit};
pub use backend::disk::Disk;
pub use backend::memory::Memory;
pub use backend::single::Single;
pub use backend::{Backend, Opened, Snapshot};
pub use broker::{Broker, Description};
pub use config::{Durability, InvalidConfig, LogConfig, Retention};
pub use cursor::{Cursor, CursorName, Expect, METADATA_BYTES_MAX, SetCursor};
pub use cursors::Cursors;
pub use error::{Error, Result};
pub use handle::{Appended, Handle, Pending};
pub use id::{InvalidId, LogId};
pub use logs::Put;
pub use meta::{LogMeta, MetaError};
pub use name::{InvalidName, LogName};
pub use options::BrokerOptions;
pub use slot::State;
pub use threads::{Panicked, Threads};
pub use verification::Verification;
