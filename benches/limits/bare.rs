//! The limit: the same work by bare loops that use no proglog crate.
//!
//! A bare file is a header of [`HEADER_LEN`] bytes and frames, each a 4-byte word, the 4-byte CRC-32C
//! of the payload, and the payload. There is no salt, no position in the checksum, no batch, no mark,
//! no index and no lock: a loop does only what every log has to do, as fast as possible.

pub(crate) mod append;
pub(crate) mod read;
pub(crate) mod synced;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The length of a segment's header: that of a store's.
pub(crate) const HEADER_LEN: u64 = HEADER.len() as u64;
/// Filler in the place of a header.
static HEADER: [u8; 8 << 10] = [1; 8 << 10];
/// The length of the bytes before a payload.
pub(crate) const FRAME_HEADER_LEN: usize = 8;

/// The kind and length of a frame.
pub(crate) fn word(payload_len: usize) -> u32 {
    let len = u32::try_from(payload_len).expect("a payload is short");
    1 << 30 | len
}

/// The eight bytes before `payload`.
pub(crate) fn frame_header(payload: &[u8]) -> [u8; FRAME_HEADER_LEN] {
    let mut header = [0; FRAME_HEADER_LEN];
    header[..4].copy_from_slice(&word(payload.len()).to_be_bytes());
    header[4..].copy_from_slice(&crc_fast::crc32_iscsi(payload).to_be_bytes());
    header
}

/// The path of segment `number`.
pub(crate) fn segment_path(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("{number:020}.log"))
}

/// Creates segment `number`, durable with its name, as every log has to that must not lose a file.
pub(crate) fn create_segment(directory: &Path, number: usize) -> io::Result<File> {
    let temporary = directory.join("next.tmp");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&temporary)?;
    file.write_all(&HEADER)?;
    file.sync_all()?;
    fs::rename(&temporary, segment_path(directory, number))?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

/// The length of the encoded record in a log, according to `log.proto`, for a value of `value_len` bytes
/// at `offset`: the value, the offset and the time of the append, each with its tag. No key, no headers.
pub(crate) fn record_len(value_len: usize, offset: u64) -> usize {
    // Microseconds since 1970 take 51 bits until 2041.
    const TIME_LEN: usize = 1 + 8;
    let offset_len = if offset == 0 {
        0
    } else {
        1 + varint_len(offset)
    };
    1 + varint_len(value_len as u64) + value_len + offset_len + TIME_LEN
}

/// The most that a record adds to its value.
pub(crate) const RECORD_OVERHEAD_MAX: usize = 1 + 10 + 1 + 10 + 1 + 8;

fn varint_len(number: u64) -> usize {
    let bits = (u64::BITS - (number | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}
