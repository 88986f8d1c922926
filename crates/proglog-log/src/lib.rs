//! [`Log`]: crate::Log
//! [`MemoryLog`]: crate::MemoryLog
//! [`CommitLog`]: crate::CommitLog
//! [`Ticket`]: crate::Ticket
//! [`ReadLog`]: crate::ReadLog
//! [`Durability`]: crate::Durability
//! [`Retention`]: crate::Retention
//! [`Follow`]: crate::Follow
//! [`ReadOnlyLog`]: crate::ReadOnlyLog
//! [`Recovery`]: crate::Recovery
//! [`Visibility`]: crate::Visibility
//! [`Cache`]: crate::Cache
//! [`Observer`]: crate::Observer
//! [`BackgroundFailures`]: crate::BackgroundFailures
#![doc = include_str!("../README.md")]
//!
//! # A guide
//!
//! ## Appending
//!
//! [`Log::append`] and [`Log::append_batch`] return once the records are as durable as the log promises.
//! Threads that append at the same time share a sync, so more of them cost little more than one. A single thread
//! gets the same from [`Log::submit`], which assigns the offset and returns a [`Ticket`]: one sync then completes
//! several appends.
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
//!     ticket.wait()?; // the first call syncs all of them; in async code, `ticket.await?`
//! }
//! assert_eq!(log.end_offset(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! ## Choosing a durability
//!
//! [`LogOptions::durability`] determines when an append is acknowledged, and so what a record survives:
//!
//! | [`Durability`] | acknowledged once it is | survives a killed process | survives a power loss | readers see it |
//! |---|---|---|---|---|
//! | [`Synced`](Durability::Synced), the default | on the device | yes | yes | when acknowledged |
//! | [`Interval`](Durability::Interval) | with the operating system | yes | except the last interval | when acknowledged |
//! | [`Buffered`](Durability::Buffered) | in memory | except the last 512 KiB | up to the last sync | at once |
//!
//! [`Log::sync`] makes everything before it durable, whatever the durability of the log:
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
//! log.sync()?; // all of them are on the device now
//! # Ok(())
//! # }
//! ```
//!
//! ## Reading and following
//!
//! [`Log::read`] reads one record, [`Log::records`] iterates over a range, and [`Log::follow`] waits for new
//! records at the end: as a blocking iterator, with a [timeout](Follow::recv_timeout), or as a
//! [stream](Follow::into_stream) for any async runtime. A consumer keeps its own position, the next offset to read;
//! the log can store up to 1 KiB of application data for that.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use std::thread;
//!
//! use proglog_log::{Log, LogOptions, Offset};
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
//! ## Dropping old records
//!
//! With a [`Retention`] policy the log drops whole segments on its own: by age, and by the bytes or records to
//! keep. [`Log::trim`] drops the records below an offset, exactly. Offsets continue, and reading a dropped record
//! is an error:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use std::time::Duration;
//!
//! use proglog_log::{Error, Log, LogOptions, Reason, Retention};
//!
//! let week = Duration::from_secs(7 * 24 * 60 * 60);
//! let policy = Retention::new().age(week).bytes(10 << 30);
//! let log = Log::open(directory.path(), &LogOptions::new().retention(policy))?;
//! log.append_batch(["a", "b", "c"])?;
//! log.trim(2)?;
//! match log.read(0) {
//!     Err(Error { reason: Reason::Trimmed { start, .. }, .. }) => {
//!         assert_eq!(log.read(start)?.value, "c");
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! ## Full devices
//!
//! A full device refuses appends ([`DiskFull`](ErrorKind::DiskFull)), harms nothing that was acknowledged, and takes
//! appends again once there is space, without a restart. So does a quota, or a limit on file size. Reads go on, and so do
//! trims and retention, since what they write has its space already.
//!
//! File systems that write nothing in place, such as btrfs, bcachefs and ZFS, need space to overwrite a file too. For them
//! a log keeps the file `reserve`, of 8 KiB: where the checkpoint finds no space, that file is removed, and created again
//! once there is. So the above holds there too, with these limits:
//!
//! - A trim, a truncation or new application data is refused if other files take the space of the reserve before it is
//!   used, or before it is created again. So it is if the file system needs more than that, as btrfs may with mixed
//!   block groups, or where there is no space for metadata. Nothing has changed then, and nothing is poisoned.
//! - An append whose write was refused half way has an [outcome](Error::outcome) that is unknown: if the process ends
//!   before there is space, it may be in the log when that is opened again.
//! - Closing a log may need space.
//!
//! On any full device, a truncation that has begun may find no space for the rest. Readers see the truncated log then,
//! and the next append, or opening the log, completes it. A *sync* that fails for want of space, as NFS and thin devices
//! report it, [poisons](ErrorKind::Poisoned) the log like any other: what is on the device is unknown.
//!
//! ## Backing up
//!
//! The files of an open log can be copied. Copy `checkpoint` first, then list the directory, and copy the `.log` files
//! that are there, in any order; indexes are rebuilt where they are missing. The copy is like a log whose process was
//! killed: it has everything that was synced before the copying began, and opening it recovers its end. Records that
//! were appended meanwhile may be there, or be reported as damaged after those.
//!
//! - If a segment is trimmed before it is copied, opening fails with [`MissingSegment`](Reason::MissingSegment): copy
//!   again. If `checkpoint` was copied last, it may be ahead of the other files; [`Log::repair`] rebuilds it from them.
//! - A copy up to an exact offset is one of `checkpoint` and of the `.log` files with base offsets below what
//!   [`Log::roll`] returns, which change no more. [`Log::repair`] makes a log of them: the checkpoint names the next
//!   segment, which is not there.
//! - Hard links are no copy. The checkpoint is overwritten in place and the newest segment grows, so both logs would
//!   write to the same files. They are refused ([`Locked`](Reason::Locked)) only as long as the log is open.
//!
//! ## Forking
//!
//! A log belongs to the process that opened it. A process that is forked from that one shares its files and its lock,
//! and has none of its threads, so it must not use the handles that it has inherited. It may drop them, which closes
//! copies of the files and nothing else; [`Log::close`] fails with [`Reason::Forked`], and what would write, sync, trim or
//! truncate stops the copy of the log and changes nothing. As long as the forked process has such handles, and its parent
//! has not closed the log, no process can open the log.
//!
//! It may open logs of its own, with background threads and a [`Cache::global`] of its own. A runtime that was
//! installed, or set in options that were made before, has to work after a fork itself, and so has a [`Cache`] that
//! was made before.
//!
//! In a process with several threads the usual rule holds: the child has copies of locks that other threads held at
//! that moment, and they stay locked. So fork while no other thread is in a call of a log, or let the child only start
//! another program. The files are closed then.
//!
//! ## Errors
//!
//! An [`Error`] names the log's directory and has a [`Reason`], which carries the facts. [`Error::kind`] classifies
//! it for code that acts on it. For an append that failed, [`Error::outcome`] returns whether it is certain that
//! nothing was stored.
//!
//! | kind | what to do |
//! |---|---|
//! | [`DiskFull`](ErrorKind::DiskFull) | free some space, by a trim for example (see [Full devices](#full-devices)), and append again; no restart is needed |
//! | [`Poisoned`](ErrorKind::Poisoned) | a sync failed, and what is on the device is unknown: close the log and open it again, which recovers it; or its directory has moved, as the source says |
//! | [`DirectoryMoved`](ErrorKind::DirectoryMoved), from a [`ReadOnlyLog`] | the directory was renamed, replaced or removed: open what is at the path now |
//! | [`Corrupt`](ErrorKind::Corrupt), from a read | the record that the error names is damaged; the records around it can be read |
//! | [`Corrupt`](ErrorKind::Corrupt), from opening | the file that the error names is missing, exchanged or damaged: restore it, or continue with what is there after [`Log::repair`] |
//! | [`Locked`](ErrorKind::Locked) | another handle or process has the log open; [`ReadOnlyLog`] can read it meanwhile |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use proglog_log::{ErrorKind, Log, LogOptions, Offset, Outcome, Record};
//!
//! fn append(log: &Log, record: Record) -> Result<Option<Offset>, proglog_log::Error> {
//!     match log.append(record) {
//!         Ok(offset) => Ok(Some(offset)),
//!         // Nothing was stored: the caller can try again once there is space.
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
//! Opening recovers a log that was not closed, and [`Log::recovery`] reports what it found, for a program's own
//! log:
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
mod observer;
mod offset;
mod open;
mod options;
pub mod producers;
mod read;
mod read_only;
mod record;
mod retention;
mod runtime;
mod segment;
mod stat;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use commit::append::{Append, Attempt};
pub use commit::ticket::{Completion, Ticket};
pub use commit_log::CommitLog;
pub use engine::failures::BackgroundFailures;
pub use error::kind::ErrorKind;
pub use error::reason::{CheckpointMismatch, OptionsError, Reason, SegmentIdentity};
pub use error::{Error, Result};
pub use log::Log;
pub use memory::MemoryLog;
pub use observer::{Damaged, Observer, Synced};
pub use offset::{Offset, OffsetBounds, Offsets};
pub use open::report::{Damage, Recovery, SetAside};
pub use options::{Durability, LogOptions, Visibility};
pub use proglog_store::{Operation, Outcome};
pub use read::follow::{Follow, FollowStream, RecvTimeoutError};
pub use read::notify::{Notified, Notify};
pub use read::read_log::ReadLog;
pub use read::reader::Reader;
pub use read::records::Records;
pub use read::verify::Verification;
pub use read_only::ReadOnlyLog;
pub use read_only::options::ReadOnlyOptions;
pub use record::batch::Batch;
pub use record::fields::IntoRecord;
pub use record::into_bytes::IntoBytes;
pub use record::producer::{InvalidProducerId, Producer};
pub use record::{Header, Record, RecordRef, StoredRecord};
pub use retention::Retention;
pub use runtime::{Job, Runtime, RuntimeInUse, install_runtime};
pub use segment::cache::{Cache, CacheBuilder};
pub use stat::Stat;
