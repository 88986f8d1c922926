//! The file of a store whose own file was removed, so that its space is free.

use std::io;

use crate::io::storage::Storage;

/// A file of which every operation fails.
#[derive(Debug)]
pub(crate) struct NoFile;

fn gone<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Storage for NoFile {
    fn len(&self) -> io::Result<u64> {
        gone()
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        gone()
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        gone()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        gone()
    }

    fn sync_data(&self) -> io::Result<()> {
        gone()
    }

    fn sync_all(&self) -> io::Result<()> {
        gone()
    }

    fn try_lock(&self) -> io::Result<bool> {
        gone()
    }

    fn unlock(&self) -> io::Result<()> {
        gone()
    }
}
