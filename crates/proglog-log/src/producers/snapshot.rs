//! The snapshot of a table of producers.
//!
//! ```text
//! byte  length
//!    0       8  magic "plogprod"
//!    8       4  version, 1
//!   12      16  id of the log
//!   28       8  end: the records below it are counted
//!   36       4  number of producers
//!   40          the producers, the one that was unused for longest first; for each:
//!            1    length of the id, 1 to 64
//!                 id
//!            8    epoch
//!            8    next sequence number
//!            8    time of the newest batch, in microseconds since 1970
//!            1    number of batches, 1 to 5
//!                 the batches, the newest last; for each:
//!            8      sequence number
//!            4      number of records
//!            8      offset of the first
//!            4  CRC-32C of everything before
//! ```
//!
//! Numbers are big-endian.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BufMut};

use crate::offset::Offset;
use crate::producers::{BATCHES, KnownBatch, PRODUCERS_MAX, Producers, State};
use crate::record::producer::is_id;

const MAGIC: &[u8; 8] = b"plogprod";
const VERSION: u32 = 1;
const CRC_LEN: usize = 4;

/// The reason for which bytes are no snapshot of the producers of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes are damaged, or are no snapshot.
    #[error("the snapshot of producers is damaged at byte {byte}")]
    Damaged {
        /// Where the first part is that cannot be; the length of the bytes if a checksum says so.
        byte: usize,
    },
    /// The snapshot was written by a newer version.
    #[error("the snapshot of producers has version {version}, and {VERSION} is the newest known")]
    Unsupported {
        /// Its version.
        version: u32,
    },
    /// The snapshot is that of another log.
    #[error("the snapshot of producers is that of log {log_id:032x}")]
    AnotherLog {
        /// The id of the other log.
        log_id: u128,
    },
}

impl Producers {
    /// Returns a snapshot of the table, which has counted the records below `end` of the log with the id `log_id`. Its
    /// format is drawn in the source of this function's module. It has at most 2 MB.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "the number of producers is bounded"
    )]
    pub fn encode(&self, log_id: u128, end: Offset) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_slice(MAGIC);
        bytes.put_u32(VERSION);
        bytes.put_u128(log_id);
        bytes.put_u64(end.get());
        bytes.put_u32(u32::try_from(self.len()).expect("the number of producers is bounded"));
        for id in self.by_use.values() {
            if let Some(state) = self.by_id.get(id) {
                put_state(&mut bytes, id, state);
            }
        }
        let crc = crc_fast::crc32_iscsi(&bytes);
        bytes.put_u32(crc);
        bytes
    }

    /// Returns the table of a snapshot of the log with the id `log_id`, and the end of the records that it has counted.
    ///
    /// # Errors
    ///
    /// Each [`SnapshotError`] says when. The table can then be [replayed](Producers::replay) from all records.
    pub fn decode(bytes: &[u8], log_id: u128) -> Result<(Self, Offset), SnapshotError> {
        let mut reader = Reader::new(bytes)?;
        if reader.take::<8>()? != *MAGIC {
            return Err(SnapshotError::Damaged { byte: 0 });
        }
        let version = u32::from_be_bytes(reader.take()?);
        if version != VERSION {
            return Err(SnapshotError::Unsupported { version });
        }
        let of_log = u128::from_be_bytes(reader.take()?);
        if of_log != log_id {
            return Err(SnapshotError::AnotherLog { log_id: of_log });
        }
        let end = Offset::new(reader.u64()?);
        let count = u32::from_be_bytes(reader.take()?) as usize;
        reader.check(count <= PRODUCERS_MAX)?;
        let mut producers = Self::new();
        for _ in 0..count {
            let (id, state) = reader.state()?;
            producers.insert(id, state);
        }
        // None may be there twice, nor share its newest batch with another.
        let all = [producers.by_id.len(), producers.by_use.len()] == [count; 2];
        reader.check(all && reader.rest.is_empty())?;
        Ok((producers, end))
    }
}

fn put_state(bytes: &mut Vec<u8>, id: &str, state: &State) {
    bytes.put_u8(u8::try_from(id.len()).expect("an id has at most 64 bytes"));
    bytes.put_slice(id.as_bytes());
    bytes.put_u64(state.epoch);
    bytes.put_u64(state.next);
    bytes.put_i64(state.last_appended_at);
    bytes.put_u8(u8::try_from(state.batches.len()).expect("few batches are kept"));
    for batch in &state.batches {
        bytes.put_u64(batch.sequence);
        bytes.put_u32(batch.count);
        bytes.put_u64(batch.offset.get());
    }
}

/// What is left to decode.
struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// Checks the checksum, which is not part of what is read.
    fn new(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let damaged = SnapshotError::Damaged { byte: bytes.len() };
        let (rest, mut crc) = bytes
            .split_last_chunk::<CRC_LEN>()
            .map_or(Err(damaged), |(rest, crc)| Ok((rest, &crc[..])))?;
        if crc.get_u32() != crc_fast::crc32_iscsi(rest) {
            return Err(damaged);
        }
        let len = rest.len();
        Ok(Self { rest, len })
    }

    /// Fails with the place that is read, unless `holds`.
    fn check(&self, holds: bool) -> Result<(), SnapshotError> {
        if holds {
            return Ok(());
        }
        Err(SnapshotError::Damaged {
            byte: self.len - self.rest.len(),
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        self.check(self.rest.len() >= N)?;
        let mut taken = [0; N];
        self.rest.copy_to_slice(&mut taken);
        Ok(taken)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.take().map(u64::from_be_bytes)
    }

    fn state(&mut self) -> Result<(Arc<str>, State), SnapshotError> {
        let [len] = self.take()?;
        let id = self.rest.get(..usize::from(len)).unwrap_or_default();
        let id = std::str::from_utf8(id).unwrap_or_default();
        self.check(is_id(id))?;
        let id = Arc::from(id);
        self.rest.advance(usize::from(len));
        let (epoch, next) = (self.u64()?, self.u64()?);
        let last_appended_at = i64::from_be_bytes(self.take()?);
        let [count] = self.take()?;
        self.check((1..=BATCHES).contains(&usize::from(count)))?;
        let batches = (0..count).map(|_| self.batch());
        let batches = batches.collect::<Result<VecDeque<_>, _>>()?;
        let state = State {
            epoch,
            next,
            batches,
            last_appended_at,
        };
        Ok((id, state))
    }

    fn batch(&mut self) -> Result<KnownBatch, SnapshotError> {
        Ok(KnownBatch {
            sequence: self.u64()?,
            count: u32::from_be_bytes(self.take()?),
            offset: Offset::new(self.u64()?),
        })
    }
}
