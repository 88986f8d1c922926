//! The two traits under all file access: [`Storage`], one file, and [`Directory`], a directory of files.
//!
//! A store uses nothing else of the operating system, so a test can use the simulated disk of the feature
//! `testing` instead. Both traits are small: loops over short transfers and interrupted calls are provided
//! methods, not a duty of each implementation.
//!
//! # Contract of an implementation
//!
//! - A read sees every write and `set_len` that returned before it began, through any handle.
//! - Written bytes are durable once [`Storage::sync_data`] or [`Storage::sync_all`] has returned `Ok`, and
//!   the name of a file once [`Directory::sync`] has. Before that, a crash may keep any subset of the
//!   writes, in any order, and parts of each.
//! - After a failed sync the state of the writes before it is unknown, whatever a later sync returns.

pub(crate) mod atomic_file;
mod damage;
mod fs;
pub(crate) mod named_file;
pub(crate) mod no_file;
pub(crate) mod storage;

pub use crate::io::damage::is_damage;
pub use crate::io::fs::FsDirectory;
pub use crate::io::storage::{Directory, FileId, OpenMode, Storage};
