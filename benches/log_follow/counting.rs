//! A directory that counts the calls that reach the file system, by role of the calling thread.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proglog_store::io::{Directory, FsDirectory, OpenMode, Storage};

/// The role of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Reader,
    Writer,
    /// A thread without a role, such as a background thread.
    Other,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// Sets the role of the current thread.
pub(crate) fn set_role(role: Role) {
    ROLE.set(role);
}

/// The calls of all threads, by role.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    reads: [AtomicU64; 3],
    others: [AtomicU64; 3],
}

/// The calls of one role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    /// Reads of a file.
    pub(crate) reads: u64,
    /// Other calls: writes, syncs, lengths, opens.
    pub(crate) others: u64,
}

impl Calls {
    pub(crate) fn all(self) -> u64 {
        self.reads + self.others
    }
}

impl Counts {
    pub(crate) fn of(&self, role: Role) -> Calls {
        Calls {
            reads: self.reads[role as usize].load(Ordering::Relaxed),
            others: self.others[role as usize].load(Ordering::Relaxed),
        }
    }

    pub(crate) fn clear(&self) {
        for count in self.reads.iter().chain(&self.others) {
            count.store(0, Ordering::Relaxed);
        }
    }

    fn read(&self) {
        self.reads[ROLE.get() as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn other(&self) {
        self.others[ROLE.get() as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A directory of the file system with a count of its calls.
#[derive(Debug)]
pub(crate) struct CountingDirectory {
    directory: FsDirectory,
    counts: Arc<Counts>,
}

impl CountingDirectory {
    pub(crate) fn new(directory: FsDirectory, counts: Arc<Counts>) -> Self {
        Self { directory, counts }
    }
}

impl Directory for CountingDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        self.counts.other();
        let file = self.directory.open(name, mode)?;
        let counts = Arc::clone(&self.counts);
        Ok(Arc::new(CountingFile { file, counts }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.counts.other();
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.counts.other();
        self.directory.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.counts.other();
        self.directory.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.counts.other();
        self.directory.sync()
    }
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn Storage>,
    counts: Arc<Counts>,
}

impl Storage for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.counts.other();
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.counts.read();
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.counts.other();
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.counts.other();
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.counts.other();
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.counts.other();
        self.file.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.counts.other();
        self.file.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.counts.other();
        self.file.unlock()
    }
}
