//! A simulated disk in memory, with a page cache, that fails, tears and crashes on request.
//!
//! # Model
//!
//! - A [`SimDisk`] is a flat directory of files, with the traits [`Directory`](crate::io::Directory) and
//!   [`Storage`](crate::io::Storage). A file has durable bytes and a list of *pending* changes: each write
//!   and each set length since its last sync. So have the names: each file created, renamed or removed
//!   since the directory's last sync. Reads see all of them.
//! - A sync of a file makes its pending changes durable, and not its name; a sync of the directory makes
//!   the names durable, and not the bytes of the files.
//! - [`SimDisk::crash`] returns the disk as it is after a crash. Any subset of the pending changes
//!   survives, applied in the order they were made; so later ones may survive where earlier ones do not.
//!   A write may be torn: of the sectors of 512 bytes that it touches any subset survives, and a longer
//!   file may have its length without its bytes. A rename is never split.
//! - A sync that fails leaves its changes *lost but visible*, as a kernel does that marked the pages
//!   clean: reads see them, no later sync makes them durable, and each survives a crash by chance. The
//!   same bytes written again are a new change, which the next sync does make durable.
//! - The same calls with the same seeds have the same outcome.
//!
//! # Assumptions
//!
//! - A sector is written whole or not at all, and what a successful sync wrote stays; damage beyond that
//!   is up to the test ([`SimDisk::flip`], [`SimDisk::fail_reads`]).
//! - The cache never drops a lost page before the crash, and never writes one back with its neighbours.
//!   A file takes up its length, whether written or not.
//! - Names are as unordered as bytes: of two renames the second may survive alone. Journals do better.
//!
//! # Examples
//!
//! ```
//! use proglog_store::io::OpenMode;
//! use proglog_store::testing::{SimDisk, Survivors};
//!
//! let disk = SimDisk::new();
//! let directory = disk.directory();
//! let file = directory.open("log", OpenMode::CreateNew)?;
//! directory.sync()?;
//! file.write_all_at(b"synced", 0)?;
//! file.sync_data()?;
//! file.write_all_at(b", and not synced", 6)?;
//!
//! assert_eq!(disk.crash(Survivors::KeepAll).read_file("log"), b"synced, and not synced");
//! assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"synced");
//! # Ok::<(), std::io::Error>(())
//! ```

mod fault;
pub mod format;
mod image;
mod io;
mod pending;
mod rng;
mod state;
mod survivors;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::fault::{Call, CallKind, Fault, When};
pub use self::survivors::Survivors;

use self::image::{FILE_LEN_MAX, Image};
use self::pending::{Cached, NameChange};
use self::rng::Rng;
use self::state::{Inode, State, pages_of, to_index};

