//! The file format: the header, frames, and the control frame called sync mark.
//!
//! All integers are big-endian. A file is a header of [`HEADER_LEN`] bytes and then frames without
//! gaps; positions count from the end of the header.
//!
//! The header is kept in two equal copies, [`HEADER_COPY_LEN`] bytes apart, so that no single bad
//! block takes both. Each is zero-padded:
//!
//! ```text
//!  0       8         10         11       12        16     24            28        92     96
//!  +-------+---------+----------+--------+---------+------+-------------+---------+------+
//!  | magic | version | checksum | label  | feature | salt | payload     | label   | crc  |
//!  | 8     | u16     | kind u8  | len u8 | bits u32| u64  | max u32     | 64      | u32  |
//!  +-------+---------+----------+--------+---------+------+-------------+---------+------+
//! ```
//!
//! `crc` is the CRC-32C of the 92 bytes before it. `salt` is random, so that no frame of one file is
//! valid in another. `payload max` bounds the payloads of the file: it limits what a reader allocates
//! for a damaged length.
//!
//! A frame is 8 bytes and a payload:
//!
//! ```text
//!  0       4       8              8+len
//!  +-------+-------+----------------+      word: kind (2 bits), len (30 bits)
//!  | word  | check | payload        |      kind: 00 never valid       01 data, ends its batch
//!  | u32   | u32   | len bytes      |            10 data, batch continues 11 control
//!  +-------+-------+----------------+
//! ```
//!
//! `check` is the CRC-32C of the payload, exclusive-or a hash of the salt, the frame's position and
//! the word ([`check`]). So a frame that was moved, copied, swapped with another or left over from
//! another file is as invalid as a damaged one, and a run of zeros is never a frame.
//!
//! The payload of a control frame starts with a type byte. There is one type, the sync mark:
//!
//! ```text
//!  0      1           8          16       24
//!  +------+-----------+----------+--------+   Everything below `position` was on the device before
//!  | 1    | zeros     | position | frames |   this mark was written, and `frames` data frames lie
//!  | u8   | 7         | u64      | u64    |   below `position`.
//!  +------+-----------+----------+--------+
//! ```

use byteorder::{BigEndian, ByteOrder};

use crate::position::{Boundary, Position};

/// The length of the file's header, both copies with their padding: where position 0 is.
pub(crate) const HEADER_LEN: u64 = 2 * HEADER_COPY_LEN as u64;
/// The length of one copy of the header with its padding.
pub(crate) const HEADER_COPY_LEN: usize = 4096;
/// The format version, the only one supported.
pub(crate) const VERSION: u16 = 1;
/// The longest label.
pub(crate) const LABEL_LEN_MAX: usize = 64;

const MAGIC: [u8; 8] = *b"\x8bproglog";
const CHECKSUM_CRC32C: u8 = 1;

const VERSION_AT: usize = MAGIC.len();
const CHECKSUM_AT: usize = VERSION_AT + 2;
const LABEL_LEN_AT: usize = CHECKSUM_AT + 1;
const FEATURES_AT: usize = LABEL_LEN_AT + 1;
const SALT_AT: usize = FEATURES_AT + 4;
const PAYLOAD_MAX_AT: usize = SALT_AT + 8;
const LABEL_AT: usize = PAYLOAD_MAX_AT + 4;
const HEADER_CRC_AT: usize = LABEL_AT + LABEL_LEN_MAX;
/// The length of one copy of the header without its padding.
pub(crate) const HEADER_COPY_USED: usize = HEADER_CRC_AT + 4;
const _: () = assert!(HEADER_COPY_USED == 96 && HEADER_COPY_USED <= HEADER_COPY_LEN);

/// The length of the header of a frame.
pub(crate) const FRAME_HEADER_LEN: usize = 8;
/// The largest payload that fits the length field.
pub(crate) const PAYLOAD_LEN_MAX: u32 = (1 << 30) - 1;

const MARK_TYPE: u8 = 1;
const MARK_LEN: usize = 24;
/// The length of a sync mark as it lies in the file.
pub(crate) const MARK_FRAME_LEN: usize = FRAME_HEADER_LEN + MARK_LEN;

/// The end, in a sync mark, of the last byte that is never zero.
pub(crate) const MARK_TYPE_END: usize = FRAME_HEADER_LEN + 1;

/// The byte offset in the file of `position`.
#[inline]
pub(crate) fn offset_of(position: Position) -> u64 {
    HEADER_LEN.saturating_add(position.get())
}

