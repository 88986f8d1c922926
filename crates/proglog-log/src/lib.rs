//! [`Log`]: crate::Log
//! [`MemoryLog`]: crate::MemoryLog
//! [`CommitLog`]: crate::CommitLog
//! [`Ticket`]: crate::Ticket
//! [`LogOptions`]: crate::LogOptions
//! [`Durability`]: crate::Durability
//! [`Retention`]: crate::Retention
//! [`Follow`]: crate::Follow
//! [`ReadOnlyLog`]: crate::ReadOnlyLog
//! [`Recovery`]: crate::Recovery
//! [`Error`]: crate::Error
//! [`Visibility`]: crate::Visibility
#![doc = include_str!("../README.md")]
//!
//! # A guide
//!
//! ## Appending
//!
//! [`Log::append`] and [`Log::append_batch`] return once the records are as durable as the log promises.
//! Threads that append at the same time share a sync, so more of them cost little more than one. One thread
//! has as much from [`Log::submit`], which gives the records their offsets and returns a [`Ticket`]: several
//! appends are on their way then, and one sync serves them.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use proglog_log::{Log, LogOptions, Record};
//!
//! let log = Log::open(directory.path(), &LogOptions::new())?;
//! let mut tickets = Vec::new();
//! for order in ["order-7", "order-8", "order-9"] {
//!     tickets.push(log.submit(Record::new("created").with_key(order))?); // not durable yet
//! }
//! for ticket in tickets {
//!     ticket.wait()?; // the first does the sync for all; in async code, `ticket.await?`
//! }
//! assert_eq!(log.end_offset(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! ## Choosing a durability
//!
//! [`LogOptions::durability`] says when an append is acknowledged, and so what the record survives:
//!
//! | [`Durability`] | acknowledged once it is | survives a killed process | survives a power loss | readers see it |
//! |---|---|---|---|---|
//! | [`Synced`](Durability::Synced), the default | on the device | yes | yes | then |
//! | [`Interval`](Durability::Interval) | with the operating system | yes | but the last interval | then |
//! | [`Buffered`](Durability::Buffered) | in memory | but the last 512 KiB | up to the last sync | at once |
//!
//! [`Log::sync`] puts all on the device whatever the durability, so a log of a weaker one can have places
//! that are sure:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use proglog_log::{Durability, Log, LogOptions};
//!
//! let log = Log::open(directory.path(), &LogOptions::new().durability(Durability::Buffered))?;
//! for number in 0..1000 {
//!     log.append(format!("measured: {number}"))?;
//! }
//! log.sync()?; // on the device, all of them
//! # Ok(())
//! # }
//! ```
//!
//! ## Reading and following
//!
//! [`Log::read`] takes an offset, [`Log::records`] iterates up to the end, and [`Log::follow`] waits there
//! for what comes: as an iterator that blocks, with a [timeout](Follow::recv_timeout), or as a
//! [stream](Follow::into_stream) for any async runtime. How far a consumer has come is an offset that it keeps
//! itself; the log has room for up to 1 KiB of that.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use std::thread;
//!
//! use proglog_log::{Log, Offset, LogOptions};
//!
//! let log = Log::open(directory.path(), &LogOptions::new())?;
//! let producer = log.clone(); // another handle of the same log
//! let producing = thread::spawn(move || producer.append_batch(["a", "b", "c"]));
//!
//! let mut next = Offset::ZERO;
//! for record in log.follow(next) {
//!     let record = record?;
//!     println!("{}: {:?}", record.offset, record.value);
//!     next = record.offset + 1;
//!     if record.value == "c" {
//!         break;
//!     }
//! }
//! log.set_application_data(next.to_string().as_bytes())?; // where to continue after a restart
//! # producing.join().expect("it does not panic")?;
//! # Ok(())
//! # }
//! ```
//!
//! ## Dropping what is old
//!
//! With a [`Retention`] the log drops whole segments by itself: by age, and by how many bytes or records are
//! kept at the least. [`Log::trim`] drops up to an offset, exactly. Offsets go on where they were, and
//! who asks for a record that was dropped is told so:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use std::time::Duration;
//!
//! use proglog_log::{Error, Log, LogOptions, Retention};
//!
//! let week = Duration::from_secs(7 * 24 * 60 * 60);
//! let policy = Retention::new().age(week).bytes(10 << 30);
//! let log = Log::open(directory.path(), &LogOptions::new().retention(policy))?;
//! log.append_batch(["a", "b", "c"])?;
//! log.trim(2)?;
//! match log.read(0) {
//!     Err(Error::Trimmed { start, .. }) => assert_eq!(log.read(start)?.value, "c"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! ## When something fails
//!
//! Each [`Error`] carries the facts, and [`Error::kind`] sorts them for code that acts on them. Of an append
//! that failed, [`Error::outcome`] says whether it is certain that nothing was stored.
//!
//! | kind | what to do |
//! |---|---|
//! | [`DiskFull`](ErrorKind::DiskFull) | make room (trimming works on a full device), and append again: no restart is needed |
//! | [`Poisoned`](ErrorKind::Poisoned) | a sync failed: what is on the device is unknown. Close the log and open it again, which finds out |
//! | [`Corrupt`](ErrorKind::Corrupt) of a read | this record is damaged, and the error names it; those around it can be read |
//! | [`Corrupt`](ErrorKind::Corrupt) of opening | a file is missing, exchanged or damaged, and the error names it. Put it back, or ask [`Log::repair`] to go on with what is there |
//! | [`Locked`](ErrorKind::Locked) | somebody else has the log open; [`ReadOnlyLog`] reads beside them |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use proglog_log::{ErrorKind, Log, Offset, LogOptions, Outcome, Record};
//!
//! fn append(log: &Log, record: Record) -> Result<Option<Offset>, proglog_log::Error> {
//!     match log.append(record) {
//!         Ok(offset) => Ok(Some(offset)),
//!         // It is certain that nothing was stored: the caller may try again once there is room.
//!         Err(error) if error.kind() == ErrorKind::DiskFull
//!             && error.outcome() == Outcome::NotAppended => Ok(None),
//!         Err(error) => Err(error),
//!     }
//! }
//! # let log = Log::open(directory.path(), &LogOptions::new())?;
//! # assert_eq!(append(&log, "a".into())?, Some(Offset::ZERO));
//! # Ok(())
//! # }
//! ```
//!
//! Opening recovers what was not closed, and [`Log::recovery`] tells what it found. Worth a line in a
//! program's own log:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # use proglog_log::{Log, LogOptions};
//! let log = Log::open(directory.path(), &LogOptions::new())?;
//! let recovery = log.recovery();
//! println!("{recovery}"); // "opened cleanly with records 0..1204", for example
//! # assert!(recovery.clean);
//! # Ok(())
//! # }
//! ```

