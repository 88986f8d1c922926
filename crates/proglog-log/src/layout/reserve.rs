//! Reserve of a log: a file whose removal makes room to write the checkpoint.
//!
//! A file system that writes nothing in place, such as btrfs, needs room to overwrite a file, and on a full device only
//! a removal is certain to work there. With the reserve a log can still be trimmed and truncated, which makes more room.
//! The file has no contents of use, and may be missing, damaged or foreign.

use proglog_store::io::{Directory, OpenMode};

use crate::layout::names::RESERVE;

/// Length of the file: that of a write of the checkpoint.
pub(crate) const RESERVE_LEN: usize = 8 << 10;

/// The reserve of a log.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    /// Whether the whole file is there, if that is known.
    is_whole: Option<bool>,
}

impl Reserve {
    /// Creates the file, unless it exists. If there is only room for a part of it, [`Reserve::restore`] adds the rest.
    pub(crate) fn keep(&mut self, directory: &dyn Directory) {
        if self.is_whole != Some(true) {
            self.is_whole = Some(create(directory).is_some());
        }
    }

    /// Creates the file, or the rest of it, if it was given up or is known not to be whole.
    pub(crate) fn restore(&mut self, directory: &dyn Directory) {
        if self.is_whole == Some(false) {
            self.keep(directory);
        }
    }

    /// Removes the file. Returns whether there was one.
    pub(crate) fn give_up(&mut self, directory: &dyn Directory) -> bool {
        self.is_whole = Some(false);
        directory.remove(RESERVE).is_ok()
    }
}

/// Creates the file or what is missing of it. Returns `None` if that fails.
fn create(directory: &dyn Directory) -> Option<()> {
    let file = directory.open(RESERVE, OpenMode::CreateIfMissing).ok()?;
    let len = usize::try_from(file.len().ok()?).map_or(RESERVE_LEN, |len| len.min(RESERVE_LEN));
    if len == RESERVE_LEN {
        return Some(());
    }
    // Bytes that no file system compresses, or takes for a hole.
    let mut bytes = [0; RESERVE_LEN];
    getrandom::fill(&mut bytes).ok()?;
    file.write_all_at(&bytes[len..], len as u64).ok()?;
    file.sync_data().ok()
}
