//! Creating or replacing a file in one step: a crash leaves the whole new file or none of it.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::io::named_file::NamedFile;
use crate::io::storage::{Directory, OpenMode};

/// A new file under a temporary name: that of the file it is to be, with `.tmp` appended. Dropped
/// before it is [put in place](NewFile::persist), it is removed.
#[derive(Debug)]
pub(crate) struct NewFile<'a> {
    directory: &'a dyn Directory,
    name: Arc<str>,
    file: NamedFile,
    in_place: bool,
}

impl<'a> NewFile<'a> {
    /// An empty file; one that an interrupted call left is used again.
    pub(crate) fn create(directory: &'a dyn Directory, name: &Arc<str>) -> Result<Self> {
        let file = NamedFile::open(directory, &temporary(name), OpenMode::CreateIfMissing)?;
        let new = Self::of(directory, name, file);
        new.file.set_len(0)?;
        Ok(new)
    }

    /// An empty file, locked. Where another thread or process is creating the same file, or was
    /// interrupted, the file it left is removed, and there is no new one: `None`. Fails with
    /// [`Error::Locked`] if the other one is still at it.
    pub(crate) fn create_locked(
        directory: &'a dyn Directory,
        name: &Arc<str>,
    ) -> Result<Option<Self>> {
        let temporary = temporary(name);
        let file = match directory.open(&temporary, OpenMode::CreateNew) {
            Ok(file) => NamedFile::new(temporary, file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_abandoned(directory, &temporary)?;
                return Ok(None);
            }
            Err(error) => return Err(Error::io(Operation::Open, &temporary, error)),
        };
        // Until it is locked another one may remove it, and then the name is not this file's.
        file.lock()?;
        Ok(Some(Self::of(directory, name, file)))
    }

    fn of(directory: &'a dyn Directory, name: &Arc<str>, file: NamedFile) -> Self {
        Self {
            directory,
            name: Arc::clone(name),
            file,
            in_place: false,
        }
    }

    pub(crate) fn file(&self) -> &NamedFile {
        &self.file
    }

    /// Gives the file its name, in place of another file of that name. On return both are durable.
    /// If the directory cannot be synced, the file has its name until power fails.
    pub(crate) fn persist(mut self) -> Result<NamedFile> {
        self.file.sync_new()?;
        self.directory
            .rename(self.file.name(), &self.name)
            .map_err(|error| Error::io(Operation::Rename, &self.name, error))?;
        self.in_place = true;
        self.directory
            .sync()
            .map_err(|error| Error::io(Operation::SyncDirectory, &self.name, error))?;
        Ok(self.file.renamed(&self.name))
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // It takes space that may be needed.
            drop(self.directory.remove(self.file.name()));
        }
    }
}

/// Creates or replaces the file `name` in one step. `write` gets the file, empty, under a temporary
/// name. On return the file and its name are durable; after a failure the temporary file is gone.
pub(crate) fn replace(
    directory: &dyn Directory,
    name: &Arc<str>,
    write: impl FnOnce(&NamedFile) -> Result<()>,
) -> Result<NamedFile> {
    let new = NewFile::create(directory, name)?;
    write(&new.file)?;
    new.persist()
}

fn temporary(name: &str) -> Arc<str> {
    format!("{name}.tmp").into()
}

/// Removes the temporary file of a creation that was interrupted.
fn remove_abandoned(directory: &dyn Directory, temporary: &Arc<str>) -> Result<()> {
    let Some(file) = NamedFile::open_if_exists(directory, temporary, OpenMode::Write)? else {
        return Ok(());
    };
    // Held until the name is gone.
    file.lock()?;
    directory
        .remove(temporary)
        .map_err(|error| Error::io(Operation::Remove, temporary, error))
}
