//! The store's file: opening or creating it, and the two copies of its header.

use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::format::{HEADER_COPY_LEN, HEADER_COPY_USED, HEADER_LEN, Header, HeaderFault, VERSION};
use crate::io::atomic_file::NewFile;
use crate::io::named_file::NamedFile;
use crate::io::{Directory, OpenMode};
use crate::options::StoreOptions;
use crate::position::{Boundary, Position};
use crate::recovery::doublewrite;

/// Opens the file `name` and locks it, creating it where there is none.
///
/// A file that is nothing but a header is created again: an earlier call may have failed to make its
/// name durable, and then another sync of the directory need not help, although the name is there.
/// Nothing is ever appended to a file whose name is not durable. So a file without data that the caller
/// knows to have had some is left as it is.
pub(crate) fn open_or_create(
    directory: &dyn Directory,
    name: &Arc<str>,
    options: &StoreOptions,
) -> Result<NamedFile> {
    loop {
        if let Some(file) = open_locked(directory, name)? {
            if options.recovery_point != Boundary::START || has_data(directory, &file)? {
                return Ok(file);
            }
            // It is about to be locked again, and dropping the handle may not be enough: a process
            // that another thread is starting has a copy of it for a moment.
            file.unlock()?;
        }
        if let Some(file) = create(directory, name, options)? {
            return Ok(file);
        }
    }
}

/// Opens the file `name` and locks it; `None` if there is none.
pub(crate) fn open_locked(directory: &dyn Directory, name: &Arc<str>) -> Result<Option<NamedFile>> {
    let file = NamedFile::open_if_exists(directory, name, OpenMode::Write)?;
    if let Some(file) = &file {
        file.lock()?;
    }
    Ok(file)
}

/// Returns whether the file holds more than a header, or recovery was about to write more to it.
fn has_data(directory: &dyn Directory, file: &NamedFile) -> Result<bool> {
    match bare_header(file)? {
        Some(bare) => doublewrite::has_copy(directory, file.name(), bare.salt),
        None => Ok(true),
    }
}

/// The header of a file that holds nothing else.
fn bare_header(file: &NamedFile) -> Result<Option<Header>> {
    if file.len()? != HEADER_LEN {
        return Ok(None);
    }
    Ok(Some(read_header(file)?.header))
}

/// Creates the file `name`, locked, its header and its name durable; a file of that name that is
/// nothing but a header is replaced. It is written under a temporary name, so that a file named
/// `name` always has a whole header. `None` if another thread or process created one first.
fn create(
    directory: &dyn Directory,
    name: &Arc<str>,
    options: &StoreOptions,
) -> Result<Option<NamedFile>> {
    let Some(new) = NewFile::create_locked(directory, name)? else {
        return Ok(None);
    };
    // The temporary name is taken, and its lock held, until the rename. So what is locked under the
    // name now stays there; a file that had the name before is never used.
    let mut header = new_header(name, options)?;
    let existing = open_locked(directory, name)?;
    if let Some(existing) = &existing {
        match bare_header(existing)? {
            Some(bare) => header.label = bare.label,
            None => return Ok(Some(existing.clone())),
        }
    }
    new.file().write_at(&header.encode(), 0)?;
    let file = new.persist()?;
    // Of two calls that clean up after a third, one may have removed the other's temporary file.
    let named = NamedFile::open(directory, name, OpenMode::Read)?;
    if read_header(&named)?.header.salt != header.salt {
        return Err(Error::Locked {
            file: Arc::clone(name),
        });
    }
    Ok(Some(file))
}

fn new_header(name: &Arc<str>, options: &StoreOptions) -> Result<Header> {
    let salt =
        getrandom::u64().map_err(|error| Error::io(Operation::Random, name, error.into()))?;
    Ok(Header {
        salt,
        payload_len_max: options.payload_len_max,
        label: options.label.clone(),
    })
}

/// A header as read from a file.
pub(crate) struct ReadHeader {
    pub(crate) header: Header,
    /// The number of the damaged copy, if one is damaged.
    damaged_copy: Option<u64>,
    /// The length of the file, at least that of the header.
    len: u64,
}

/// Reads the header of `file` from a copy that is whole.
pub(crate) fn read_header(file: &NamedFile) -> Result<ReadHeader> {
    let len = file.len()?;
    if len < HEADER_LEN {
        return Err(Error::NotAStore {
            file: Arc::clone(file.name()),
            len,
        });
    }
    let mut unreadable = None;
    let mut copy = |number: u64| {
        let mut bytes = [0; HEADER_COPY_USED];
        match file.read_at(&mut bytes, number * HEADER_COPY_LEN as u64) {
            Err(error @ Error::Unreadable { .. }) => {
                unreadable.get_or_insert(error);
                Ok(Err(HeaderFault::Damaged))
            }
            read => read.map(|_| Header::decode_copy(&bytes)),
        }
    };
    let (header, damaged_copy) = match (copy(0)?, copy(1)?) {
        (Ok(first), Ok(second)) if first == second => (first, None),
        (Ok(_), Ok(_)) => {
            return Err(Error::HeadersDiffer {
                file: Arc::clone(file.name()),
            });
        }
        (Ok(header), Err(HeaderFault::Damaged)) => (header, Some(1)),
        (Err(HeaderFault::Damaged), Ok(header)) => (header, Some(0)),
        (Err(fault), Err(HeaderFault::Damaged) | Ok(_)) | (_, Err(fault)) => {
            return Err(match (fault, unreadable) {
                (HeaderFault::Damaged, Some(unreadable)) => unreadable,
                (fault, _) => header_error(fault, file.name(), len),
            });
        }
    };
    Ok(ReadHeader {
        header,
        damaged_copy,
        len,
    })
}

/// The error for a file of `len` bytes whose header has this fault.
fn header_error(fault: HeaderFault, name: &Arc<str>, len: u64) -> Error {
    let file = Arc::clone(name);
    match fault {
        HeaderFault::Damaged => Error::NotAStore { file, len },
        HeaderFault::Version(got) => Error::UnsupportedVersion {
            file,
            got,
            known: VERSION,
        },
        HeaderFault::Checksum(kind) => Error::UnsupportedChecksum { file, kind },
        HeaderFault::Features(bits) => Error::UnsupportedFeatures { file, bits },
    }
}

impl ReadHeader {
    /// The end of the file.
    pub(crate) fn end(&self) -> Position {
        Position::new(self.len - HEADER_LEN)
    }

    /// Restores the damaged copy from the other one, durably. Returns whether one was damaged.
    pub(crate) fn restore(&self, file: &NamedFile) -> Result<bool> {
        let Some(number) = self.damaged_copy else {
            return Ok(false);
        };
        file.write_at(&self.header.encode_copy(), number * HEADER_COPY_LEN as u64)?;
        file.sync_data()?;
        Ok(true)
    }
}
