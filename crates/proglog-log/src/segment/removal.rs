//! Removal of segments, and truncation of the one in which a log is to end.

use std::io;
use std::sync::Arc;

use proglog_store::Operation;
use proglog_store::io::{Directory, OpenMode, Storage};

use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::Truncation;
use crate::layout::names::{self, CHECKPOINT};
use crate::offset::Offset;
use crate::segment::index;

/// Opens the files of the segment with base offset `base` for writing. Files that cannot be opened are left
/// out.
pub(crate) fn open_files(directory: &dyn Directory, base: Offset) -> Vec<Arc<dyn Storage>> {
    let names = [names::index(base), names::store(base)];
    let opened = names.map(|name| directory.open(&name, OpenMode::Write));
    opened.into_iter().flatten().collect()
}

/// Removes the files of the segment with base offset `base`, those that exist.
///
/// The index goes first: a store without one can be read, and an index without a store is nothing.
pub(crate) fn remove_files(directory: &dyn Directory, base: Offset) -> Result<()> {
    remove_if_exists(directory, &names::index(base))?;
    remove_if_exists(directory, &names::store(base))
}

/// Removes the files with bytes that were set aside from the segments with base offsets `bases`.
///
/// They go before the segments: after a crash, what is left of a segment shows that they have to.
pub(crate) fn remove_set_aside(directory: &dyn Directory, bases: &[Offset]) -> Result<()> {
    if bases.is_empty() {
        return Ok(());
    }
    let names = directory
        .list()
        .map_err(|error| Reason::io(Operation::List, CHECKPOINT, error))?;
    let of_segments =
        |name: &&String| names::parse_set_aside(name).is_some_and(|base| bases.contains(&base));
    for name in names.iter().filter(of_segments) {
        remove_if_exists(directory, name)?;
    }
    Ok(())
}

/// Removes the file `name`, if it exists.
pub(super) fn remove_if_exists(directory: &dyn Directory, name: &str) -> Result<()> {
    match directory.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Reason::io(Operation::Remove, name, error))
        }
        _ => Ok(()),
    }
}

/// Removes or truncates those of the segments with base offsets `bases` that `truncation` drops or ends in,
/// durably.
pub(crate) fn truncate(
    directory: &dyn Directory,
    truncation: Truncation,
    bases: &[Offset],
) -> Result<()> {
    let (dropped, left) = bases
        .iter()
        .partition::<Vec<Offset>, _>(|base| truncation.drops(**base));
    remove_set_aside(directory, &dropped)?;
    for base in &dropped {
        remove_files(directory, *base)?;
    }
    sync_removed(directory, &dropped)?;
    let (last, boundary) = (truncation.to.segment_base, truncation.to.boundary);
    if left.contains(&last) {
        proglog_store::segment::truncate(directory, &names::store(last), boundary)?;
        truncate_index(directory, last, boundary.frames);
    }
    Ok(())
}

/// Truncates the index of the segment with base offset `base` to the pages of its first `count` records. Entries after
/// them, in the last page, are never looked up. It is a cache: where this fails, it is rebuilt.
fn truncate_index(directory: &dyn Directory, base: Offset, count: u64) {
    let len = index::file_len(count);
    if let Ok(file) = directory.open(&names::index(base), OpenMode::Write)
        && file.len().is_ok_and(|found| found > len)
    {
        drop(file.set_len(len));
    }
}

/// Makes the removal of the segments with base offsets `dropped` durable.
///
/// If the directory cannot be synced, empty files of their names are created: opening the log must see that
/// they have to be removed again, since another sync of the directory need not help.
fn sync_removed(directory: &dyn Directory, dropped: &[Offset]) -> Result<()> {
    if dropped.is_empty() {
        return Ok(());
    }
    directory.sync().map_err(|error| {
        for base in dropped {
            drop(directory.open(&names::store(*base), OpenMode::CreateIfMissing));
        }
        Reason::io(Operation::SyncDirectory, CHECKPOINT, error)
    })
}
