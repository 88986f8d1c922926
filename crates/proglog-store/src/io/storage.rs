//! The traits [`Storage`] and [`Directory`].

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A file that many threads read and write at byte offsets.
///
/// Offsets and lengths are in bytes from the start of the file.
pub trait Storage: Debug + Send + Sync {
    /// Returns the length of the file.
    ///
    /// # Errors
    ///
    /// If the file system fails.
    fn len(&self) -> io::Result<u64>;

    /// Returns whether the file has no bytes.
    ///
    /// # Errors
    ///
    /// As [`Storage::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads into `buffer` from `offset` on, and returns the number of bytes read, which may be less than
    /// its length; 0 only at or past the end, or for an empty buffer.
    ///
    /// # Errors
    ///
    /// If the device fails, or the call was interrupted.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `buffer` from `offset` on, but only from memory: returns `None`, and any bytes in `buffer`, where the device
    /// would have to be waited for. Otherwise returns the number of bytes read, which is less than its length only at
    /// the end of the file.
    ///
    /// On Linux it reads what is in the page cache, unless the file system cannot, or the kernel is 5.9 or 5.10, which
    /// may take what is not there for the end of the file. The default, and that of other systems, is `None`.
    ///
    /// # Errors
    ///
    /// As [`Storage::read_at`], interruptions aside.
    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let _ = (buffer, offset);
        Ok(None)
    }

    /// Writes `bytes` at `offset`, and returns the number of bytes written, which may be less than their
    /// length. A write past the end extends the file; the gap reads as zeros.
    ///
    /// # Errors
    ///
    /// If the device fails or is full, or the call was interrupted. Some of `bytes` may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Truncates the file to `len` bytes, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// If the file system refuses; the length is then unchanged.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file at least `len` bytes long, with zeros after its present end, and reserves the
    /// space, so that writing there later neither grows the file nor finds the device full.
    ///
    /// # Errors
    ///
    /// If the device fails or is full; the file may have grown in part.
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

    /// Makes the bytes of the file durable, and as much of its metadata as is needed to read them.
    ///
    /// # Errors
    ///
    /// If the device fails: what is durable is then unknown, and a second call does not change that.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`Storage::sync_data`], with all of the file's metadata.
    ///
    /// # Errors
    ///
    /// As [`Storage::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Takes the file's exclusive lock, which is held until every handle to this open file is dropped or
    /// the process ends. Returns `false` at once if another handle or process holds it.
    ///
    /// # Errors
    ///
    /// If the file system cannot lock.
    fn try_lock(&self) -> io::Result<bool>;

    /// Releases the lock that [`Storage::try_lock`] took through this handle.
    ///
    /// # Errors
    ///
    /// If the file system cannot unlock.
    fn unlock(&self) -> io::Result<()>;

    /// Returns the identity of the file, as [`Directory::id_of`] returns it for its name. `None`, as by default, if
    /// there is no way to find out.
    ///
    /// # Errors
    ///
    /// If the file system fails.
    fn id(&self) -> io::Result<Option<FileId>> {
        Ok(None)
    }

    /// Returns the path at which the file is now, also if it or a directory above it was renamed. `None`, as by default,
    /// if there is no way to find out.
    fn path(&self) -> Option<PathBuf> {
        None
    }

    /// Fills `buffer` from `offset` on, across short reads and interruptions, and returns the number of
    /// bytes read: less than its length only at the end of the file.
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

    /// Writes all of `bytes` at `offset`, across short writes and interruptions.
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

/// A flat directory of files. Names are single path components; others are refused with
/// [`io::ErrorKind::InvalidInput`].
pub trait Directory: Debug + Send + Sync {
    /// Returns a name for the directory in errors, such as its path.
    fn name(&self) -> String {
        "directory".to_owned()
    }

    /// Opens the file `name` to read and write; with [`OpenMode::Read`] only to read. The name of a new
    /// file is durable only after [`Directory::sync`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none and the mode creates none;
    /// [`io::ErrorKind::AlreadyExists`] if there is one and the mode is [`OpenMode::CreateNew`].
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>>;

    /// Renames the file `from` to `to`, replacing a file of that name, in one step that a crash does not
    /// split. Durable only after [`Directory::sync`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no file `from`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file `name`; open handles to it keep working. Durable only after [`Directory::sync`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns the names of all entries, in no order. Names that are not Unicode appear with replacement
    /// characters.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes the creations, renames and removals so far durable.
    ///
    /// # Errors
    ///
    /// If the device fails: which names are durable is then unknown.
    fn sync(&self) -> io::Result<()>;

    /// Returns whether the directory is still where it was opened. Otherwise it was renamed or removed, or its path
    /// leads to another one by now. `true`, as by default, if there is no way to find out.
    ///
    /// # Errors
    ///
    /// If the file system fails.
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Returns the identity of the file `name`. `None`, as by default, if there is no way to find out.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    fn id_of(&self, name: &str) -> io::Result<Option<FileId>> {
        let _ = name;
        Ok(None)
    }

    /// Closes what holds the directory, such as a file descriptor, until [`Directory::hold`] opens it again. In between
    /// each operation finds the directory: at its path, or where the system says that `file` is by then, its file `name`.
    /// The directory must be the same, and have that file in it, which no other file can be taken for as long as the
    /// caller keeps it open; otherwise operations fail with [`io::ErrorKind::StaleNetworkFileHandle`].
    ///
    /// Has no effect, as by default, if nothing holds the directory, or it could not be found again.
    fn release(&self, name: &str, file: &Arc<dyn Storage>) {
        let _ = (name, file);
    }

    /// Holds the directory again after [`Directory::release`]; has no effect otherwise.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::StaleNetworkFileHandle`] if the directory is no longer the same, and others if it cannot be
    /// opened.
    fn hold(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The identity of a file or a directory: as long as it exists or is open, no other one has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The number of the device.
    pub device: u64,
    /// The number of the file on the device.
    pub inode: u64,
}

/// Checks that `name` is a single path component.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(())
}

/// Returns the error of opening what is no regular file.
pub(crate) fn not_a_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// The way [`Directory::open`] opens a file. Exhaustive: an implementation has to support each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, only to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write.
    CreateNew,
    /// A file to read and write, created if there is none.
    CreateIfMissing,
}
