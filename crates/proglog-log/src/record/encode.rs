//! Encodes a record into the payload of a frame.
//!
//! The bytes are those that prost would write for the message `v1::Record` with the offset and the time of
//! the append set, encoded directly into the buffer. Keys and headers, which few records have, are encoded
//! with prost's functions.

use bytes::BufMut;
use proglog_api::v1;
use prost::encoding::{self, WireType};

use crate::offset::Offset;
use crate::record::Header;
use crate::record::fields::Fields;

/// The tags of the fields (number and wire type), and the numbers of those that prost encodes, as in
/// `log.proto`.
const VALUE: u8 = 1 << 3 | 2;
const OFFSET: u8 = 2 << 3;
const TIMESTAMP: u8 = 5 << 3;
const TIME: u8 = 6 << 3;
const KEY: u32 = 7;
const HEADERS: u32 = 8;
const PRODUCER: u32 = 10;
const HEADER_NAME: u32 = 1;
const HEADER_VALUE: u32 = 2;

/// A tag and the longest number.
const NUMBER_LEN_MAX: usize = 1 + 10;

/// The longest encoding of the tag and the length of a value.
pub(crate) const HEAD_LEN_MAX: usize = NUMBER_LEN_MAX;

/// The longest encoding of an offset, a timestamp and a time.
pub(crate) const NUMBERS_LEN_MAX: usize = 3 * NUMBER_LEN_MAX;

/// The time of an append, encoded once for all of its records.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Time {
    micros: i64,
    field: [u8; NUMBER_LEN_MAX],
    len: usize,
}

impl Time {
    /// This time, in microseconds since 1970.
    #[inline]
    pub(crate) fn new(micros: i64) -> Self {
        let mut field = [0; NUMBER_LEN_MAX];
        let mut slot = Slot::new(&mut field);
        if micros != 0 {
            slot.put_number(TIME, micros.cast_unsigned());
        }
        let len = slot.at;
        Self { micros, field, len }
    }

    /// The length of its field.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The time, in microseconds since 1970.
    #[inline]
    pub(crate) fn micros(&self) -> i64 {
        self.micros
    }
}

/// A record with the fields that the log adds: its offset and the time of the append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) record: Fields<'a>,
    pub(crate) offset: Offset,
    pub(crate) appended_at: &'a Time,
}

impl Stored<'_> {
    /// The length of the encoding.
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
        value + offset + timestamp + self.appended_at.len + self.record.extras_len()
    }

    /// Writes the encoding to `bytes`, which have exactly its length.
    #[inline]
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        let mut slot = Slot::new(bytes);
        self.put_head(&mut slot);
        slot.put(self.record.value);
        self.put_numbers(&mut slot);
        if self.record.has_extras() {
            self.record.put_extras(&mut &mut slot.bytes[slot.at..]);
        }
    }

    /// Writes what comes before the value to `head`, and returns its length.
    #[inline]
    pub(crate) fn encode_head(&self, head: &mut [u8; HEAD_LEN_MAX]) -> usize {
        let mut slot = Slot::new(head);
        self.put_head(&mut slot);
        slot.at
    }

    /// Writes what comes between the value and the extras to `numbers`, and returns its length.
    #[inline]
    pub(crate) fn encode_numbers(&self, numbers: &mut [u8; NUMBERS_LEN_MAX]) -> usize {
        let mut slot = Slot::new(numbers);
        self.put_numbers(&mut slot);
        slot.at
    }

    #[expect(
        clippy::inline_always,
        reason = "a slot that goes through memory costs a twentieth of a batch of small records"
    )]
    #[inline(always)]
    fn put_head(&self, slot: &mut Slot<'_>) {
        if !self.record.value.is_empty() {
            slot.put_number(VALUE, self.record.value.len() as u64);
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "a slot that goes through memory costs a twentieth of a batch of small records"
    )]
    #[inline(always)]
    fn put_numbers(&self, slot: &mut Slot<'_>) {
        if self.offset != Offset::ZERO {
            slot.put_number(OFFSET, self.offset.get());
        }
        if let Some(timestamp) = self.record.timestamp {
            slot.put_number(TIMESTAMP, timestamp.cast_unsigned());
        }
        slot.put(&self.appended_at.field[..self.appended_at.len]);
    }
}

