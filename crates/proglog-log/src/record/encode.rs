//! Writing a record into a frame.
//!
//! The bytes are those that prost makes of a [`Record`] with its offset and time set, written straight
//! to where they are to be. Prost itself is asked for what few records have: a key, and headers.

use prost::encoding;

use crate::offset::Offset;
use crate::record::Record;

/// The numbers of the fields that prost writes, as `log.proto` has them, and the tags of the others:
/// each the field's number, and how it is encoded.
const VALUE: u8 = 1 << 3 | 2;
const OFFSET: u8 = 2 << 3;
const TIMESTAMP: u8 = 5 << 3;
const TIME: u8 = 6 << 3;
const KEY: u32 = 7;
const HEADERS: u32 = 8;

/// A tag, and the longest number.
const NUMBER_LEN_MAX: usize = 1 + 10;

/// When records are appended, as each of them tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    field: [u8; NUMBER_LEN_MAX],
    len: usize,
}

impl Time {
    /// This time, in microseconds since 1970.
    #[inline]
    pub(crate) fn new(micros: i64) -> Self {
        let mut field = [0; NUMBER_LEN_MAX];
        let mut slot = Slot {
            bytes: &mut field,
            at: 0,
        };
        if micros != 0 {
            slot.put_number(TIME, micros.cast_unsigned());
        }
        let len = slot.at;
        Self { field, len }
    }

    fn field(&self) -> &[u8] {
        &self.field[..self.len]
    }
}

/// A record as the log stores it: with its offset and the time, whatever the writer put there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) record: &'a Record,
    pub(crate) offset: Offset,
    pub(crate) appended_at: &'a Time,
}

impl Stored<'_> {
    /// How long the encoding is.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let value = match self.record.value.len() {
            0 => 0,
            len => 1 + varint_len(len as u64) + len,
        };
        let offset = match self.offset.get() {
            0 => 0,
            offset => 1 + varint_len(offset),
        };
        let timestamp = self.record.timestamp;
        let timestamp = timestamp.map_or(0, |time| 1 + varint_len(time.cast_unsigned()));
        value + offset + timestamp + self.appended_at.len + self.extras_len()
    }

    /// Whether it has what prost is asked to write.
    fn has_extras(&self) -> bool {
        self.record.key.is_some() || !self.record.headers.is_empty()
    }

    fn extras_len(&self) -> usize {
        if !self.has_extras() {
            return 0;
        }
        let key = self.record.key.as_ref();
        key.map_or(0, |key| encoding::bytes::encoded_len(KEY, key))
            + encoding::message::encoded_len_repeated(HEADERS, &self.record.headers)
    }

    /// Writes the encoding to `bytes`, which are just as long.
    #[inline]
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        let mut slot = Slot { bytes, at: 0 };
        let value = &self.record.value;
        if !value.is_empty() {
            slot.put_number(VALUE, value.len() as u64);
            slot.put(value);
        }
        if self.offset != Offset::ZERO {
            slot.put_number(OFFSET, self.offset.get());
        }
        if let Some(timestamp) = self.record.timestamp {
            slot.put_number(TIMESTAMP, timestamp.cast_unsigned());
        }
        slot.put(self.appended_at.field());
        if self.has_extras() {
            let mut rest = &mut slot.bytes[slot.at..];
            if let Some(key) = &self.record.key {
                encoding::bytes::encode(KEY, key, &mut rest);
            }
            encoding::message::encode_repeated(HEADERS, &self.record.headers, &mut rest);
        }
    }
}

/// Where something is written.
struct Slot<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Slot<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        self.bytes[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }

    #[inline]
    fn put_number(&mut self, tag: u8, mut number: u64) {
        let bytes = &mut self.bytes[self.at..];
        bytes[0] = tag;
        let mut len = 1;
        while number >= 0x80 {
            bytes[len] = number.to_be_bytes()[7] | 0x80;
            number >>= 7;
            len += 1;
        }
        bytes[len] = number.to_be_bytes()[7];
        self.at += len + 1;
    }
}

/// How many bytes a number takes: one for each seven bits.
#[inline]
fn varint_len(number: u64) -> usize {
    let bits = (number | 1).ilog2() as usize + 1;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::options::RECORD_OVERHEAD_MAX;
    use crate::record::size;

    /// Records with and without each field, short and long.
    fn records() -> Vec<Record> {
        let full = |len: usize, headers: usize| {
            let mut record = Record::new(vec![1; len])
                .with_key(vec![2; len])
                .with_timestamp(-1);
            for _ in 0..headers {
                record = record.with_header("n".repeat(len), vec![3; len]);
            }
            (record.offset, record.appended_at) = (len as u64, -1);
            record
        };
        let bare = Record::new("");
        vec![
            bare,
            full(0, 0),
            full(0, 9),
            full(200, 3),
            full(70_000, 2),
            full(1 << 22, 1),
        ]
    }

    #[test]
    fn an_encoding_is_what_prost_makes_of_a_copy_with_the_fields_set() {
        for record in records() {
            for (offset, appended_at) in [(0, 0), (1, 1), (300, -300), (u64::MAX, i64::MAX)] {
                let stored = Stored {
                    record: &record,
                    offset: Offset::new(offset),
                    appended_at: &Time::new(appended_at),
                };
                let mut encoded = vec![0; stored.len()];
                stored.encode(&mut encoded);
                let copy = Record {
                    offset,
                    appended_at,
                    ..record.clone()
                };
                assert_eq!(encoded, copy.encode_to_vec());
            }
        }
    }

    #[test]
    fn an_encoding_exceeds_the_size_by_a_bounded_overhead() {
        for record in records() {
            let offset = Offset::new(u64::MAX);
            let len = Stored {
                record: &record,
                offset,
                appended_at: &Time::new(-1),
            }
            .len();
            assert!(len <= size(&record) + RECORD_OVERHEAD_MAX, "{len}");
        }
    }
}
