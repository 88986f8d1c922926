//! Options of opening a store.

use crate::error::{Error, Result};
use crate::format::{self, LABEL_LEN_MAX};
use crate::position::{Boundary, Position};

/// Options of opening a store, and of creating it if there is none.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_store::{Store, StoreOptions};
///
/// let directory = tempfile::tempdir()?;
/// let options = StoreOptions::new().label(b"orders").payload_len_max(4 << 20);
/// let store = Store::open(directory.path().join("orders.store"), &options)?;
/// assert_eq!(store.label(), b"orders");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct StoreOptions {
    pub(crate) label: Vec<u8>,
    pub(crate) payload_len_max: u32,
    pub(crate) buffer_len: usize,
    pub(crate) recovery_point: Boundary,
    pub(crate) set_aside_files_max: usize,
    pub(crate) preallocate: (u64, Position),
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            label: Vec::new(),
            payload_len_max: 1 << 20,
            buffer_len: 256 << 10,
            recovery_point: Boundary::START,
            set_aside_files_max: 100,
            preallocate: (0, Position::ZERO),
        }
    }
}

impl StoreOptions {
    /// The largest limit on payloads, in bytes: 1 GiB less one byte.
    pub const PAYLOAD_LEN_MAX: u32 = format::PAYLOAD_LEN_MAX;

    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the label in the header of a new store: up to 64 bytes, for the caller's use. An existing store
    /// keeps the label that it was created with. Default: empty.
    pub fn label(mut self, label: impl AsRef<[u8]>) -> Self {
        self.label = label.as_ref().to_vec();
        self
    }

    /// Sets the largest payload that a new store takes, in bytes. An existing store keeps the limit that it
    /// was created with. Default: 1 MiB. Maximum: 1 GiB less one byte.
    pub fn payload_len_max(mut self, bytes: u32) -> Self {
        self.payload_len_max = bytes;
        self
    }

    /// Sets the bytes of frames that are gathered before they are written. A larger buffer makes fewer,
    /// larger writes. Two buffers are used in turn, and allocated with the first appends. A batch that is
    /// longer is written as it is appended. Default: 256 KiB. Maximum: 1 GiB; larger values count as that.
    pub fn buffer_len(mut self, bytes: usize) -> Self {
        self.buffer_len = bytes.min(1 << 30);
        self
    }

    /// Sets a boundary below which everything is known to be on the device, and is not scanned on open. It
    /// must have come from [`Store::sync`](crate::Store::sync) or
    /// [`Store::recovery_point`](crate::Store::recovery_point) of this very store. Default: the start, so
    /// that only the marks in the file count.
    pub fn recovery_point(mut self, boundary: Boundary) -> Self {
        self.recovery_point = boundary;
        self
    }

    /// Sets the number of files of set-aside bytes that are kept beside the store, at least one. An opening
    /// that adds one more removes the oldest, and [reports](crate::SetAside::removed) their names; copy such
    /// files elsewhere to keep them. Default: 100.
    pub fn set_aside_files_max(mut self, files: usize) -> Self {
        self.set_aside_files_max = files;
        self
    }

    /// Preallocates at most `bytes_max` bytes of zeros after the data, and none beyond the position `up_to`.
    /// A sync of data that is written over zeros is cheaper, since it does not extend the file.
    ///
    /// Zeros are written before a [sync](crate::Store::sync), other than the first, when none are left: first
    /// 64 KiB, then twice as many each time, up to 8 MiB. Sealing, closing and
    /// [`write_sync_mark`](crate::segment::StoreExt::write_sync_mark) remove them and start over, and so does
    /// opening after a crash. If there is no space for them, the store works without. Default: none.
    pub fn preallocate(mut self, bytes_max: u64, up_to: Position) -> Self {
        self.preallocate = (bytes_max, up_to);
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.label.len() > LABEL_LEN_MAX {
            return Err(Error::LabelTooLong {
                len: self.label.len(),
                max: LABEL_LEN_MAX,
            });
        }
        if self.payload_len_max > Self::PAYLOAD_LEN_MAX {
            let got = self.payload_len_max;
            return Err(Error::PayloadLimitTooLarge {
                got,
                max: Self::PAYLOAD_LEN_MAX,
            });
        }
        Ok(())
    }
}
