//! Removal of segments' files.

use std::io;
use std::sync::Arc;

use proglog_store::{Directory, OpenMode, Operation, Storage, Store};

use crate::error::{Error, Result};
use crate::layout::checkpoint::Truncation;
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT};
use crate::offset::Offset;

/// The files of the segment with base offset `base`, to be written to, as far as they are there.
pub(crate) fn files(directory: &dyn Directory, base: Offset) -> Vec<Arc<dyn Storage>> {
    let names = [names::index(base), names::store(base)];
    let opened = names.map(|name| directory.open(&name, OpenMode::Write));
    opened.into_iter().flatten().collect()
}

/// Removes the files of the segment with base offset `base`, as far as they are there.
pub(crate) fn remove_files(directory: &dyn Directory, base: Offset) -> Result<()> {
    for name in [names::index(base), names::store(base)] {
        match directory.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(Operation::Remove, &name, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes and cuts the files of segments as `truncation` says; returns the base offsets of those left.
pub(crate) fn drop_segments(
    directory: &dyn Directory,
    truncation: Truncation,
    bases: Vec<Offset>,
) -> Result<Vec<Offset>> {
    let (dropped, left) = bases
        .into_iter()
        .partition::<Vec<_>, _>(|base| truncation.drops(*base));
    for base in &dropped {
        remove_files(directory, *base)?;
    }
    sync_removed(directory, &dropped)?;
    let LogPosition {
        segment_base,
        boundary,
    } = truncation.to;
    if left.contains(&segment_base) {
        Store::cut_in(directory, &names::store(segment_base), boundary)?;
    }
    Ok(left)
}

/// Makes it durable that the segments with these base offsets are gone. Where that fails their names are
/// made again, with nothing in them: whoever finishes the truncation has to see that they must be removed once
/// more, since syncing the directory once more need not help.
fn sync_removed(directory: &dyn Directory, dropped: &[Offset]) -> Result<()> {
    if dropped.is_empty() {
        return Ok(());
    }
    directory.sync().map_err(|error| {
        for base in dropped {
            drop(directory.open(&names::store(*base), OpenMode::CreateIfMissing));
        }
        Error::io(Operation::SyncDirectory, CHECKPOINT, error)
    })
}