/// The fields that prost encodes: the key, the headers and the producer.
impl Fields<'_> {
    /// True if the record has one of them.
    #[inline]
    pub(crate) fn has_extras(&self) -> bool {
        self.key.is_some() || !self.headers.is_empty() || self.producer.is_some()
    }

    fn extras_len(&self) -> usize {
        if !self.has_extras() {
            return 0;
        }
        let headers = self.headers.iter().map(|header| {
            let len = header_len(header);
            encoding::key_len(HEADERS) + varint_len(len as u64) + len
        });
        let key = self.key.map_or(0, |key| {
            encoding::key_len(KEY) + varint_len(key.len() as u64) + key.len()
        });
        let producer = self.producer.map(v1::Producer::from);
        let producer = producer.map_or(0, |producer| {
            encoding::message::encoded_len(PRODUCER, &producer)
        });
        key + headers.sum::<usize>() + producer
    }

    /// Writes them to `buffer`.
    pub(crate) fn put_extras(&self, buffer: &mut impl BufMut) {
        if let Some(key) = self.key {
            encoding::encode_key(KEY, WireType::LengthDelimited, buffer);
            encoding::encode_varint(key.len() as u64, buffer);
            buffer.put_slice(key);
        }
        for header in self.headers {
            encoding::encode_key(HEADERS, WireType::LengthDelimited, buffer);
            encoding::encode_varint(header_len(header) as u64, buffer);
            if !header.name.is_empty() {
                encoding::string::encode(HEADER_NAME, &header.name, buffer);
            }
            if !header.value.is_empty() {
                encoding::bytes::encode(HEADER_VALUE, &header.value, buffer);
            }
        }
        if let Some(producer) = self.producer {
            encoding::message::encode(PRODUCER, &v1::Producer::from(producer), buffer);
        }
    }
}

/// The length of the encoding of a header, which leaves out what is empty.
fn header_len(header: &Header) -> usize {
    let name = match header.name.len() {
        0 => 0,
        _ => encoding::string::encoded_len(HEADER_NAME, &header.name),
    };
    let value = match header.value.len() {
        0 => 0,
        _ => encoding::bytes::encoded_len(HEADER_VALUE, &header.value),
    };
    name + value
}

/// A buffer and the position of the next write.
struct Slot<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Slot<'a> {
    #[inline]
    fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

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

/// The length of an encoded number: one byte for each seven bits.
#[inline]
fn varint_len(number: u64) -> usize {
    let bits = (number | 1).ilog2() as usize + 1;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::record::producer::{PRODUCER_LEN_MAX, Producer};
    use crate::record::{RECORD_OVERHEAD_MAX, Record, StoredRecord};

    /// Records with and without each field, short and long.
    fn records() -> Vec<Record> {
        let full = |len: usize, headers: usize| {
            let mut record = Record::new(vec![1; len]).with_key(vec![2; len]);
            record.timestamp = Some(-1);
            for _ in 0..headers {
                record = record.with_header("n".repeat(len), vec![3; len]);
            }
            record
        };
        let mut marked = full(9, 1);
        marked.producer = Some(Box::new(Producer {
            count: u32::MAX,
            ..Producer::new(&"i".repeat(64), u64::MAX, u64::MAX).unwrap()
        }));
        vec![
            marked,
            Record::new(""),
            Record::new("")
                .with_header("name", "")
                .with_header("", "value"),
            full(0, 0),
            full(0, 9),
            full(200, 3),
            full(70_000, 2),
            full(1 << 22, 1),
        ]
    }

    #[test]
    fn an_encoding_is_that_of_prost() {
        for record in records() {
            for (offset, appended_at) in [(0, 0), (1, 1), (300, -300), (u64::MAX, i64::MAX)] {
                let stored = Stored {
                    record: Fields::from(&record),
                    offset: Offset::new(offset),
                    appended_at: &Time::new(appended_at),
                };
                let mut encoded = vec![0; stored.len()];
                stored.encode(&mut encoded);
                let message = StoredRecord::at(offset.into(), appended_at, record.clone());
                assert_eq!(encoded, v1::Record::from(message).encode_to_vec());
            }
        }
    }

    #[test]
    fn an_encoding_exceeds_the_size_by_a_bounded_overhead() {
        for record in records() {
            let offset = Offset::MAX;
            let len = Stored {
                record: Fields::from(&record),
                offset,
                appended_at: &Time::new(-1),
            }
            .len();
            let producer_len = record.producer.as_ref().map_or(0, |_| PRODUCER_LEN_MAX);
            assert!(
                len <= Fields::from(&record).size() + RECORD_OVERHEAD_MAX + producer_len,
                "{len}"
            );
        }
    }
}