/// The CRC-32C of `bytes`.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The contents of a file's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Mixed into the checksum of each frame of this file.
    pub(crate) salt: u64,
    /// The largest payload in this file.
    pub(crate) payload_len_max: u32,
    /// The label given at creation; at most [`LABEL_LEN_MAX`] bytes.
    pub(crate) label: Vec<u8>,
}

/// The reason why a copy of the header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// The magic or the checksum is wrong.
    Damaged,
    /// The version is not supported.
    Version(u16),
    /// The checksum kind is not supported.
    Checksum(u8),
    /// The features are not supported.
    Features(u32),
}

impl Header {
    /// Encodes both copies: [`HEADER_LEN`] bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_copy();
        bytes.extend_from_within(..);
        bytes
    }

    /// Encodes one copy, padded to [`HEADER_COPY_LEN`].
    pub(crate) fn encode_copy(&self) -> Vec<u8> {
        let mut copy = vec![0; HEADER_COPY_LEN];
        copy[..MAGIC.len()].copy_from_slice(&MAGIC);
        BigEndian::write_u16(&mut copy[VERSION_AT..], VERSION);
        copy[CHECKSUM_AT] = CHECKSUM_CRC32C;
        copy[LABEL_LEN_AT] = u8::try_from(self.label.len()).expect("a label has at most 64 bytes");
        BigEndian::write_u32(&mut copy[FEATURES_AT..], 0);
        BigEndian::write_u64(&mut copy[SALT_AT..], self.salt);
        BigEndian::write_u32(&mut copy[PAYLOAD_MAX_AT..], self.payload_len_max);
        copy[LABEL_AT..LABEL_AT + self.label.len()].copy_from_slice(&self.label);
        let crc = crc32c(&copy[..HEADER_CRC_AT]);
        BigEndian::write_u32(&mut copy[HEADER_CRC_AT..], crc);
        copy
    }

    /// Decodes one copy; `copy` may be too short.
    pub(crate) fn decode_copy(copy: &[u8]) -> Result<Self, HeaderFault> {
        if copy.len() < HEADER_COPY_USED
            || copy[..MAGIC.len()] != MAGIC
            || BigEndian::read_u32(&copy[HEADER_CRC_AT..]) != crc32c(&copy[..HEADER_CRC_AT])
        {
            return Err(HeaderFault::Damaged);
        }
        match BigEndian::read_u16(&copy[VERSION_AT..]) {
            VERSION => {}
            version => return Err(HeaderFault::Version(version)),
        }
        match copy[CHECKSUM_AT] {
            CHECKSUM_CRC32C => {}
            kind => return Err(HeaderFault::Checksum(kind)),
        }
        match BigEndian::read_u32(&copy[FEATURES_AT..]) {
            0 => {}
            bits => return Err(HeaderFault::Features(bits)),
        }
        let label_len = usize::from(copy[LABEL_LEN_AT]);
        let payload_len_max = BigEndian::read_u32(&copy[PAYLOAD_MAX_AT..]);
        if label_len > LABEL_LEN_MAX || payload_len_max > PAYLOAD_LEN_MAX {
            return Err(HeaderFault::Damaged);
        }
        Ok(Self {
            salt: BigEndian::read_u64(&copy[SALT_AT..]),
            payload_len_max,
            label: copy[LABEL_AT..LABEL_AT + label_len].to_vec(),
        })
    }
}

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The last data frame of its batch.
    BatchEnd = 0b01,
    /// A data frame whose batch continues in the next frame.
    BatchContinues = 0b10,
    /// A control frame of the store.
    Control = 0b11,
}

/// The first word of a frame: its kind and the length of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) kind: Kind,
    pub(crate) len: u32,
}

/// Returns whether a frame can start with `byte`: the kind is in the upper two bits.
pub(crate) fn may_start_frame(byte: u8) -> bool {
    byte >> 6 != 0
}

impl Word {
    pub(crate) fn new(kind: Kind, payload_len: usize) -> Self {
        let len = u32::try_from(payload_len).expect("a payload was checked against its limit");
        Self { kind, len }
    }

    pub(crate) fn encode(self) -> u32 {
        debug_assert!(
            self.len <= PAYLOAD_LEN_MAX,
            "a payload was checked against its limit"
        );
        (self.kind as u32) << 30 | self.len
    }

    /// Decodes the word; `None` for the kind that is never valid.
    #[inline]
    pub(crate) fn decode(word: u32) -> Option<Self> {
        let kind = match word >> 30 {
            0b01 => Kind::BatchEnd,
            0b10 => Kind::BatchContinues,
            0b11 => Kind::Control,
            _ => return None,
        };
        Some(Self {
            kind,
            len: word & PAYLOAD_LEN_MAX,
        })
    }

