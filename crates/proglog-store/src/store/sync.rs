//! Syncs, and the end of the file.

use crate::error::{Error, Result};
use crate::io::named_file::NamedFile;
use crate::position::Boundary;
use crate::store::writer::Writer;
use crate::sync::MutexGuard;

impl Writer {
    /// Syncs everything, and claims it up to `to`, or all of it.
    pub(crate) fn sync(&self, to: Option<Boundary>) -> Result<Boundary> {
        self.sync_locked(&self.syncing.lock(), to)
    }

    /// As [`Writer::sync`], under the lock `syncing`.
    pub(crate) fn sync_locked(
        &self,
        _syncing: &MutexGuard<'_, ()>,
        to: Option<Boundary>,
    ) -> Result<Boundary> {
        self.check_sound()?;
        {
            let buffer = self.buffer.lock();
            if buffer.synced() >= to.unwrap_or(buffer.end()) {
                return Ok(buffer.synced());
            }
        }
        let end = {
            let mut writing = self.writing.lock();
            let end = self.flush_locked(&mut writing)?;
            if !self.is_sealed() {
                writing.extend_if_due(self.data.file.storage(), end.position);
            }
            end
        };
        let claimed = to.map_or(end, |to| to.min(end));
        self.sync_device(NamedFile::sync_data)?;
        self.buffer.lock().set_synced(claimed);
        Ok(claimed)
    }

    /// Syncs the file. A failure stops the store: the sync is never retried.
    pub(crate) fn sync_device(&self, sync: impl Fn(&NamedFile) -> Result<()>) -> Result<()> {
        let _device = self.device.lock();
        self.check_sound()?;
        sync(&self.data.file).map_err(|error| self.poison(error))
    }

    /// Ends the file, of which all is synced, with a closing mark, and removes the zeros after it. Under the
    /// lock `syncing`.
    pub(crate) fn end_file(&self, _syncing: &MutexGuard<'_, ()>) -> Result<()> {
        let mut writing = self.writing.lock();
        if !self.buffer.lock().push_closing_mark() && !writing.is_ahead {
            return self.remove_remains(&mut writing);
        }
        let end = self.flush_locked(&mut writing)?;
        if writing.is_ahead {
            self.data.file.set_end(end.position)?;
            self.sync_device(NamedFile::sync_all)?;
            writing.truncated(end.position);
        } else {
            self.sync_device(NamedFile::sync_data)?;
        }
        self.buffer.lock().set_synced(end);
        Ok(())
    }

    /// Hands a mark that claims the recovery point to the operating system, if one is due, and frees what
    /// an idle store does not need. A sealed store has both done.
    pub(crate) fn write_sync_mark(&self) -> Result<()> {
        let mut writing = self.writing.lock();
        {
            let mut buffer = self.buffer.lock();
            match self.check_appendable() {
                Err(Error::Sealed { .. }) => return Ok(()),
                appendable => appendable?,
            }
            buffer.push_mark_if_due();
        }
        let end = self.flush_locked(&mut writing)?;
        writing.reset(self.data.file.storage(), end.position);
        self.free_memory();
        Ok(())
    }
}
