//! The traits over a simulated disk.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::SimDisk;
use super::fault::{Call, CallKind};
use super::pending::NameChange;
use super::state::{State, pages_of};
use crate::io::storage::check_name;
use crate::io::{Directory, FileId, OpenMode, Storage};
use crate::sync::{AtomicBool, Ordering};

/// The one directory of a disk.
#[derive(Debug)]
struct SimDirectory(SimDisk);

impl SimDisk {
    /// The directory, for the code under test.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(SimDirectory(self.clone()))
    }

    /// The state, for one call of the code under test. The atomic makes the call a step of its own for a model checker.
    fn call(&self) -> MutexGuard<'_, State> {
        AtomicBool::default().load(Ordering::SeqCst);
        self.0.lock()
    }
}

/// An open file of a disk.
struct SimFile {
    disk: SimDisk,
    name: Arc<str>,
    inode: u64,
    handle: u64,
    is_writable: bool,
}

impl SimFile {
    fn call(&self, kind: CallKind) -> Call {
        Call::new(kind, &self.name)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl Storage for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.call();
        state.check(self.call(CallKind::Len))?;
        Ok(state.inode(self.inode).len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.call();
        state.check(self.call(CallKind::Read).at(offset, buffer.len() as u64))?;
        let len = state.transfer_len(buffer.len())?;
        let read = state.read(self.inode, &mut buffer[..len], offset)?;
        if read > 0 {
            let pages = pages_of(&(offset..offset + read as u64));
            let evicted = &mut state.inode(self.inode).evicted;
            evicted.retain(|page| !pages.contains(page));
        }
        Ok(read)
    }

    /// A read that is [shortened](SimDisk::set_short_transfers) finds a page that is not cached.
    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut state = self.disk.call();
        state.check(self.call(CallKind::TryRead).at(offset, buffer.len() as u64))?;
        let range = offset..offset.saturating_add(buffer.len() as u64);
        if state.transfer_len(buffer.len())? < buffer.len()
            || !state.inode(self.inode).is_cached(&range)
        {
            return Ok(None);
        }
        state.read(self.inode, buffer, offset).map(Some)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.call();
        let fault = state.begin(self.call(CallKind::Write).at(offset, bytes.len() as u64))?;
        if let Some(fault) = fault {
            if self.is_writable {
                let begun = &bytes[..bytes.len().min(fault.written())];
                // If this fails too, the planned error is the one returned.
                let _ = state.write(self.inode, begun, offset);
            }
            return Err(state.fail(fault));
        }
        self.check_writable()?;
        let len = state.transfer_len(bytes.len())?;
        state.write(self.inode, &bytes[..len], offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.call();
        state.check(self.call(CallKind::SetLen).at(0, len))?;
        self.check_writable()?;
        state.set_len(self.inode, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.call();
        let fault = state.begin(self.call(CallKind::Sync))?;
        let content = &mut state.inode(self.inode).content;
        match fault {
            None => {
                content.sync();
                Ok(())
            }
            Some(fault) => {
                if !fault.is_crash() {
                    content.fail_sync();
                }
                Err(state.fail(fault))
            }
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.call();
        state.check(self.call(CallKind::Lock))?;
        let holder = state.inode(self.inode).locked_by.get_or_insert(self.handle);
        Ok(*holder == self.handle)
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.disk.call().check(self.call(CallKind::Identify))?;
        Ok(Some(file_id(self.inode)))
    }

    fn unlock(&self) -> io::Result<()> {
        let mut state = self.disk.call();
        state.check(self.call(CallKind::Lock))?;
        state
            .inode(self.inode)
            .locked_by
            .take_if(|holder| *holder == self.handle);
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.0.lock().close(self.inode, self.handle);
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile")
            .field("name", &self.name)
            .field("is_writable", &self.is_writable)
            .finish_non_exhaustive()
    }
}

impl Directory for SimDirectory {
    fn name(&self) -> String {
        "simulated".to_owned()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        let mut state = self.0.call();
        let name: Arc<str> = Arc::from(name);
        let found = state.named(&name);
        let makes =
            found.is_err() && matches!(mode, OpenMode::CreateNew | OpenMode::CreateIfMissing);
        let kind = if makes {
            CallKind::Create
        } else {
            CallKind::Open
        };
        state.check(Call::new(kind, &name))?;
        check_name(&name)?;
        let inode = match (found, mode) {
            (Ok(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(inode), _) => inode,
            (Err(_), _) if makes => {
                state.check_room()?;
                state.create(&name)
            }
            (Err(missing), _) => return Err(missing),
        };
        state.inode(inode).handles += 1;
        let handle = state.next_id();
        let disk = self.0.clone();
        Ok(Arc::new(SimFile {
            disk,
            name,
            inode,
            handle,
            is_writable: mode != OpenMode::Read,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.call();
        let from: Arc<str> = Arc::from(from);
        state.check(Call::new(CallKind::Rename, &from))?;
        check_name(&from).and(check_name(to))?;
        let made = Some((Arc::from(to), state.named(&from)?));
        state.check_room()?;
        state.change_names(NameChange {
            gone: Some(from),
            made,
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.call();
        let name: Arc<str> = Arc::from(name);
        state.check(Call::new(CallKind::Remove, &name))?;
        check_name(&name)?;
        state.named(&name)?;
        state.change_names(NameChange {
            gone: Some(name),
            made: None,
        });
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.0.call();
        state.check(Call::directory(CallKind::List))?;
        Ok(state
            .names
            .current()
            .keys()
            .map(ToString::to_string)
            .collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.call();
        match state.begin(Call::directory(CallKind::SyncDirectory))? {
            None => {
                state.sync_names();
                Ok(())
            }
            Some(fault) => {
                if !fault.is_crash() {
                    state.names.fail_sync();
                }
                Err(state.fail(fault))
            }
        }
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let mut state = self.0.call();
        state.check(Call::directory(CallKind::Identify))?;
        Ok(!state.run.is_moved)
    }

    fn id_of(&self, name: &str) -> io::Result<Option<FileId>> {
        let mut state = self.0.call();
        state.check(Call::new(CallKind::Identify, &name.into()))?;
        check_name(name)?;
        state.named(name).map(|inode| Some(file_id(inode)))
    }
}

/// Returns the identity of a file by its number.
fn file_id(inode: u64) -> FileId {
    FileId { device: 0, inode }
}
