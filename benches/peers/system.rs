//! What is asked of each system, so that all do the same work.

use std::path::Path;
pub(crate) use std::time::{Duration, Instant};

pub(crate) use anyhow::{Context, Result};
pub(crate) use bytes::Bytes;

/// How much one segment takes, in the systems that have segments whose size can be set.
pub(crate) const SEGMENT_BYTES: usize = 64 << 20;

/// What a log is opened for: some systems are faster when they are set up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Appends that wait for no device.
    Buffered,
    /// Appends that are on the device when they return.
    Synced,
    /// Reading what is there.
    Read,
}

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    /// Where it lies. The directory is there.
    pub(crate) directory: &'a Path,
    /// The size of its records.
    #[cfg_attr(
        not(any(feature = "commitlog", feature = "fjall")),
        expect(dead_code, reason = "these two are set up for it")
    )]
    pub(crate) record_bytes: usize,
    pub(crate) purpose: Purpose,
}

/// What a system does and does not do, as far as its sources and documentation tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The crate and the version that was read.
    pub(crate) version: &'static str,
    /// Whether a read verifies a checksum of what it returns.
    pub(crate) verifies: &'static str,
    /// Whether it can put an append on the device, and how many appends share a sync.
    pub(crate) syncs: &'static str,
    /// What it does not do when it opens a log.
    pub(crate) opening: &'static str,
    /// How often a record's bytes are copied on their way to the operating system, and back.
    pub(crate) copies: &'static str,
    /// Whether an append can be durable, so that the system is among the durable works.
    pub(crate) durable: bool,
    /// Whether it finds a record by its number.
    pub(crate) numbered: bool,
}

/// A system under measurement. Each implementation is the fastest honest way that its interface has
/// to do the work, and says why.
pub(crate) trait System: Sized + Send + Sync {
    const NAME: &'static str;
    const FACTS: Facts;

    /// Opens the log, or makes it.
    fn open(setup: &Setup<'_>) -> Result<Self>;

    /// Appends each value with a call of its own, waiting for no sync that the system does not
    /// insist on. Returns when the last append had returned and no more than a bounded buffer was
    /// still in the process; what then remains to be done is not counted. Afterwards all of it is
    /// with the operating system.
    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant>;

    /// As [`System::append_each`], but appends each batch as one.
    fn append_batches<'a>(&mut self, batches: impl Iterator<Item = &'a [Bytes]>)
    -> Result<Instant>;

    /// Appends a batch, which is on the device on return if the system can do that. Threads, which
    /// are numbered from 0, call it at the same time.
    fn append_synced(&self, thread: u32, batch: &[Bytes]) -> Result<()>;

    /// Shows all records in their order, each once, and returns the time that this took, without
    /// opening the log where the system can read an open one.
    fn scan(setup: &Setup<'_>, visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration>;

    /// Shows the record of this number. Only asked of a system that finds records by number.
    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()>;

    /// Ends well.
    fn close(self) -> Result<()>;
}
