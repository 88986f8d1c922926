//! The encoding of frames and headers, for tests that make damaged files whole again.

use crate::format::{Header, Word, check, crc32c};
use crate::position::Position;

/// The length in bytes of the frame that begins with this word, or `None` if no frame does.
#[must_use]
pub fn frame_len(word: u32) -> Option<usize> {
    Word::decode(word).map(Word::frame_len)
}

/// The check of a frame at `position`, of a file with this salt.
#[must_use]
pub fn frame_check(salt: u64, position: Position, word: u32, payload: &[u8]) -> u32 {
    check(salt, position, word, crc32c(payload))
}

/// A copy of a file's header, decoded and encoded again, or `None` if it is not valid.
#[must_use]
pub fn reencoded_header(copy: &[u8]) -> Option<Vec<u8>> {
    let header = Header::decode_copy(copy).ok()?;
    Some(header.encode_copy())
}
