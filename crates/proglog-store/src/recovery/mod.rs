//! Recovery: finds the end of the data, keeps it durable, and sets aside an unfinished write.
//!
//! The recovery point is the newest sync mark, or what the caller knows, whichever is larger. Frames are
//! scanned and verified from what the caller knows. At the first position that does not verify, the
//! rest of the file is searched for marks. If one claims more than that position, the position is
//! *corrupt*: it was on the device and is damaged, so it stays for reads to report, and the scan
//! continues at the claim. If none does, the position is the *torn* end of an unfinished write, and the
//! data ends with the last whole batch before it. That takes reads which succeed: where something after the
//! data cannot be read, synced frames or a mark may be there, so the store is not opened, and not changed.
//!
//! Then, before the store is shown:
//!
//! 1. the torn bytes are copied to a file of their own, which is synced with its name;
//! 2. the torn bytes are overwritten with zeros, that is synced, and the file is truncated;
//! 3. the frames above the recovery point are [rewritten](doublewrite), same bytes: an earlier process
//!    may have seen its sync fail, after which the kernel shows pages that the device does not have
//!    (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
//!
//! A crash at any point leaves a file on which recovery can run again.

pub(crate) mod doublewrite;
mod find_end;
pub(crate) mod quarantine;

use std::ops::Range;

use crate::error::Result;
use crate::format::MARK_FRAME_LEN;
use crate::io::Directory;
use crate::io::named_file::NamedFile;
use crate::options::StoreOptions;
use crate::position::{Boundary, Position};
use crate::recovery::find_end::{Found, find_end};
pub use crate::recovery::quarantine::SetAside;
use crate::scan::verify::Verifier;

/// Report of what opening a store found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The end of the data.
    pub end: Boundary,
    /// The boundary below which everything was known to be on the device before recovery; all below
    /// `end` is now.
    pub recovery_point: Boundary,
    /// True if the data ends with a mark that claims all before it, followed by nothing but zeros: the
    /// store was closed, or [marked](crate::segment::StoreExt::write_sync_mark) when it was idle. A store
    /// without data is clean too.
    pub clean: bool,
    /// The first position below the recovery point that was found damaged. Only what was scanned
    /// counts: damage elsewhere shows when it is read.
    pub damaged: Option<Position>,
    /// The bytes above the recovery point that are no whole batch, kept in a file. Most likely they were
    /// never synced: the end of an unfinished write. Only if the newest synced bytes, not yet covered by
    /// a mark, were damaged afterwards can it be more: nothing in the file distinguishes the two.
    pub set_aside: Option<SetAside>,
    /// The number of zeros removed from the end of the file, after the data and what was set aside:
    /// preallocated space, or what a file system leaves after a crash. Zeros hold no data, so they are
    /// counted and not kept.
    pub zeros_removed: u64,
    /// True if one copy of the header was damaged and was restored from the other.
    pub header_restored: bool,
    /// The number of bytes of frames that were read and verified.
    pub bytes_scanned: u64,
}

impl Recovery {
    /// The report for a store that is only read: nothing had to be done.
    pub(crate) fn of_sealed(end: Boundary) -> Self {
        Self {
            end,
            recovery_point: end,
            clean: true,
            damaged: None,
            set_aside: None,
            zeros_removed: 0,
            header_restored: false,
            bytes_scanned: 0,
        }
    }
}

/// Recovers the locked file: everything below the end in the report is on the device on return.
pub(crate) fn recover(
    directory: &dyn Directory,
    file: &NamedFile,
    verifier: Verifier,
    options: &StoreOptions,
) -> Result<Recovery> {
    doublewrite::resume(directory, file, verifier.salt)?;
    let found = find_end(file, verifier, options.recovery_point)?;
    let plan = Plan::of(&found);
    let set_aside = plan.apply(directory, file, verifier.salt, options.set_aside_files_max)?;
    Ok(Recovery {
        end: found.end,
        recovery_point: found.recovery_point,
        clean: found.closed || found.file_end == Position::ZERO,
        damaged: found.damaged,
        set_aside,
        zeros_removed: found.file_end.get() - found.torn.end.get(),
        header_restored: false,
        bytes_scanned: found.bytes_scanned,
    })
}

/// The changes to a store's file, in the order in which they are made.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// The bytes to set aside and clear.
    torn: Range<Position>,
    /// The new end of the file, if it is to be shorter.
    truncate_to: Option<Position>,
    /// The bytes to rewrite, since they may not be on the device.
    rewrite: Range<Position>,
    /// True if `rewrite` is a closing mark alone, whose loss would lose no data.
    rewrites_mark: bool,
}

impl Plan {
    fn of(found: &Found) -> Self {
        let end = found.end.position;
        let rewrite = found.recovery_point.position..end;
        Self {
            torn: found.torn.clone(),
            truncate_to: (end < found.file_end).then_some(end),
            rewrites_mark: found.closed && end == rewrite.start.plus(MARK_FRAME_LEN as u64),
            rewrite,
        }
    }

    /// Makes the changes, each durable before the next.
    fn apply(
        &self,
        directory: &dyn Directory,
        file: &NamedFile,
        salt: u64,
        set_aside_files_max: usize,
    ) -> Result<Option<SetAside>> {
        let mut set_aside = None;
        if !self.torn.is_empty() {
            let copy = quarantine::copy(directory, file, &self.torn, set_aside_files_max)?;
            set_aside = Some(copy);
            file.clear(&self.torn)?;
            file.sync_data()?;
        }
        if let Some(end) = self.truncate_to {
            file.set_end(end)?;
            file.sync_all()?;
        }
        if self.rewrites_mark {
            doublewrite::rewrite_mark(file, &self.rewrite)?;
        } else if !self.rewrite.is_empty() {
            doublewrite::rewrite(directory, file, &self.rewrite, salt)?;
        }
        doublewrite::discard(directory, file.name())?;
        Ok(set_aside)
    }
}
