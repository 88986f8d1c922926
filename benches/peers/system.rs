//! The interface to a system, so that all do the same work.

use std::path::Path;
pub(crate) use std::time::{Duration, Instant};

pub(crate) use anyhow::{Context, Result};
pub(crate) use bytes::Bytes;

/// The size of a segment, for systems with a setting for it.
pub(crate) const SEGMENT_BYTES: usize = 64 << 20;

/// The purpose of opening a log, for which some systems are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Appends that do not wait for a device.
    Buffered,
    /// Appends that are on the device when they return.
    Synced,
    /// Reads.
    Read,
}

/// Settings for opening a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    /// The directory, which exists.
    pub(crate) directory: &'a Path,
    /// The size of the records.
    #[cfg_attr(
        not(any(feature = "commitlog", feature = "fjall")),
        expect(dead_code, reason = "these two are set up for it")
    )]
    pub(crate) record_bytes: usize,
    pub(crate) purpose: Purpose,
}

/// The properties of a system, according to its source and documentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The crate and its version.
    pub(crate) version: &'static str,
    /// Says whether a read verifies a checksum of what it returns.
    pub(crate) verifies: &'static str,
    /// Says whether it can put an append on the device, and how many appends share a sync.
    pub(crate) syncs: &'static str,
    /// What opening a log does, and omits.
    pub(crate) opening: &'static str,
    /// The number of copies of a record on the way to the operating system, and back.
    pub(crate) copies: &'static str,
    /// True if an append can be durable, so that the system is among the durable works.
    pub(crate) durable: bool,
    /// True if it finds a record by its number.
    pub(crate) numbered: bool,
}

/// A system under measurement. Each implementation uses the fastest correct calls that the system has, and
/// says why.
pub(crate) trait System: Sized + Send + Sync {
    const NAME: &'static str;
    const FACTS: Facts;

    /// Opens the log, or creates it.
    fn open(setup: &Setup<'_>) -> Result<Self>;

    /// Appends each value with a separate call, without syncs unless the system requires them. Returns the
    /// time until the last append returned with at most a bounded buffer in the process; the rest is not
    /// counted. Afterwards everything is with the operating system.
    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant>;

    /// Appends each batch as one; otherwise as [`System::append_each`].
    fn append_batches<'a>(&mut self, batches: impl Iterator<Item = &'a [Bytes]>)
    -> Result<Instant>;

    /// Appends a batch, which is on the device on return if the system can do that. Called concurrently by
    /// threads numbered from 0.
    fn append_synced(&self, thread: u32, batch: &[Bytes]) -> Result<()>;

    /// Passes all records to `visit` in order, each once, and returns the time. It includes opening the log
    /// only if the system cannot read an open one.
    fn scan(setup: &Setup<'_>, visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration>;

    /// Passes the record of this number to `visit`. Called only for systems that find records by number.
    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()>;

    /// Closes the log.
    fn close(self) -> Result<()>;
}
