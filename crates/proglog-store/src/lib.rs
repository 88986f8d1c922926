//! [`Store`]: crate::Store
//! [`StoreOptions`]: crate::StoreOptions
//! [`Frames`]: crate::Frames
//! [`Recovery`]: crate::Recovery
//! [`SetAside`]: crate::SetAside
//! [`Error`]: crate::Error
//! [`Directory`]: crate::io::Directory
//! [`Storage`]: crate::io::Storage
#![doc = include_str!("../README.md")]
//!
//! # Guide
//!
//! ## Append, flush, sync
//!
//! [`Store::append`] copies the bytes into a buffer and returns their position: they can be read at once, and
//! are not durable. [`Store::flush`] hands them to the operating system, [`Store::sync`] puts them on the
//! device; both return how far. Many appends can share one sync:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("my.store");
//! use proglog_store::{Store, StoreOptions};
//!
//! let store = Store::open(&path, &StoreOptions::new())?;
//! for number in 0..1000_u32 {
//!     store.append(&number.to_be_bytes())?;
//! }
//! let synced = store.sync()?;
//! assert_eq!(synced.frames, 1000);
//! # Ok(())
//! # }
//! ```
//!
//! ## Read
//!
//! [`Store::read`] takes the position of a frame, and [`Store::frames`] iterates. Both verify what they
//! return. A scan can resume after a damaged frame:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("my.store");
//! # use proglog_store::{Store, StoreOptions};
//! # let store = Store::open(&path, &StoreOptions::new())?;
//! # store.append_batch(&[&b"one"[..], b"two"])?;
//! let mut frames = store.frames(..);
//! let mut payloads = Vec::new();
//! loop {
//!     match frames.next() {
//!         Some(Ok(frame)) => payloads.push(frame.payload),
//!         Some(Err(error)) => {
//!             eprintln!("{error}");
//!             if frames.resume()?.is_none() {
//!                 break; // no readable frame is left
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
//! ## Open after a crash
//!
//! [`Store::open`] finds the end of the data, and [`Store::recovery`] reports what it did. Everything that was
//! synced is there; an unfinished write is in a file of its own:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("my.store");
//! use std::fs::OpenOptions;
//! use std::io::Write;
//!
//! use proglog_store::{Store, StoreOptions};
//!
//! let store = Store::open(&path, &StoreOptions::new())?;
//! store.append(b"synced")?;
//! store.close()?;
//! OpenOptions::new().append(true).open(&path)?.write_all(b"half a fra")?;
//!
//! let store = Store::open(&path, &StoreOptions::new())?;
//! assert_eq!(store.frames(..).count(), 1);
//! let torn = store.recovery().set_aside.as_ref().expect("there was a torn write");
//! assert_eq!(torn.bytes, 10);
//! assert_eq!(std::fs::read(directory.path().join(&torn.file))?, b"half a fra");
//! # Ok(())
//! # }
//! ```
//!
//! ## Handle errors
//!
//! An [`Error`] carries the facts: the file, the position, what was expected and what was found.
//! [`Error::kind`] classifies it, and [`Error::outcome`] says whether it is certain that a failed append is
//! not stored. A full disk refuses appends until there is space, also one that writes nothing in place and
//! so cannot even remove what a failed write has left: that goes before the next write. A failed sync stops the store
//! ([`ErrorKind::Poisoned`]), even if it found no space: reopen it to recover.
//!
//! ## Build on it, and test that
//!
//! A store uses nothing of the operating system but the traits of the module [`io`]. With the feature `testing`
//! there is a simulated disk in memory that fails, tears and loses what was not synced, so that a test can stop
//! the code built on a store at each of its calls. The module [`segment`] has what a log of several stores
//! needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod format;
pub mod io;
mod options;
mod position;
mod recovery;
mod scan;
pub mod segment;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, ErrorKind, Operation, Outcome, Result};
pub use options::StoreOptions;
pub use position::{Boundary, Position};
pub use recovery::{Recovery, SetAside};
pub use store::{Appended, Frame, FrameRef, Frames, Store};
