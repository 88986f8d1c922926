//! Options of opening a store.

use crate::error::{Error, Result};
use crate::format::{LABEL_LEN_MAX, PAYLOAD_LEN_MAX};
use crate::position::{Boundary, Position};

/// Options of opening a store, and of creating it if there is none.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_store::{Options, Store};
///
/// let directory = tempfile::tempdir()?;
/// let options = Options::new().label(b"orders").payload_len_max(4 << 20);
/// let store = Store::open(directory.path().join("orders.store"), &options)?;
/// assert_eq!(store.label(), b"orders");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) label: Vec<u8>,
    pub(crate) payload_len_max: u32,
    pub(crate) buffer_len: usize,
    pub(crate) known_synced: Boundary,
    pub(crate) set_aside_files_max: usize,
    pub(crate) fill_ahead: (u64, Position),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            label: Vec::new(),
            payload_len_max: 1 << 20,
            buffer_len: 256 << 10,
            known_synced: Boundary::START,
            set_aside_files_max: 100,
            fill_ahead: (0, Position::ZERO),
        }
    }
}

impl Options {
    /// The defaults.
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

    /// What the caller knows to be on the device: everything below is taken for synced and is not
    /// scanned. It must have come from [`Store::sync`](crate::Store::sync) or
    /// [`Store::recovery_point`](crate::Store::recovery_point) of this very store.
    /// Default: the start, so that what the file says of itself counts alone.
    pub fn known_synced(mut self, boundary: Boundary) -> Self {
        self.known_synced = boundary;
        self
    }

    /// How many files of set-aside bytes may lie beside a store; opening refuses to add more.
    /// Default: 100.
    pub fn set_aside_files_max(mut self, files: usize) -> Self {
        self.set_aside_files_max = files;
        self
    }

    /// How many zeros are kept ahead of the data in the file, at most, and up to which position: a sync
    /// of what is written over them need not make the file longer, which is cheaper. They are written
    /// when a [sync](crate::Store::sync) is about to happen and none are left, first 64 KiB, then twice
    /// as many each time, up to 8 MiB, whatever is allowed beyond; but not for the first sync of all.
    /// Sealing, closing and [marking](crate::Store::mark) cut them off, and begin anew, and so does opening
    /// where a process ended without. Where there is no room for them, they are done without.
    /// Default: none.
    pub fn fill_ahead(mut self, bytes_max: u64, up_to: Position) -> Self {
        self.fill_ahead = (bytes_max, up_to);
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.label.len() > LABEL_LEN_MAX {
            return Err(Error::LabelTooLong {
                len: self.label.len(),
                max: LABEL_LEN_MAX,
            });
        }
        if self.payload_len_max > PAYLOAD_LEN_MAX {
            let got = self.payload_len_max;
            return Err(Error::PayloadLimitTooLarge {
                got,
                max: PAYLOAD_LEN_MAX,
            });
        }
        Ok(())
    }
}
