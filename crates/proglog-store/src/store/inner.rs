//! The state that the handles of a store share.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::format::Header;
use crate::io::named_file::NamedFile;
use crate::io::no_file::NoFile;
use crate::options::StoreOptions;
use crate::position::Boundary;
use crate::recovery::Recovery;
use crate::scan::verify::Verifier;
use crate::store::data_file::DataFile;
use crate::store::durable_end::{DurableEnd, Sign};
use crate::store::preallocation::Preallocator;
use crate::store::write_buffer::WriteBuffer;
use crate::store::writer::Writer;
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// The state that the handles of a store share.
pub(crate) struct Inner {
    pub(crate) data: Arc<DataFile>,
    pub(crate) label: Vec<u8>,
    pub(crate) recovery: Recovery,
    pub(crate) mode: Mode,
    /// The bytes that a read fetches which does not know the length of the frame.
    pub(crate) read_len_hint: AtomicUsize,
}

/// The purpose that a store was opened for.
pub(crate) enum Mode {
    /// To append, and to read.
    Write(Writer),
    /// To read what is in the file.
    Read(Boundary),
    /// To read what another process writes.
    Follow(Follower),
}

/// The part of a store that another process writes.
pub(crate) struct Follower {
    /// Held across system calls; nothing is locked under it but `end`.
    durable_end: Mutex<DurableEnd>,
    /// The end of what is shown.
    end: Mutex<Boundary>,
}

/// The bytes that the first read fetches; later reads go by the lengths of the frames read so far.
const READ_LEN_HINT: usize = 4 << 10;

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_sealed = self.writer().is_none_or(Writer::is_sealed);
        f.debug_struct("Store")
            .field("file", self.data.file.name())
            .field("written", &self.data.written().get())
            .field("sealed", &is_sealed)
            .field("closed", &self.data.is_closed())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A store to append to, recovered.
    pub(crate) fn new(
        file: NamedFile,
        header: Header,
        recovery: Recovery,
        options: &StoreOptions,
    ) -> Self {
        let verifier = Verifier::of(&header);
        let Recovery { end, clean, .. } = recovery;
        let (ahead_max, up_to) = options.preallocate;
        let data = Arc::new(DataFile::new(file, verifier, end.position));
        let writer = Writer::new(
            Arc::clone(&data),
            WriteBuffer::new(header.salt, options.buffer_len, end, clean),
            options.buffer_len,
            Preallocator::new(ahead_max, up_to),
        );
        Self {
            data,
            label: header.label,
            recovery,
            mode: Mode::Write(writer),
            read_len_hint: AtomicUsize::new(READ_LEN_HINT),
        }
    }

    /// A store to read up to `end`, or to follow from there on.
    pub(crate) fn to_read(
        file: NamedFile,
        header: Header,
        end: Boundary,
        durable_end: Option<DurableEnd>,
    ) -> Self {
        let verifier = Verifier::of(&header);
        let mode = match durable_end {
            Some(durable_end) => Mode::Follow(Follower {
                durable_end: Mutex::new(durable_end),
                end: Mutex::new(end),
            }),
            None => Mode::Read(end),
        };
        Self {
            data: Arc::new(DataFile::new(file, verifier, end.position)),
            label: header.label,
            recovery: Recovery::of_sealed(end),
            mode,
            read_len_hint: AtomicUsize::new(READ_LEN_HINT),
        }
    }

    /// A store that ends where this one does and has none of its data: it does not keep the file open.
    pub(crate) fn without_file(&self) -> Self {
        let end = self.end();
        let file = NamedFile::new(self.data.name(), Arc::new(NoFile));
        Self {
            data: Arc::new(DataFile::new(file, self.data.verifier, end.position)),
            label: self.label.clone(),
            recovery: Recovery::of_sealed(end),
            mode: Mode::Read(end),
            read_len_hint: AtomicUsize::new(READ_LEN_HINT),
        }
    }

    /// The writer half; `None` if the store was opened to read.
    #[inline]
    pub(crate) fn writer(&self) -> Option<&Writer> {
        match &self.mode {
            Mode::Write(writer) => Some(writer),
            Mode::Read(_) | Mode::Follow(_) => None,
        }
    }

    /// As [`Inner::writer`], for an operation that changes the file, or releases its lock. Fails in a process that was
    /// forked from the one that opened the store: they share the lock, and threads that only the other has may hold
    /// the locks of the writer.
    pub(crate) fn own_writer(&self) -> Result<Option<&Writer>> {
        let writer = self.writer();
        writer.map_or(Ok(()), Writer::check_process)?;
        Ok(writer)
    }

    /// The writer half, for an operation that a store opened to read refuses.
    #[inline]
    pub(crate) fn appender(&self) -> Result<&Writer> {
        match &self.mode {
            Mode::Write(writer) => Ok(writer),
            Mode::Read(_) | Mode::Follow(_) => {
                self.data.check_open()?;
                Err(self.data.sealed_error())
            }
        }
    }

    pub(crate) fn end(&self) -> Boundary {
        match &self.mode {
            Mode::Write(writer) => writer.end(),
            Mode::Read(end) => *end,
            Mode::Follow(follower) => *follower.end.lock(),
        }
    }

    pub(crate) fn recovery_point(&self) -> Boundary {
        match &self.mode {
            Mode::Write(writer) => writer.buffer.lock().synced(),
            Mode::Read(_) | Mode::Follow(_) => self.end(),
        }
    }

    pub(crate) fn refresh(&self) -> Result<Boundary> {
        let Mode::Follow(follower) = &self.mode else {
            return Ok(self.end());
        };
        let mut durable_end = follower.durable_end.lock();
        let end = durable_end.refresh(&self.data.file)?;
        *follower.end.lock() = end;
        self.data.set_written(end.position);
        Ok(end)
    }

    pub(crate) fn has_changed(&self, sign: Sign) -> Result<bool> {
        match &self.mode {
            Mode::Follow(follower) => {
                let durable_end = follower.durable_end.lock();
                durable_end.has_changed(&self.data.file, sign)
            }
            Mode::Write(_) | Mode::Read(_) => Ok(false),
        }
    }

    pub(crate) fn close(&self) -> Result<()> {
        if let Some(writer) = self.own_writer()? {
            return writer.close();
        }
        self.data.closed.store(true, Ordering::Release);
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A caller that needs the error calls `close`.
        drop(self.close());
    }
}
