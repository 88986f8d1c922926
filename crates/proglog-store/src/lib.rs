//! [`Store`]: crate::Store
//! [`Options`]: crate::Options
//! [`Frames`]: crate::Frames
//! [`Recovery`]: crate::Recovery
//! [`SetAside`]: crate::SetAside
//! [`Error`]: crate::Error
//! [`Directory`]: crate::Directory
//! [`Storage`]: crate::Storage
#![doc = include_str!("../README.md")]
//!
//! # A guide
//!
//! ## Appending, flushing, syncing
//!
//! [`Store::append`] copies the bytes into a buffer and returns where they are: they can be read at once, and
//! survive nothing yet. [`Store::flush`] hands them to the operating system, [`Store::sync`] puts them on the
//! device, and each returns how far. So many appends can share a sync:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("my.store");
//! use proglog_store::{Options, Store};
//!
//! let store = Store::open(&path, &Options::new())?;
//! for number in 0..1000_u32 {
//!     store.append(&number.to_be_bytes())?;
//! }
//! let synced = store.sync()?;
//! assert_eq!(synced.frames, 1000);
//! # Ok(())
//! # }
//! ```
//!
//! ## Reading
//!
//! [`Store::read`] takes the position of a frame, and [`Store::frames`] goes from one to the next. Both verify
//! what they return. Behind a damaged frame a scan can go on:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("my.store");
//! # use proglog_store::{Options, Store};
//! # let store = Store::open(&path, &Options::new())?;
//! # store.append_batch(&[&b"one"[..], b"two"])?;
//! let mut frames = store.frames(..);
//! let mut payloads = Vec::new();
//! loop {
//!     match frames.next() {
//!         Some(Ok(frame)) => payloads.push(frame.payload),
//!         Some(Err(error)) => {
//!             eprintln!("{error}");
//!             if frames.resume()?.is_none() {
//!                 break; // nothing behind it can be read
//!             }
//!         }
//!         None => break,
//!     }
//! }
//! assert_eq!(payloads, ["one", "two"]);
//! # Ok(())
//! # }
//! ```
//!
//! ## Opening after a crash
//!
//! [`Store::open`] finds where the data ends, and [`Store::recovery`] tells what it did. What was synced is
//! there; the end of an unfinished write is in a file of its own:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("my.store");
//! use std::fs::OpenOptions;
//! use std::io::Write;
//!
//! use proglog_store::{Options, Store};
//!
//! let store = Store::open(&path, &Options::new())?;
//! store.append(b"synced")?;
//! store.close()?;
//! OpenOptions::new().append(true).open(&path)?.write_all(b"half a fra")?;
//!
//! let store = Store::open(&path, &Options::new())?;
//! assert_eq!(store.frames(..).count(), 1);
//! let torn = store.recovery().set_aside.as_ref().expect("it was told");
//! assert_eq!(torn.bytes, 10);
//! assert_eq!(std::fs::read(directory.path().join(&torn.file))?, b"half a fra");
//! # Ok(())
//! # }
//! ```
//!
//! ## When something fails
//!
//! Each [`Error`] carries the facts: the file, the position, what was expected and what was there.
//! [`Error::kind`] sorts them for code that acts on them, and [`Error::outcome`] says whether it is certain
//! that an append that failed is not stored. A full disk refuses appends until there is room. A failed sync
//! stops the store ([`ErrorKind::Poisoned`]): open it again, which finds out what is there.
//!
//! ## Building on it, and testing that
//!
//! The two traits [`Directory`] and [`Storage`] are all that a store knows of the machine: with the feature
//! `testing` there is a disk in memory that fails, tears and loses what was not synced, so that a test can
//! stop what is built on a store at each of its calls.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod format;
mod io;
mod options;
mod position;
mod recovery;
mod scan;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, ErrorKind, Operation, Outcome, Result};
pub use io::fs::FsDirectory;
pub use io::{Directory, OpenMode, Storage};
pub use options::Options;
pub use position::{Boundary, Position};
pub use recovery::{Recovery, SetAside};
pub use store::{Appended, Frame, FrameRef, Frames, Store, StoreHeader};

/// How many bytes a frame is longer than its payload.
pub const FRAME_OVERHEAD: u64 = format::FRAME_HEADER_LEN as u64;
/// The largest limit on payloads, in bytes: 1 GiB less one byte.
pub const PAYLOAD_LEN_MAX: u32 = format::PAYLOAD_LEN_MAX;
