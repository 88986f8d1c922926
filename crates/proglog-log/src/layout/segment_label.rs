//! Label of a segment: which log it is of, and its place there, in the header of its store.
//!
//! ```text
//!  0       4        20            28              36
//!  +-------+--------+-------------+---------------+     Big-endian. `previous base` is the base
//!  | magic | log id | base offset | previous base |     offset of the segment before, or the
//!  | 4     | u128   | u64         | u64           |     segment's own if there was none.
//!  +-------+--------+-------------+---------------+
//! ```
//!
//! The header alone shows if a segment is of another log, was renamed or copied, or if its predecessor is
//! missing.

use byteorder::{BigEndian, ByteOrder};

use crate::error::reason::SegmentIdentity;
use crate::offset::Offset;

const MAGIC: [u8; 4] = *b"seg1";
const LOG_ID_AT: usize = MAGIC.len();
const BASE_AT: usize = LOG_ID_AT + 16;
const PREVIOUS_AT: usize = BASE_AT + 8;
const LEN: usize = PREVIOUS_AT + 8;
const _: () = assert!(LEN == 36 && LEN <= 64);

/// The label of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) identity: SegmentIdentity,
    /// The base offset of the segment before this one, if there was one.
    pub(crate) previous_base: Option<Offset>,
}

impl Label {
    pub(crate) fn encode(self) -> [u8; LEN] {
        let base = self.identity.base_offset;
        let mut label = [0; LEN];
        label[..MAGIC.len()].copy_from_slice(&MAGIC);
        BigEndian::write_u128(&mut label[LOG_ID_AT..], self.identity.log_id);
        BigEndian::write_u64(&mut label[BASE_AT..], base.get());
        BigEndian::write_u64(
            &mut label[PREVIOUS_AT..],
            self.previous_base.unwrap_or(base).get(),
        );
        label
    }

    /// `None` if `label` is not a segment's.
    pub(crate) fn decode(label: &[u8]) -> Option<Self> {
        if label.len() != LEN || !label.starts_with(&MAGIC) {
            return None;
        }
        let base_offset = Offset::new(BigEndian::read_u64(&label[BASE_AT..]));
        let previous = Offset::new(BigEndian::read_u64(&label[PREVIOUS_AT..]));
        let log_id = BigEndian::read_u128(&label[LOG_ID_AT..]);
        Some(Self {
            identity: SegmentIdentity {
                log_id,
                base_offset,
            },
            previous_base: (previous != base_offset).then_some(previous),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_exactly_these_bytes() {
        let identity = SegmentIdentity {
            log_id: 0xabcd << 112 | 7,
            base_offset: Offset::new(258),
        };
        let label = Label {
            identity,
            previous_base: Some(Offset::new(5)),
        };
        let mut expected = b"seg1\xab\xcd".to_vec();
        expected.extend([0; 13]);
        expected.extend(b"\x07\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x05");
        assert_eq!(label.encode(), *expected);
        assert_eq!(Label::decode(&expected), Some(label));
        let first = Label {
            previous_base: None,
            ..label
        };
        assert_eq!(Label::decode(&first.encode()), Some(first));
        assert_eq!(Label::decode(&expected[..35]), None);
        assert_eq!(Label::decode(b"my own label"), None);
    }
}