    /// The length of the whole frame.
    pub(crate) fn frame_len(self) -> usize {
        FRAME_HEADER_LEN + self.len as usize
    }
}

/// The check of a frame: the CRC-32C of its payload, exclusive-or a hash of salt, position and word.
///
/// The hash is the finaliser of `MurmurHash3` (Austin Appleby). It costs two multiplications, and leaves
/// the CRC of the payload a one-shot call, the fastest kind.
#[inline]
pub(crate) fn check(salt: u64, position: Position, word: u32, payload_crc: u32) -> u32 {
    let mut hash = salt ^ position.get() ^ (u64::from(word) << 32);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves are folded into one"
    )]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded ^ payload_crc
}

/// The header of a frame that is to be at `position`.
#[inline]
pub(crate) fn encode_frame_header(
    salt: u64,
    position: Position,
    word: Word,
    payload_crc: u32,
) -> [u8; FRAME_HEADER_LEN] {
    let word = word.encode();
    let mut header = [0; FRAME_HEADER_LEN];
    BigEndian::write_u32(&mut header, word);
    BigEndian::write_u32(&mut header[4..], check(salt, position, word, payload_crc));
    header
}

/// Appends a frame that is to be at `position`. Its payload has the CRC-32C `payload_crc`.
#[inline]
pub(crate) fn push_frame(
    bytes: &mut Vec<u8>,
    salt: u64,
    position: Position,
    kind: Kind,
    payload: &[u8],
    payload_crc: u32,
) {
    let word = Word::new(kind, payload.len());
    let header = encode_frame_header(salt, position, word, payload_crc);
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(payload);
}

/// Appends a sync mark that claims `claim` and is to be at `position`.
pub(crate) fn push_mark(bytes: &mut Vec<u8>, salt: u64, position: Position, claim: Boundary) {
    let mark = encode_mark(claim);
    push_frame(bytes, salt, position, Kind::Control, &mark, crc32c(&mark));
}

/// The two words of the header: the first word and the check.
#[inline]
pub(crate) fn decode_frame_header(header: [u8; FRAME_HEADER_LEN]) -> (u32, u32) {
    (
        BigEndian::read_u32(&header),
        BigEndian::read_u32(&header[4..]),
    )
}

/// The payload of a mark that claims `boundary`.
pub(crate) fn encode_mark(boundary: Boundary) -> [u8; MARK_LEN] {
    let mut mark = [0; MARK_LEN];
    mark[0] = MARK_TYPE;
    BigEndian::write_u64(&mut mark[8..], boundary.position.get());
    BigEndian::write_u64(&mut mark[16..], boundary.frames);
    mark
}

/// The claim of a mark at `position`; `None` for a control frame that is no mark, or claims more bytes
/// or frames than there can be before it.
pub(crate) fn decode_mark(payload: &[u8], position: Position) -> Option<Boundary> {
    if payload.len() != MARK_LEN || payload[0] != MARK_TYPE || payload[1..8] != [0; 7] {
        return None;
    }
    let boundary = Boundary {
        position: Position::new(BigEndian::read_u64(&payload[8..])),
        frames: BigEndian::read_u64(&payload[16..]),
    };
    let room_for = boundary.position.get() / FRAME_HEADER_LEN as u64;
    (boundary.position <= position && boundary.frames <= room_for).then_some(boundary)
}

