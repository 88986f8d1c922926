//! The file of an open store, as readers and the writer share it.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::named_file::NamedFile;
use crate::position::Position;
use crate::scan::verify::Verifier;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// The file of an open store.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) file: NamedFile,
    pub(crate) verifier: Verifier,
    /// The end of what is in the file. Frames below it do not change, unless they are rewound.
    written: AtomicU64,
    /// True if the store was closed.
    pub(crate) closed: AtomicBool,
}

impl DataFile {
    pub(crate) fn new(file: NamedFile, verifier: Verifier, written: Position) -> Self {
        Self {
            file,
            verifier,
            written: AtomicU64::new(written.get()),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(self.file.name())
    }

    #[inline]
    pub(crate) fn written(&self) -> Position {
        Position::new(self.written.load(Ordering::Acquire))
    }

    pub(crate) fn set_written(&self, end: Position) {
        self.written.store(end.get(), Ordering::Release);
    }

    /// Lowers the end of what is in the file to `end`, if it is higher.
    pub(crate) fn lower_written(&self, end: Position) {
        self.written.fetch_min(end.get(), Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(self.closed_error());
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn closed_error(&self) -> Error {
        Error::Closed { file: self.name() }
    }

    #[cold]
    pub(crate) fn sealed_error(&self) -> Error {
        Error::Sealed { file: self.name() }
    }

    #[cold]
    pub(crate) fn out_of_range(&self, position: Position, end: Position) -> Error {
        Error::OutOfRange {
            file: self.name(),
            position,
            end,
        }
    }
}
