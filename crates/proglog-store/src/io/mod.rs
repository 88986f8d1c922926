//! The two traits under all file access: a [`Storage`] (one file) and a [`Directory`] of them.
//!
//! A store asks nothing else of the machine, so a test can put the `testing` double in the operating
//! system's place. Both traits are small on purpose: loops over short transfers and interrupted calls
//! stand once, in the provided methods, and not in each implementation.
//!
//! # What an implementation promises
//!
//! - A read sees every write and `set_len` that returned before it began, from whatever handle.
//! - What was written is durable once [`Storage::sync_data`] or [`Storage::sync_all`] has returned
//!   `Ok`, and the name of a file once [`Directory::sync`] has. Before that a crash may keep any
//!   subset of the writes, in any order, and parts of each.
//! - After a sync failed nothing is known of the writes before it, whatever a later sync says.

pub(crate) mod atomic_file;
pub(crate) mod fs;
pub(crate) mod named_file;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// One file: read and written at byte offsets, from many threads.
///
/// Offsets and lengths are in bytes from the start of the file.
pub trait Storage: Debug + Send + Sync {
    /// The length of the file.
    ///
    /// # Errors
    ///
    /// When the file system cannot tell.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    ///
    /// As [`Storage::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads into `buffer` from `offset` on, and returns how many bytes were read; 0 only at or past
    /// the end, or for an empty buffer. May read fewer than asked for.
    ///
    /// # Errors
    ///
    /// When the device fails, or the call was interrupted.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes from `bytes` at `offset`, and returns how many bytes were written. May write fewer than
    /// asked for. A write past the end makes the file longer; the gap reads as zeros.
    ///
    /// # Errors
    ///
    /// When the device fails or is full, or the call was interrupted. Some of `bytes` may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `len` bytes, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the length is then unchanged.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file at least `len` bytes long, with zeros after its present end, and reserves the
    /// space, so that writing there later neither grows the file nor finds the device full.
    ///
    /// # Errors
    ///
    /// When the device fails or is full; the file may have grown in part.
    fn allocate(&self, len: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut end = self.len()?;
        while end < len {
            let step = (len - end).min(ZEROS.len() as u64);
            #[expect(clippy::cast_possible_truncation, reason = "at most ZEROS.len()")]
            self.write_all_at(&ZEROS[..step as usize], end)?;
            end += step;
        }
        Ok(())
    }

    /// Puts the bytes of the file, and as much of its length as it takes to read them, on the device.
    ///
    /// # Errors
    ///
    /// When the device fails: what is durable is then unknown, and a second call cannot tell.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`Storage::sync_data`], and all that the file system knows of the file.
    ///
    /// # Errors
    ///
    /// As [`Storage::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Takes the file's exclusive lock, held until every handle to this open file is dropped or the
    /// process ends. Returns `false` at once when somebody else holds it.
    ///
    /// # Errors
    ///
    /// When the file system cannot lock.
    fn try_lock(&self) -> io::Result<bool>;

    /// Gives up the lock that [`Storage::try_lock`] took on this handle.
    ///
    /// # Errors
    ///
    /// When the file system cannot unlock.
    fn unlock(&self) -> io::Result<()>;

    /// Fills `buffer` from `offset` on, over short reads and interruptions, and returns how many
    /// bytes there were: fewer than asked for only at the end of the file.
    ///
    /// # Errors
    ///
    /// As [`Storage::read_at`], interruptions aside.
    fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes` at `offset`, over short writes and interruptions.
    ///
    /// # Errors
    ///
    /// As [`Storage::write_at`], interruptions aside.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_at(&bytes[written..], offset + written as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(wrote) => written += wrote,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A flat directory of files. Names are single path components.
pub trait Directory: Debug + Send + Sync {
    /// Opens the file `name` to read and write; with [`OpenMode::Read`] only to read. A new file's
    /// name is durable only after [`Directory::sync`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is none (except with [`OpenMode::CreateNew`]),
    /// [`io::ErrorKind::AlreadyExists`] when there is one and the mode is [`OpenMode::CreateNew`].
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>>;

    /// Gives the file `from` the name `to`, replacing a file of that name, as one step that a crash
    /// does not split. Durable only after [`Directory::sync`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is no file `from`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the name `name`; handles to the file go on working. Durable only after
    /// [`Directory::sync`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is no such file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all entries, in no order. Names that are not Unicode appear with replacement
    /// characters.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Puts the names made, changed and removed so far on the device.
    ///
    /// # Errors
    ///
    /// When the device fails: which names are durable is then unknown.
    fn sync(&self) -> io::Result<()>;
}

/// How [`Directory::open`] opens a file. There are no others: an implementation has to know each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, only to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write.
    CreateNew,
    /// A file to read and write, made when there is none.
    CreateIfMissing,
}
