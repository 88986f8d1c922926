//! A store's file as a whole: making one, and reading its header.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::format::{HEADER_COPY_LEN, HEADER_LEN, Header, HeaderFault, VERSION};
use crate::io::{Directory, OpenMode, Storage};
use crate::options::Options;
use crate::position::Boundary;
use crate::recovery::doublewrite;

/// Opens the file `name` and locks it, making it where there is none.
///
/// A file that is nothing but a header is made again: whoever made it may have failed to make its
/// name durable, and then syncing the directory once more need not help, though the name is seen.
/// Nothing is ever appended to a file whose name is not durable; so one of which the caller knows that
/// it had data, and that has none, is left as it is.
pub(crate) fn open_or_create(
    directory: &dyn Directory,
    name: &Arc<str>,
    options: &Options,
) -> Result<Arc<dyn Storage>> {
    loop {
        if let Some(file) = open(directory, name)? {
            if options.known_synced != Boundary::START || has_data(directory, &*file, name)? {
                return Ok(file);
            }
            // It is about to be locked again, and dropping the handle may not be enough: a process that
            // another thread is starting has a copy of it for a moment.
            file.unlock()
                .map_err(|error| Error::io(Operation::Lock, name, error))?;
        }
        if let Some(file) = create(directory, name, options)? {
            return Ok(file);
        }
    }
}

/// Opens the file `name` and locks it; `None` if there is none.
pub(crate) fn open(directory: &dyn Directory, name: &Arc<str>) -> Result<Option<Arc<dyn Storage>>> {
    match directory.open(name, OpenMode::Write) {
        Ok(file) => {
            lock(&*file, name)?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(Operation::Open, name, error)),
    }
}

/// Whether the file holds more than a header; or recovery was about to write it again.
fn has_data(directory: &dyn Directory, file: &dyn Storage, name: &Arc<str>) -> Result<bool> {
    match bare_header(file, name)? {
        Some(bare) => doublewrite::has_copy(directory, name, bare.salt),
        None => Ok(true),
    }
}

/// The header of a file that holds nothing else.
fn bare_header(file: &dyn Storage, name: &Arc<str>) -> Result<Option<Header>> {
    let len = file
        .len()
        .map_err(|error| Error::io(Operation::Length, name, error))?;
    if len != HEADER_LEN {
        return Ok(None);
    }
    Ok(Some(read(file, name)?.header))
}

/// Makes the file `name`, locked, its header and its name durable, in the place of one that is
/// nothing but a header, if there is one. It is made under a temporary name, so that a file named
/// `name` always has a whole header. `None` if somebody else made one first.
fn create(
    directory: &dyn Directory,
    name: &Arc<str>,
    options: &Options,
) -> Result<Option<Arc<dyn Storage>>> {
    let temporary = format!("{name}.tmp");
    let fail = |operation| move |error| Error::io(operation, name, error);
    let file = match directory.open(&temporary, OpenMode::CreateNew) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_left_over(directory, name, &temporary)?;
            return Ok(None);
        }
        file => file.map_err(fail(Operation::Open))?,
    };
    lock(&*file, name)?;
    // Whoever makes the file holds the temporary name, with its lock, until it is renamed. So what
    // is locked under the name now stays there; a file that had the name before is never used.
    let replaced = open(directory, name)?;
    let header = match &replaced {
        None => Some(new_header(name, options)?),
        Some(existing) => match bare_header(&**existing, name)? {
            Some(bare) => Some(remade_header(name, options, bare)?),
            None => None,
        },
    };
    let Some(header) = header else {
        directory
            .remove(&temporary)
            .map_err(fail(Operation::Remove))?;
        return Ok(replaced);
    };
    file.write_all_at(&header.encode(), 0)
        .map_err(fail(Operation::Write))
        .and_then(|()| file.sync_all().map_err(fail(Operation::Sync)))
        .and_then(|()| {
            directory
                .rename(&temporary, name)
                .map_err(fail(Operation::Rename))
        })
        .inspect_err(|_| {
            // It takes room that may be needed.
            drop(directory.remove(&temporary));
        })?;
    directory.sync().map_err(fail(Operation::SyncDirectory))?;
    // Of two that clean up after a third, one may have removed the other's temporary file.
    let named = directory
        .open(name, OpenMode::Read)
        .map_err(fail(Operation::Open))?;
    if read(&*named, name)?.header.salt != header.salt {
        return Err(Error::Locked {
            file: Arc::clone(name),
        });
    }
    Ok(Some(file))
}

