//! Real files: those that the tests of the store and of the log keep, of the format's newest version.

use std::fs;
use std::ops::Range;
use std::path::Path;

use byteorder::{BigEndian, ByteOrder};

use proglog_store::Position;
use proglog_store::testing::format::{frame_check, frame_len};

/// The position of a store's first frame in its file.
pub(crate) const HEADER_LEN: usize = 8192;
/// The distance of the copies of a header, and of those of a checkpoint.
pub(crate) const COPY_LEN: usize = 4096;
/// The length of a page of an index.
pub(crate) const PAGE_LEN: usize = 4096;
const FRAME_HEADER_LEN: usize = 8;
const HEADER_CRC_AT: usize = 92;
const COPY_CRC_AT: usize = 1096;
const SALT: Range<usize> = 16..24;

/// The places in a store that mean something.
pub(crate) const STORE_HOT: [Range<usize>; 3] =
    [HEADER_LEN..10_000, 0..96, COPY_LEN..COPY_LEN + 96];
pub(crate) const INDEX_HOT: [Range<usize>; 2] = [0..64, PAGE_LEN - 4..PAGE_LEN];
pub(crate) const CHECKPOINT_HOT: [Range<usize>; 4] = [
    0..80,
    COPY_CRC_AT..COPY_CRC_AT + 4,
    2 * COPY_LEN..2 * COPY_LEN + 80,
    3 * COPY_LEN + COPY_CRC_AT..3 * COPY_LEN + COPY_CRC_AT + 4,
];

/// The file at `path` in the crates' folder.
pub(crate) fn read(path: &str) -> Vec<u8> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read(crates.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Makes the checksums of a store right, but for those of frames that `spared` has a bit for. It goes as far
/// as one frame follows another.
pub(crate) fn mend_store(bytes: &mut [u8], spared: u8) {
    mend_copies(bytes, 2, HEADER_CRC_AT);
    let Some(salt) = bytes.get(SALT).map(BigEndian::read_u64) else {
        return;
    };
    let (mut at, mut number) = (HEADER_LEN, 0);
    while let Some(header) = bytes.get(at..at + FRAME_HEADER_LEN) {
        let first = BigEndian::read_u32(header);
        let Some(len) = frame_len(first) else {
            return;
        };
        let end = at + len;
        let Some(payload) = bytes.get(at + FRAME_HEADER_LEN..end) else {
            return;
        };
        let position = Position::new((at - HEADER_LEN) as u64);
        let check = frame_check(salt, position, first, payload);
        if spared >> (number % 8) & 1 == 0 {
            BigEndian::write_u32(&mut bytes[at + 4..], check);
        }
        (at, number) = (end, number + 1);
    }
}

/// Makes the checksums of a checkpoint right.
pub(crate) fn mend_checkpoint(bytes: &mut [u8]) {
    mend_copies(bytes, 4, COPY_CRC_AT);
}

/// Makes the checksums of all copies right.
fn mend_copies(bytes: &mut [u8], copies: usize, crc_at: usize) {
    for copy in bytes.chunks_mut(COPY_LEN).take(copies) {
        if copy.len() >= crc_at + 4 {
            let crc = crc_fast::crc32_iscsi(&copy[..crc_at]);
            BigEndian::write_u32(&mut copy[crc_at..], crc);
        }
    }
}

/// Makes the checks of an index right, whose segment has this store.
pub(crate) fn mend_index(bytes: &mut [u8], store: &[u8]) {
    let salt = BigEndian::read_u64(&store[SALT]);
    for (number, page) in (0_u32..).zip(bytes.chunks_exact_mut(PAGE_LEN)) {
        let mixed = (salt >> 32) ^ (salt & 0xffff_ffff);
        let [.., a, b, c, d] = mixed.to_be_bytes();
        let mixed = u32::from_be_bytes([a, b, c, d]) ^ number.wrapping_mul(0x9e37_79b9);
        let check = crc_fast::crc32_iscsi(&page[..PAGE_LEN - 4]) ^ mixed;
        BigEndian::write_u32(&mut page[PAGE_LEN - 4..], check);
    }
}
