//! Recognizes the records of a sequence without decoding them.
//!
//! Nearly all payloads are a value, an offset and a time, and of consecutive records all but the value and the time
//! is known before they are read. So the bytes after the value are compared, all at once, with what they must be.

use std::ops::Range;

use byteorder::{ByteOrder, LittleEndian};

use crate::offset::Offset;
use crate::record::RecordRef;
use crate::record::decode::{self, Plain, VALUE};
use crate::record::encode::{NUMBERS_LEN_MAX, Stored, Time};
use crate::record::fields::Fields;

/// Length of the end of a payload that is compared. A shorter payload is not recognized.
const END_LEN_MAX: usize = 16;

/// Bytes of a time's number. The times from 1987 to 4253 have as many.
const TIME_LEN: usize = 8;

/// The top bit of each byte of a number: set in all but the last.
const TOP_BITS: u128 = 0x80 * (u64::MAX as u128 / 0xff);

/// The next record of a sequence, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    offset: u64,
    /// The offset, the tag of the time, and the top bits of its bytes, as they end a little-endian number.
    end: u128,
    /// The bits of `end` that are known.
    known: u128,
    /// Length of what follows the value; more than a payload has while nothing is known.
    end_len: usize,
    /// The last bit of the offset in `end`.
    step: u128,
    /// The time of the record before, as it was encoded.
    time: [u8; TIME_LEN],
    appended_at: i64,
}

/// A record that was recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recognized {
    /// Where the value is.
    pub(crate) value: Range<usize>,
    pub(crate) offset: Offset,
    pub(crate) appended_at: i64,
}

impl Sequence {
    /// Returns a sequence that recognizes nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            offset: 0,
            end: 0,
            known: 0,
            end_len: usize::MAX,
            step: 0,
            time: [0; TIME_LEN],
            appended_at: 0,
        }
    }

    /// Returns the sequence of the records after that with the offset `before`, which was appended at `appended_at`.
    pub(crate) fn after(before: u64, appended_at: i64) -> Self {
        let Some(offset) = before.checked_add(1) else {
            return Self::new();
        };
        let time = Time::new(appended_at);
        let mut numbers = [0; NUMBERS_LEN_MAX];
        let record = Stored {
            record: Fields::of_value(&[]),
            offset: Offset::new(offset),
            appended_at: &time,
        };
        let end_len = record.encode_numbers(&mut numbers);
        let Some(pad) = END_LEN_MAX.checked_sub(end_len) else {
            return Self::new();
        };
        if time.len() != 1 + TIME_LEN {
            return Self::new();
        }
        let mut end = [0; END_LEN_MAX];
        end[pad..].copy_from_slice(&numbers[..end_len]);
        let mut time = [0; TIME_LEN];
        time.copy_from_slice(&end[END_LEN_MAX - TIME_LEN..]);
        let time_bits = u128::MAX << (8 * (END_LEN_MAX - TIME_LEN));
        let known = (u128::MAX << (8 * pad)) & (!time_bits | TOP_BITS << 64);
        Self {
            offset,
            end: LittleEndian::read_u128(&end) & known,
            known,
            end_len,
            // After the tag.
            step: 1 << (8 * (pad + 1)),
            time,
            appended_at,
        }
    }

    /// Returns the next record, if `payload` is what its encoding must be, and moves on.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a tenth of a scan over small records"
    )]
    #[inline(always)]
    pub(crate) fn recognize(&mut self, payload: &[u8]) -> Option<Recognized> {
        let end = payload.last_chunk::<END_LEN_MAX>()?;
        let value_end = payload.len().checked_sub(self.end_len)?;
        if LittleEndian::read_u128(end) & self.known != self.end {
            return None;
        }
        let [tag, first, second, ..] = *payload else {
            return None;
        };
        let (start, len) = if first < 0x80 {
            (2, usize::from(first))
        } else {
            (3, usize::from(first & 0x7f) | usize::from(second) << 7)
        };
        if tag != VALUE || (start == 3 && second >= 0x80) || start + len != value_end || len == 0 {
            return None;
        }
        let recognized = Recognized {
            value: start..value_end,
            offset: Offset::new(self.offset),
            appended_at: self.time(end),
        };
        self.advance();
        Some(recognized)
    }

    /// Returns the time at the end of a payload.
    #[inline]
    fn time(&mut self, end: &[u8; END_LEN_MAX]) -> i64 {
        let time = end.last_chunk().expect("it is longer than a time");
        if *time != self.time {
            self.time = *time;
            self.appended_at = decode::eight_bytes(*time).cast_signed();
        }
        self.appended_at
    }

    #[inline]
    fn advance(&mut self) {
        if self.offset & 0x7f == 0x7f {
            // It is carried to the next byte, or there is one byte more.
            *self = Self::after(self.offset, self.appended_at);
        } else {
            self.offset += 1;
            self.end += self.step;
        }
    }
}