/// The header of a file that is made again in the place of one with the header `bare` alone.
fn remade_header(name: &Arc<str>, options: &Options, bare: Header) -> Result<Header> {
    let new = new_header(name, options)?;
    Ok(Header {
        label: bare.label,
        ..new
    })
}

fn new_header(name: &Arc<str>, options: &Options) -> Result<Header> {
    let salt =
        getrandom::u64().map_err(|error| Error::io(Operation::Random, name, error.into()))?;
    Ok(Header {
        salt,
        payload_len_max: options.payload_len_max,
        label: options.label.clone(),
    })
}

/// Removes the temporary file of a creation that never ended, unless it is under way.
fn remove_left_over(directory: &dyn Directory, name: &Arc<str>, temporary: &str) -> Result<()> {
    let file = match directory.open(temporary, OpenMode::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(Operation::Open, name, error)),
    };
    // Held until the name is gone.
    lock(&*file, name)?;
    directory
        .remove(temporary)
        .map_err(|error| Error::io(Operation::Remove, name, error))
}

fn lock(file: &dyn Storage, name: &Arc<str>) -> Result<()> {
    match file.try_lock() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Locked {
            file: Arc::clone(name),
        }),
        Err(error) => Err(Error::io(Operation::Lock, name, error)),
    }
}

/// A header as read from a file.
pub(crate) struct ReadHeader {
    pub(crate) header: Header,
    /// Which copy is damaged, if one is.
    damaged_copy: Option<u64>,
}

/// Reads the header of `file` from whichever copy is whole.
pub(crate) fn read(file: &dyn Storage, name: &Arc<str>) -> Result<ReadHeader> {
    let len = file
        .len()
        .map_err(|error| Error::io(Operation::Length, name, error))?;
    if len < HEADER_LEN {
        return Err(Error::NotAStore {
            file: Arc::clone(name),
            len,
        });
    }
    let copy = |number: u64| {
        let mut bytes = [0; 96];
        file.read_full_at(&mut bytes, number * HEADER_COPY_LEN as u64)
            .map_err(|error| Error::io(Operation::Read, name, error))?;
        Ok(Header::decode_copy(&bytes))
    };
    match (copy(0)?, copy(1)?) {
        (Ok(first), Ok(second)) if first == second => Ok(ReadHeader {
            header: first,
            damaged_copy: None,
        }),
        (Ok(_), Ok(_)) => Err(Error::HeadersDiffer {
            file: Arc::clone(name),
        }),
        (Ok(header), Err(HeaderFault::Damaged)) => Ok(ReadHeader {
            header,
            damaged_copy: Some(1),
        }),
        (Err(HeaderFault::Damaged), Ok(header)) => Ok(ReadHeader {
            header,
            damaged_copy: Some(0),
        }),
        (Err(fault), Err(HeaderFault::Damaged) | Ok(_)) | (_, Err(fault)) => {
            Err(refuse(fault, name, len))
        }
    }
}

fn refuse(fault: HeaderFault, name: &Arc<str>, len: u64) -> Error {
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
    /// Writes the damaged copy anew, if one is damaged, and syncs it. Returns whether one was.
    pub(crate) fn restore(&self, file: &dyn Storage, name: &Arc<str>) -> Result<bool> {
        let Some(number) = self.damaged_copy else {
            return Ok(false);
        };
        file.write_all_at(&self.header.encode_copy(), number * HEADER_COPY_LEN as u64)
            .map_err(|error| Error::io(Operation::Write, name, error))?;
        file.sync_data()
            .map_err(|error| Error::sync_failed(name, error))?;
        Ok(true)
    }
}