mod clock;
mod commit;
mod commit_log;
mod engine;
mod error;
mod layout;
mod log;
mod memory;
mod offset;
mod open;
mod options;
mod read;
mod read_only;
mod record;
mod retention;
mod runtime;
mod segment;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use commit::ticket::{Completion, Ticket};
pub use commit_log::CommitLog;
pub use error::{CheckpointMismatch, Error, ErrorKind, Result, SegmentIdentity};
pub use log::Log;
pub use memory::MemoryLog;
pub use offset::{Offset, OffsetBounds, Offsets};
pub use open::report::{Damage, Recovery, SetAside};
pub use options::{Durability, LogOptions, OptionsError, Visibility};
/// The layer below, whose types some of this crate's operations take and return.
pub use proglog_store as store;
pub use proglog_store::{Operation, Outcome};
pub use read::follow::{Follow, FollowStream, RecvTimeoutError};
pub use read::notify::Notify;
pub use read::read_log::ReadLog;
pub use read::reader::Reader;
pub use read::records::Records;
pub use read::verify::Verification;
pub use read_only::ReadOnlyLog;
pub use record::batch::Batch;
pub use record::into_bytes::IntoBytes;
pub use record::{Header, Record, RecordRef, StoredRecord};
pub use retention::Retention;
pub use runtime::{Job, Runtime, RuntimeInUse, install_runtime};