impl Recognized {
    /// The record, whose payload is `payload`, borrowed.
    #[inline]
    pub(crate) fn record_ref(self, payload: &[u8]) -> RecordRef<'_> {
        RecordRef {
            offset: self.offset,
            value: &payload[self.value],
            key: None,
            headers: &[],
            timestamp: None,
            appended_at: self.appended_at,
            producer: None,
        }
    }
}

impl Plain {
    /// Returns the sequence of the records after this one.
    #[inline]
    pub(crate) fn sequence(&self) -> Sequence {
        if self.key.is_some() || self.timestamp.is_some() {
            // The next one will have a key or a timestamp, too.
            return Sequence::new();
        }
        Sequence::after(self.offset, self.appended_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Record;

    const NOW: i64 = 1_764_000_000_000_000;

    fn encode(value: Vec<u8>, offset: u64, appended_at: i64) -> Vec<u8> {
        let record = Record::new(value);
        let stored = Stored {
            record: Fields::from(&record),
            offset: Offset::new(offset),
            appended_at: &Time::new(appended_at),
        };
        let mut payload = vec![0; stored.len()];
        stored.encode(&mut payload);
        payload
    }

    /// Checks that `payload` is not recognized, or as the record that it decodes to.
    fn agrees(sequence: &mut Sequence, payload: &[u8]) -> bool {
        let Some(recognized) = sequence.recognize(payload) else {
            return false;
        };
        let plain = Plain::of(payload).expect("it was recognized");
        assert_eq!(recognized.record_ref(payload), plain.record_ref(payload));
        true
    }

    #[test]
    fn the_records_after_one_are_recognized() {
        let carries = [7, 14, 21, 28, 35, 42].map(|bits| (1_u64 << bits) - 4);
        for first in [0, 1, 120].into_iter().chain(carries) {
            let mut sequence = Sequence::after(first, NOW);
            let lens = [3, 5, 127, 128, 300, 16_383].into_iter().cycle();
            for (offset, len) in (first + 1..first + 300).zip(lens) {
                let time = NOW + i64::try_from(offset / 3).unwrap();
                let payload = encode(vec![1; len], offset, time);
                let is_short = offset < 1 << 42;
                assert_eq!(agrees(&mut sequence, &payload), is_short, "{offset}");
            }
        }
    }

    #[test]
    fn what_is_no_record_of_the_sequence_is_not_recognized() {
        let sequence = Sequence::after(8, NOW);
        let recognizes = |payload: &[u8]| sequence.clone().recognize(payload).is_some();
        assert!(recognizes(&encode(vec![1; 5], 9, NOW)));
        for offset in [0, 8, 10, 9 << 7, u64::MAX] {
            assert!(!recognizes(&encode(vec![1; 5], offset, NOW)));
        }
        for time in [0, -1, i64::MIN, i64::MAX, 1 << 40] {
            assert!(!recognizes(&encode(vec![1; 5], 9, time)));
        }
        // Those are decoded.
        assert!(!recognizes(&encode(vec![1; 2], 9, NOW)));
        assert!(!recognizes(&encode(vec![], 9, NOW)));
        assert!(!recognizes(&encode(vec![1; 16_384], 9, NOW)));
        for sequence in [
            Sequence::new(),
            Sequence::after(u64::MAX, NOW),
            Sequence::after(8, 0),
        ] {
            for payload in [vec![], vec![0; 16], encode(vec![1; 5], 0, NOW)] {
                assert!(sequence.clone().recognize(&payload).is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_a_recognized_record_is_the_one_that_they_decode_to(
            len in 0..300_usize,
            offset in prop_oneof![0..300_u64, any::<u64>()],
            time in prop_oneof![Just(NOW), any::<i64>()],
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in 0..3_usize,
        ) {
            let mut payload = encode(vec![1; len], offset, time);
            for (at, byte) in changes {
                if !payload.is_empty() {
                    *at.get_mut(&mut payload) = byte;
                }
            }
            payload.truncate(payload.len() - cut.min(payload.len()));
            for before in [offset.saturating_sub(1), offset] {
                agrees(&mut Sequence::after(before, NOW), &payload);
                agrees(&mut Sequence::after(before, time), &payload);
            }
        }
    }
}
