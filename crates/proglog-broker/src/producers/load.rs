//! Loading the producers of a log: from their snapshot, and from the records after it.

use std::io;

use proglog_log::producers::Producers;
use proglog_log::{CommitLog, ErrorKind, Offset, Reason};

use crate::backend::Snapshot;
use crate::error::{Error, Result};
use crate::id::LogId;

/// Bytes of records that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The error of Unix for what the device cannot read.
const EIO: i32 = 5;

/// The producers of a log when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) producers: Producers,
    /// False if the log has never had a producer.
    pub(crate) has_snapshot: bool,
    /// The number of batches that were counted after the snapshot.
    pub(crate) batches: u64,
}

/// Loads the producers of `log`, to which nothing is appended meanwhile. The records after those that the snapshot
/// covers are read.
///
/// A producer is known if all its batches since the start of the log, or since the snapshot, could be counted. Where
/// records are missing, since they are damaged or were dropped before a snapshot has covered them, the producers that
/// have appended none since are unknown. A snapshot that is damaged, of another log, or beyond the end of the log is
/// replaced before this returns: as the log grows, it could be taken for right.
pub(crate) fn load(log: &dyn CommitLog, id: LogId, snapshot: &dyn Snapshot) -> Result<Loaded> {
    let storage_error = |error| Error::storage(log.name(), error);
    let bytes = match snapshot.load() {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Loaded::default()),
        // Nothing is what a damaged one is worth.
        Err(error) if is_damage(&error) => Vec::new(),
        Err(error) => return Err(storage_error(error)),
    };
    let offsets = log.offsets();
    let mut loaded = Loaded {
        has_snapshot: true,
        ..Loaded::default()
    };
    let problem = match Producers::decode(&bytes, id.get()) {
        Ok((producers, end)) if end <= offsets.end => {
            loaded.producers = producers;
            loaded.count(log, end)?;
            return Ok(loaded);
        }
        Ok((_, end)) => format!(
            "it covers the records before {end}, and the log ends at {}",
            offsets.end
        ),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        log = log.name(),
        problem,
        "a snapshot of producers is not used"
    );
    loaded.count(log, offsets.start)?;
    let encoded = loaded.producers.encode(id.get(), offsets.end);
    snapshot.store(&encoded).map_err(storage_error)?;
    Ok(loaded)
}

/// Returns whether the bytes cannot be read, and never will be.
fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData || cfg!(unix) && error.raw_os_error() == Some(EIO)
}

impl Loaded {
    /// Counts the records from `from` on.
    fn count(&mut self, log: &dyn CommitLog, from: Offset) -> Result<()> {
        let mut next = from;
        while next < log.end_offset() {
            match log.read_batch(next, usize::MAX, READ_BYTES) {
                Ok(records) => {
                    for record in &records {
                        self.producers.replay(record);
                        self.batches += u64::from(record.producer().is_some());
                        next = record.offset + 1;
                    }
                }
                Err(error) => {
                    next = match error.reason {
                        Reason::Trimmed { start, .. } => start,
                        _ if error.kind() == ErrorKind::Corrupt => next + 1,
                        _ => return Err(Error::Log(error)),
                    };
                    // What these records say of their producers is not known.
                    self.producers = Producers::new();
                }
            }
        }
        Ok(())
    }
}