/// The encoded first word of every mark, for a search.
pub(crate) fn mark_word() -> [u8; 4] {
    let mut bytes = [0; 4];
    let len = u32::try_from(MARK_LEN).expect("a mark is short");
    BigEndian::write_u32(
        &mut bytes,
        Word {
            kind: Kind::Control,
            len,
        }
        .encode(),
    );
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x0123_4567_89ab_cdef;

    fn header() -> Header {
        Header {
            salt: SALT,
            payload_len_max: 1 << 20,
            label: b"label".to_vec(),
        }
    }

    #[test]
    fn a_header_has_exactly_these_bytes() {
        let bytes = header().encode();
        assert_eq!(bytes.len() as u64, HEADER_LEN);
        assert_eq!(bytes[..4096], bytes[4096..]);
        let mut expected = b"\x8bproglog\x00\x01\x01\x05\x00\x00\x00\x00".to_vec();
        expected.extend(b"\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x10\x00\x00label");
        expected.resize(92, 0);
        expected.extend(crc32c(&expected.clone()).to_be_bytes());
        expected.resize(4096, 0);
        assert_eq!(bytes[..4096], expected);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the CRC-32C of RFC 3720");
        assert_eq!(Header::decode_copy(&bytes), Ok(header()));
    }

    #[test]
    fn a_header_with_any_bit_damaged_is_refused() {
        let bytes = header().encode_copy();
        for bit in 0..HEADER_COPY_USED * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Header::decode_copy(&damaged),
                Err(HeaderFault::Damaged),
                "bit {bit}"
            );
        }
        for len in 0..HEADER_COPY_USED {
            assert_eq!(
                Header::decode_copy(&bytes[..len]),
                Err(HeaderFault::Damaged)
            );
        }
    }

    #[test]
    fn a_header_of_another_version_is_not_taken_for_a_damaged_one() {
        let changed = |at: usize, value: u8| {
            let mut copy = header().encode_copy();
            copy[at] = value;
            let crc = crc32c(&copy[..HEADER_CRC_AT]);
            BigEndian::write_u32(&mut copy[HEADER_CRC_AT..], crc);
            Header::decode_copy(&copy)
        };
        assert_eq!(changed(VERSION_AT + 1, 2), Err(HeaderFault::Version(2)));
        assert_eq!(changed(CHECKSUM_AT, 9), Err(HeaderFault::Checksum(9)));
        assert_eq!(
            changed(FEATURES_AT, 0x80),
            Err(HeaderFault::Features(0x8000_0000))
        );
        assert_eq!(changed(LABEL_LEN_AT, 65), Err(HeaderFault::Damaged));
        assert_eq!(changed(PAYLOAD_MAX_AT, 0x40), Err(HeaderFault::Damaged));
    }

    #[test]
    fn a_frame_has_exactly_these_bytes() {
        let (word, crc) = (Word::new(Kind::BatchEnd, 5), crc32c(b"hello"));
        let header = encode_frame_header(SALT, Position::new(77), word, crc);
        assert_eq!(header, *b"\x40\x00\x00\x05\x2c\x81\x83\xac");
        for (word, kind) in [
            (0x4000_0005, Kind::BatchEnd),
            (0x8000_0005, Kind::BatchContinues),
            (0xc000_0005, Kind::Control),
        ] {
            assert_eq!(Word::decode(word), Some(Word::new(kind, 5)));
        }
        assert_eq!(Word::decode(0x0000_0005), None);
        assert_eq!(Word::decode(0), None, "zeros are never a frame");
    }

    #[test]
    fn a_byte_may_start_a_frame_where_a_word_that_starts_with_it_is_one() {
        for byte in 0..=u8::MAX {
            let is_one = Word::decode(u32::from(byte) << 24).is_some();
            assert_eq!(may_start_frame(byte), is_one, "{byte:#x}");
        }
    }

    #[test]
    fn a_check_depends_on_each_bit_of_what_names_the_place() {
        let right = check(SALT, Position::new(4096), 0x4000_0005, 7);
        for bit in 0..64 {
            assert_ne!(
                check(SALT ^ 1 << bit, Position::new(4096), 0x4000_0005, 7),
                right
            );
            assert_ne!(
                check(SALT, Position::new(4096 ^ 1 << bit), 0x4000_0005, 7),
                right
            );
        }
        for bit in 0..32 {
            assert_ne!(
                check(SALT, Position::new(4096), 0x4000_0005 ^ 1 << bit, 7),
                right
            );
            assert_ne!(
                check(SALT, Position::new(4096), 0x4000_0005, 7 ^ 1 << bit),
                right
            );
        }
    }

    #[test]
    fn a_mark_has_exactly_these_bytes() {
        let boundary = Boundary {
            position: Position::new(0x1234),
            frames: 9,
        };
        let mark = encode_mark(boundary);
        assert_eq!(
            mark,
            *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\x34\0\0\0\0\0\0\0\x09"
        );
        assert_eq!(mark_word(), *b"\xc0\x00\x00\x18");
        assert_eq!(decode_mark(&mark, Position::new(0x1234)), Some(boundary));
        assert_eq!(
            decode_mark(&mark, Position::new(0x1233)),
            None,
            "it claims what came after it"
        );
        assert_eq!(decode_mark(&mark[..23], Position::new(0x1234)), None);
        let crowded = Boundary {
            frames: 0x1234 / 8 + 1,
            ..boundary
        };
        assert_eq!(
            decode_mark(&encode_mark(crowded), Position::new(0x1234)),
            None,
            "so many frames do not fit below it"
        );
        for at in 0..8 {
            let mut other = mark;
            other[at] ^= 2;
            assert_eq!(decode_mark(&other, Position::new(0x1234)), None);
        }
    }
}
