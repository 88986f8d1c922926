//! Making a file that is there whole, with its name, or not at all.

use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::io::{Directory, OpenMode, Storage};

/// Makes the file `name`, or puts another in its place in one step, durable on return with its name. `write`
/// gets the file under a temporary name, empty, with that name; if anything fails, nothing is left of it. But
/// where the directory cannot be synced it is there, until the power fails.
pub(crate) fn make(
    directory: &dyn Directory,
    name: &Arc<str>,
    write: impl FnOnce(&dyn Storage, &Arc<str>) -> Result<()>,
) -> Result<Arc<dyn Storage>> {
    let temporary: Arc<str> = format!("{name}.tmp").into();
    let made = make_under(directory, &temporary, write).and_then(|file| {
        directory
            .rename(&temporary, name)
            .map_err(|error| Error::io(Operation::Rename, name, error))?;
        Ok(file)
    });
    let file = made.inspect_err(|_| {
        // It takes room that may be needed.
        drop(directory.remove(&temporary));
    })?;
    directory
        .sync()
        .map_err(|error| Error::io(Operation::SyncDirectory, name, error))?;
    Ok(file)
}

fn make_under(
    directory: &dyn Directory,
    name: &Arc<str>,
    write: impl FnOnce(&dyn Storage, &Arc<str>) -> Result<()>,
) -> Result<Arc<dyn Storage>> {
    let fail = |operation| move |error| Error::io(operation, name, error);
    let file = directory
        .open(name, OpenMode::CreateIfMissing)
        .map_err(fail(Operation::Open))?;
    file.set_len(0).map_err(fail(Operation::SetLength))?;
    write(&*file, name)?;
    // Some file systems tell only here that there is no room.
    file.sync_all().map_err(fail(Operation::Sync))?;
    Ok(file)
}