/// A simulated disk with one directory; see the [module's documentation](self) for the model.
///
/// A clone is another handle to the same disk; [`SimDisk::deep_clone`] is a copy. The methods here are for
/// the test, not for the code under test: they are not counted, do not fail, and work on a disk whose
/// process has crashed.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk of unlimited size without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::from_state(State::new())
    }

    /// Returns the disk as it is after a crash now. This one is not changed.
    ///
    /// On the new disk no file is open or locked, calls are counted from 0, and no faults are planned.
    /// The capacity, [copying](SimDisk::write_copies), unreadable ranges and the kinds of calls that are counted
    /// stay. After [`Survivors::KeepAll`] pending changes are still pending; otherwise nothing is.
    #[must_use]
    pub fn crash(&self, survivors: Survivors) -> Self {
        Self::from_state(self.0.lock().crash(survivors))
    }

    /// Copies the disk with its pending changes, numbers and planned faults, but with no file open or
    /// locked.
    #[must_use]
    pub fn deep_clone(&self) -> Self {
        Self::from_state(self.0.lock().without_handles())
    }

    /// The number of changes that a crash may lose: the bits of [`Survivors::Ops`].
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.lock().pending()
    }

    /// The number of parts of changes that a crash may lose: the bits of [`Survivors::Parts`].
    #[must_use]
    pub fn pending_parts(&self) -> usize {
        self.0.lock().pending_parts()
    }

    /// A hash of all names and bytes as they are now seen. Equal disks have equal hashes. Only pages that
    /// changed since the last call are hashed again.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.lock().fingerprint()
    }

    /// The number of calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.lock().run.calls
    }

    /// Counts only calls for which [`CallKind::is_change`] holds from now on.
    pub fn count_only_changes(&self) {
        self.0.lock().counts_only_changes = true;
    }

    /// Plans a fault, in addition to those already planned.
    pub fn inject(&self, when: When, fault: Fault) {
        self.0.lock().run.plan.add(when, fault);
    }

    /// Returns whether a [`Fault::crash`] has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.0.lock().run.crashed
    }

    /// With a seed, interrupts or shortens two of three reads and writes; with `None`, none.
    pub fn set_short_transfers(&self, seed: Option<u64>) {
        self.0.lock().run.short_transfers = seed.map(Rng::new);
    }

    /// Limits the sum of all file lengths, in bytes. A write that does not fit writes what does; one of
    /// which nothing fits, and a length that does not fit, fail with
    /// [`StorageFull`](std::io::ErrorKind::StorageFull).
    pub fn set_capacity(&self, bytes: Option<u64>) {
        let mut state = self.0.lock();
        (state.capacity, state.run.full_from) = (bytes, None);
    }

    /// Makes the disk full from the call with this number on, whatever is removed, until [`SimDisk::set_capacity`].
    pub fn fill_at(&self, call: u64) {
        self.0.lock().run.full_from = Some(call);
    }

    /// Makes the disk one that writes nothing in place from here on, such as btrfs: a write needs room for all its
    /// bytes, also over others, and is one of which nothing fits without. On a disk that is full to the last byte
    /// every other change but a removal fails too, even to a smaller length.
    pub fn write_copies(&self) {
        self.0.lock().is_copy_on_write = true;
    }

    /// Gives the place of the directory to another one, which is empty, and returns its disk. This one's directory
    /// is [in place](crate::io::Directory::is_in_place) no more, and otherwise works as before.
    #[must_use]
    pub fn exchange(&self) -> Self {
        self.0.lock().run.is_moved = true;
        Self::new()
    }

    /// Starts to record calls.
    pub fn start_trace(&self) {
        self.0.lock().run.trace = Some(Vec::new());
    }

    /// The calls since [`SimDisk::start_trace`], failed ones included.
    #[must_use]
    pub fn trace(&self) -> Vec<Call> {
        self.0.lock().run.trace.clone().unwrap_or_default()
    }

    /// All names, sorted.
    #[must_use]
    pub fn file_names(&self) -> Vec<String> {
        self.0
            .lock()
            .names
            .current()
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    /// The bytes of a file as they are now seen.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    #[must_use]
    #[track_caller]
    pub fn read_file(&self, name: &str) -> Vec<u8> {
        self.image(name).to_vec()
    }

    /// Sets the bytes of a file, durably; creates it if there is none. Open handles see them.
    ///
    /// # Panics
    ///
    /// If there are more than 2 GiB.
    #[track_caller]
    pub fn write_file(&self, name: &str, bytes: &[u8]) {
        assert!(
            bytes.len() as u64 <= FILE_LEN_MAX,
            "{} bytes are too many",
            bytes.len()
        );
        self.put(name, Image::from_bytes(bytes));
    }

    /// Makes `to` a copy of the file `from`, as by [`SimDisk::write_file`].
    ///
    /// # Panics
    ///
    /// If there is no file `from`.
    #[track_caller]
    pub fn copy_file(&self, from: &str, to: &str) {
        self.put(to, self.image(from));
    }

    /// Truncates or extends a file to `len` bytes, durably; its pending changes become durable too.
    ///
    /// # Panics
    ///
    /// If there is no such file, or `len` is more than 2 GiB.
    #[track_caller]
    pub fn truncate_file(&self, name: &str, len: u64) {
        assert!(len <= FILE_LEN_MAX, "{len} bytes are too many");
        let mut image = self.image(name);
        image.set_len(to_index(len));
        self.put(name, image);
    }

    /// Removes a name, durably.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    #[track_caller]
    pub fn remove_file(&self, name: &str) {
        self.inode_of(name);
        let mut state = self.0.lock();
        let time = state.next_id();
        state.names.change_durably(
            time,
            NameChange {
                gone: Some(Arc::from(name)),
                made: None,
            },
        );
        state.collect();
    }

    /// Flips bit `bit` (0 is the lowest) of byte `byte` of a file, on the device and in the cache.
    ///
    /// # Panics
    ///
    /// If there is no such file, byte or bit.
    #[track_caller]
    pub fn flip(&self, name: &str, byte: u64, bit: u8) {
        let id = self.inode_of(name);
        let mut state = self.0.lock();
        let inode = state.inode(id);
        assert!(
            byte < inode.len(),
            "{name:?} has {} bytes, no byte {byte}",
            inode.len()
        );
        assert!(bit < 8, "a byte has no bit {bit}");
        inode
            .content
            .damage(|image| image.flip(to_index(byte), bit));
    }

    /// Makes reads of `range` (in bytes) of a file fail with EIO, until [`SimDisk::mend_reads`]. A read that
    /// starts before the range ends at it.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    #[track_caller]
    pub fn fail_reads(&self, name: &str, range: Range<u64>) {
        let id = self.inode_of(name);
        self.0.lock().inode(id).unreadable.push(range);
    }

    /// Drops the pages that hold bytes of `range` from the page cache: [`try_read_at`](crate::io::Storage::try_read_at)
    /// does not find them until they are read otherwise.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    #[track_caller]
    pub fn evict(&self, name: &str, range: Range<u64>) {
        let id = self.inode_of(name);
        let mut state = self.0.lock();
        let inode = state.inode(id);
        let range = range.start..range.end.min(inode.len());
        if !range.is_empty() {
            inode.evicted.extend(pages_of(&range));
        }
    }

    /// Makes all of a file readable again.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    #[track_caller]
    pub fn mend_reads(&self, name: &str) {
        let id = self.inode_of(name);
        self.0.lock().inode(id).unreadable.clear();
    }

    fn from_state(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    #[track_caller]
    fn inode_of(&self, name: &str) -> u64 {
        let found = self.0.lock().named(name);
        found.unwrap_or_else(|_| panic!("there is no file {name:?}"))
    }

    #[track_caller]
    fn image(&self, name: &str) -> Image {
        let id = self.inode_of(name);
        Image::clone(self.0.lock().inode(id).content.current())
    }

    /// Sets bytes and name, both durably.
    fn put(&self, name: &str, image: Image) {
        let mut state = self.0.lock();
        let id = state.named(name).unwrap_or_else(|_| state.next_id());
        let image = Arc::new(image);
        match state.inodes.get_mut(&id) {
            Some(inode) => inode.content = Cached::at_rest(image),
            None => _ = state.inodes.insert(id, Inode::at_rest(image, Vec::new())),
        }
        let time = state.next_id();
        let made = Some((Arc::from(name), id));
        state
            .names
            .change_durably(time, NameChange { gone: None, made });
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(state) = self.0.try_lock() else {
            return f.debug_struct("SimDisk").finish_non_exhaustive();
        };
        let names = state.names.current().iter();
        let lens = names.map(|(name, id)| (name, state.inodes[id].len()));
        f.debug_struct("SimDisk")
            .field("files", &lens.collect::<std::collections::BTreeMap<_, _>>())
            .field("pending", &state.pending())
            .field("calls", &state.run.calls)
            .field("has_crashed", &state.run.crashed)
            .finish_non_exhaustive()
    }
}
