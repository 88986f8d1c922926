//! The limit of reading: large blocks in order, or one exact `pread` at random.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::{FRAME_HEADER_LEN, HEADER_LEN, word};

/// Block lengths of a scan.
pub(crate) const BLOCK_LENS: [usize; 3] = [256 << 10, 512 << 10, 1 << 20];

/// Reads and verifies all frames of `file`; returns their number.
///
/// A partial frame at the end of a block moves to the front. A frame larger than a block is read together
/// with the header of the next one, so that it does not move.
pub(crate) fn scan(file: &File, block_len: usize, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let mut at = HEADER_LEN;
    let mut kept = 0;
    let mut want = block_len;
    let mut count = 0;
    while at < end {
        if buffer.len() < want {
            buffer.resize(want, 0);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most `want`")]
        let read = (end - at).min((want - kept) as u64) as usize;
        file.read_exact_at(&mut buffer[kept..kept + read], at)?;
        at += read as u64;
        let filled = kept + read;
        let mut start = 0;
        want = block_len;
        while let Some(header) = buffer[start..filled].first_chunk::<FRAME_HEADER_LEN>() {
            let payload_start = start + FRAME_HEADER_LEN;
            let frame_end = payload_start + payload_len(*header);
            if frame_end > filled {
                want = want.max(frame_end - start + FRAME_HEADER_LEN);
                break;
            }
            verify(*header, &buffer[payload_start..frame_end])?;
            count += 1;
            start = frame_end;
        }
        buffer.copy_within(start..filled, 0);
        kept = filled - start;
    }
    if kept > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(count)
}

/// Reads and verifies the frame at `place`.
pub(crate) fn read(file: &File, place: Range<u64>) -> io::Result<Vec<u8>> {
    let len = usize::try_from(place.end - place.start).expect("a frame is short");
    // Fresh memory, not zeroed.
    let mut frame = Vec::with_capacity(len);
    while frame.len() < len {
        let at = place.start + frame.len() as u64;
        if rustix::io::pread(file, rustix::buffer::spare_capacity(&mut frame), at)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // The allocator may return more than requested.
    frame.truncate(len);
    match frame.split_first_chunk::<FRAME_HEADER_LEN>() {
        Some((header, payload)) => verify(*header, payload)?,
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    Ok(frame)
}

fn payload_len(header: [u8; FRAME_HEADER_LEN]) -> usize {
    let [a, b, c, d, ..] = header;
    (u32::from_be_bytes([a, b, c, d]) & !(3 << 30)) as usize
}

fn verify(header: [u8; FRAME_HEADER_LEN], payload: &[u8]) -> io::Result<()> {
    let [a, b, c, d, crc @ ..] = header;
    let whole = u32::from_be_bytes([a, b, c, d]) == word(payload.len())
        && u32::from_be_bytes(crc) == crc_fast::crc32_iscsi(payload);
    if whole {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
