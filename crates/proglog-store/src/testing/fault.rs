//! Calls on a disk, and the faults planned for them.

use std::io;
use std::sync::Arc;

/// A kind of call on a file or on the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallKind {
    /// [`Storage::len`](crate::io::Storage::len).
    Len,
    /// [`Storage::read_at`](crate::io::Storage::read_at).
    Read,
    /// [`Storage::try_read_at`](crate::io::Storage::try_read_at).
    TryRead,
    /// [`Storage::write_at`](crate::io::Storage::write_at).
    Write,
    /// [`Storage::set_len`](crate::io::Storage::set_len).
    SetLen,
    /// [`Storage::sync_data`](crate::io::Storage::sync_data) or
    /// [`Storage::sync_all`](crate::io::Storage::sync_all).
    Sync,
    /// [`Storage::try_lock`](crate::io::Storage::try_lock).
    Lock,
    /// [`Directory::open`](crate::io::Directory::open) of a file that exists.
    Open,
    /// [`Directory::open`](crate::io::Directory::open) that creates a file.
    Create,
    /// [`Directory::rename`](crate::io::Directory::rename).
    Rename,
    /// [`Directory::remove`](crate::io::Directory::remove).
    Remove,
    /// [`Directory::list`](crate::io::Directory::list).
    List,
    /// [`Directory::sync`](crate::io::Directory::sync).
    SyncDirectory,
    /// [`Directory::id_of`](crate::io::Directory::id_of),
    /// [`Directory::is_in_place`](crate::io::Directory::is_in_place) or [`Storage::id`](crate::io::Storage::id). Never
    /// counted.
    Identify,
}

impl CallKind {
    /// Returns whether such a call changes what a crash can leave.
    #[must_use]
    pub fn is_change(self) -> bool {
        match self {
            Self::Len
            | Self::Read
            | Self::TryRead
            | Self::Lock
            | Self::Open
            | Self::List
            | Self::Identify => false,
            Self::Write
            | Self::SetLen
            | Self::Sync
            | Self::Create
            | Self::Rename
            | Self::Remove
            | Self::SyncDirectory => true,
        }
    }
}

/// A call, as recorded by [`SimDisk::trace`](super::SimDisk::trace).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Its number, the value of [`SimDisk::calls`](super::SimDisk::calls) before it; `None` if its kind is
    /// not counted.
    pub number: Option<u64>,
    /// The kind of the call.
    pub kind: CallKind,
    /// The file's name when it was opened; for a rename the old name, for the directory "".
    pub name: Arc<str>,
    /// The offset of a read or write; otherwise 0.
    pub offset: u64,
    /// The bytes to read or write, or the length to set; otherwise 0.
    pub len: u64,
}

impl Call {
    pub(super) fn new(kind: CallKind, name: &Arc<str>) -> Self {
        Self {
            number: None,
            kind,
            name: Arc::clone(name),
            offset: 0,
            len: 0,
        }
    }

    pub(super) fn at(self, offset: u64, len: u64) -> Self {
        Self {
            offset,
            len,
            ..self
        }
    }
}

/// The call that a [`Fault`] is planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// The call with this number, the value of [`SimDisk::calls`](super::SimDisk::calls) before it; the
    /// first is 0.
    Call(u64),
    /// A call of this kind, after the given number of others of the kind; 0 is the next one. It may be of a
    /// kind that is not counted.
    Next(CallKind, u64),
}

/// A fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    outcome: Outcome,
    written: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Crash,
    Kind(io::ErrorKind),
    Os(i32),
}

impl Fault {
    /// The process dies: this call does nothing, and it and every later one fails.
    #[must_use]
    pub fn crash() -> Self {
        Self {
            outcome: Outcome::Crash,
            written: 0,
        }
    }

    /// The call fails, once. A sync that fails loses its writes: see the
    /// [module's documentation](super).
    #[must_use]
    pub fn error(kind: io::ErrorKind) -> Self {
        Self {
            outcome: Outcome::Kind(kind),
            written: 0,
        }
    }

    /// The call fails, once, with an error of the operating system: 5 is EIO on Linux.
    #[must_use]
    pub fn os_error(code: i32) -> Self {
        Self {
            outcome: Outcome::Os(code),
            written: 0,
        }
    }

    /// If the call is a write, its first `bytes` bytes (all, if it has fewer) are written first.
    ///
    /// A crash in a write of which all is written covers every way in which a power cut can split it;
    /// after a mere kill a shorter beginning is another outcome.
    #[must_use]
    pub fn after_writing(self, bytes: usize) -> Self {
        Self {
            written: bytes,
            ..self
        }
    }

    pub(super) fn written(self) -> usize {
        self.written
    }

    pub(super) fn is_crash(self) -> bool {
        self.outcome == Outcome::Crash
    }

    pub(super) fn to_error(self) -> io::Error {
        match self.outcome {
            Outcome::Crash => crashed(),
            Outcome::Kind(kind) => kind.into(),
            Outcome::Os(code) => io::Error::from_raw_os_error(code),
        }
    }
}

/// The error of every call once the process is dead.
pub(super) fn crashed() -> io::Error {
    io::Error::other("the simulated process has crashed")
}

/// The faults still to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan(Vec<(When, Fault)>);

impl Plan {
    pub(super) fn add(&mut self, when: When, fault: Fault) {
        self.0.push((when, fault));
    }

    /// The fault of a call of this kind; `number` is `None` if the call is not counted. Of two faults for
    /// one call the one added first is used, and the other is dropped.
    pub(super) fn take(&mut self, kind: CallKind, number: Option<u64>) -> Option<Fault> {
        let mut hit = None;
        self.0.retain_mut(|(when, fault)| {
            let now = match when {
                When::Call(at) => number == Some(*at),
                When::Next(of, 0) => *of == kind,
                When::Next(of, skip) => {
                    *skip -= u64::from(*of == kind);
                    false
                }
            };
            if now {
                hit.get_or_insert(*fault);
            }
            !now
        });
        hit
    }
}
