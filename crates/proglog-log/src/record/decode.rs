//! Decodes a record from the payload of a frame.
//!
//! A payload is the protobuf message [`v1::Record`], and prost defines what it means. Nearly all payloads have
//! a value and the fields that the log adds, in the order in which the log writes them. Those are decoded
//! here: in place, without a copy, and without another reference count on their block. Any other payload
//! is left to prost.

use std::ops::Range;

use byteorder::{ByteOrder, LittleEndian};
use bytes::{Buf, Bytes};
use proglog_api::v1;
use proglog_store::segment::FRAME_OVERHEAD;
use prost::{DecodeError, Message};

use crate::offset::Offset;
use crate::record::{RecordRef, StoredRecord};

/// The start of the payload in a frame.
#[expect(clippy::cast_possible_truncation, reason = "a few bytes")]
const PAYLOAD_AT: usize = FRAME_OVERHEAD as usize;

/// The tags of the fields: the field's number and its wire type.
pub(crate) const VALUE: u8 = 1 << 3 | 2;
const OFFSET: u8 = 2 << 3;
const TIMESTAMP: u8 = 5 << 3;
const TIME: u8 = 6 << 3;
const KEY: u8 = 7 << 3 | 2;

/// The record in `payload`.
#[inline]
pub(crate) fn record(payload: Bytes) -> Result<StoredRecord, DecodeError> {
    match Plain::of(&payload) {
        Some(plain) => Ok(plain.record(payload)),
        None => v1::Record::decode(payload).map(StoredRecord::from),
    }
}

/// The record in `frame`, a frame of a store.
#[inline]
pub(crate) fn record_of_frame(mut frame: Vec<u8>) -> Result<StoredRecord, DecodeError> {
    match frame.get(PAYLOAD_AT..).and_then(Plain::of) {
        // What follows the value is cut off before the memory is shared, which would take an allocation after that.
        Some(plain) if plain.key.is_none() => {
            frame.truncate(PAYLOAD_AT + plain.value.end);
            Ok(plain.record(payload(frame.into_boxed_slice())))
        }
        _ => record(payload(frame)),
    }
}

/// The payload of `frame`, or what is left of it.
#[inline]
fn payload(frame: impl Into<Bytes>) -> Bytes {
    let mut payload = frame.into();
    payload.advance(PAYLOAD_AT);
    payload
}

/// The offset of the record in `payload`, and its [size](StoredRecord::size).
#[inline]
pub(crate) fn offset_and_size(payload: &[u8]) -> Result<(u64, usize), DecodeError> {
    match Plain::of(payload) {
        Some(plain) => Ok((plain.offset, plain.size())),
        None => whole(payload),
    }
}

#[cold]
fn whole(payload: &[u8]) -> Result<(u64, usize), DecodeError> {
    let record = StoredRecord::from(v1::Record::decode(payload)?);
    Ok((record.offset.get(), record.size()))
}

/// The fields of a record that has no headers and no producer, and whose fields are in order.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    /// Where the value is.
    pub(crate) value: Range<usize>,
    pub(crate) offset: u64,
    pub(crate) timestamp: Option<i64>,
    pub(crate) appended_at: i64,
    /// Where the key is, if there is one.
    pub(crate) key: Option<Range<usize>>,
}

impl Plain {
    /// The record in `payload`, if it looks like that.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a tenth of a scan over small records"
    )]
    #[inline(always)]
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields { payload, at: 0 };
        let value = if fields.skip_tag(VALUE) {
            fields.bytes()?
        } else {
            0..0
        };
        let offset = if fields.skip_tag(OFFSET) {
            fields.varint()?
        } else {
            0
        };
        let timestamp = if fields.skip_tag(TIMESTAMP) {
            Some(fields.varint()?.cast_signed())
        } else {
            None
        };
        let appended_at = if fields.skip_tag(TIME) {
            fields.varint()?.cast_signed()
        } else {
            0
        };
        let key = if fields.at < payload.len() && fields.skip_tag(KEY) {
            Some(fields.bytes()?)
        } else {
            None
        };
        (fields.at == payload.len()).then_some(Self {
            value,
            offset,
            timestamp,
            appended_at,
            key,
        })
    }

    /// The record's [size](StoredRecord::size).
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.value.len() + self.key.as_ref().map_or(0, ExactSizeIterator::len)
    }

    /// The record, whose payload is `payload`, borrowed.
    #[inline]
    pub(crate) fn record_ref<'a>(&self, payload: &'a [u8]) -> RecordRef<'a> {
        RecordRef {
            offset: Offset::new(self.offset),
            value: &payload[self.value.clone()],
            key: self.key.clone().map(|key| &payload[key]),
            headers: &[],
            timestamp: self.timestamp,
            appended_at: self.appended_at,
            producer: None,
        }
    }

    /// The record, whose payload is `payload`.
    #[inline]
    pub(crate) fn record(self, mut payload: Bytes) -> StoredRecord {
        let key = self.key.map(|key| slice(&payload, key));
        let Range { start, end } = self.value;
        let value = if start == end {
            // An empty value keeps no block in memory.
            Bytes::new()
        } else {
            payload.truncate(end);
            payload.advance(start);
            payload
        };
        StoredRecord {
            offset: Offset::new(self.offset),
            value,
            key,
            headers: Vec::new(),
            timestamp: self.timestamp,
            appended_at: self.appended_at,
            producer: None,
        }
    }
}

#[cold]
fn slice(payload: &Bytes, range: Range<usize>) -> Bytes {
    if range.is_empty() {
        return Bytes::new();
    }
    payload.slice(range)
}

/// A walk over the fields of a message.
struct Fields<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    /// Whether a field with this tag comes next; if so, goes on to what it holds.
    #[inline]
    fn skip_tag(&mut self, tag: u8) -> bool {
        let comes = self.payload.get(self.at) == Some(&tag);
        self.at += usize::from(comes);
        comes
    }

    /// Skips the length and the bytes that come next, and returns where the bytes are.
    #[inline]
    fn bytes(&mut self) -> Option<Range<usize>> {
        let len = usize::try_from(self.varint()?).ok()?;
        let start = self.at;
        self.at = start
            .checked_add(len)
            .filter(|end| *end <= self.payload.len())?;
        Some(start..self.at)
    }

    /// The number that comes next, if it has at most nine bytes: with the tenth comes the question
    /// whether it is too large.
    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let bytes = self.payload.get(self.at..)?;
        if let Some(eight) = bytes.first_chunk::<8>() {
            let eight = LittleEndian::read_u64(eight);
            let ends = !eight & (0x80 * EACH_BYTE);
            if ends != 0 {
                self.at += ends.trailing_zeros() as usize / 8 + 1;
                let up_to_the_first = ends ^ (ends - 1);
                return Some(without_top_bits(eight & up_to_the_first));
            }
        }
        let mut number = 0;
        for (index, byte) in bytes.iter().take(9).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.at += index + 1;
                return Some(number);
            }
        }
        None
    }
}

/// The number that these bytes encode, of which all but the last have the top bit set.
#[inline]
pub(crate) fn eight_bytes(bytes: [u8; 8]) -> u64 {
    without_top_bits(LittleEndian::read_u64(&bytes))
}

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

/// The lower seven bits of each byte of `bytes`, joined.
#[inline]
fn without_top_bits(bytes: u64) -> u64 {
    let bits = bytes & (0x7f * EACH_BYTE);
    let bits = (bits & 0x007f_007f_007f_007f) | ((bits & 0x7f00_7f00_7f00_7f00) >> 1);
    let bits = (bits & 0x0000_3fff_0000_3fff) | ((bits & 0x3fff_0000_3fff_0000) >> 2);
    (bits & 0x0fff_ffff) | ((bits & 0x0fff_ffff_0000_0000) >> 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fields of a record, each of them anything, in any order, as often as they like.
    fn fields() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![
            any::<u64>().prop_map(|number| {
                let mut bytes = Vec::new();
                prost::encoding::encode_varint(number, &mut bytes);
                bytes
            }),
            // Longer than it has to be, or too long.
            prop::collection::vec(0x80..=0xff_u8, 0..12).prop_map(|mut bytes| {
                bytes.push(1);
                bytes
            }),
        ];
        let numbers = (
            prop::sample::select(vec![OFFSET, TIMESTAMP, TIME, 9 << 3]),
            number,
        );
        let bytes = prop::collection::vec(any::<u8>(), 0..200);
        let lens = (
            prop::sample::select(vec![VALUE, 7 << 3 | 2, 8 << 3 | 2, 10 << 3 | 2]),
            bytes,
        );
        let field = prop_oneof![
            numbers.prop_map(|(tag, number)| [vec![tag], number].concat()),
            lens.prop_map(|(tag, bytes)| {
                let mut field = vec![tag];
                prost::encoding::encode_varint(bytes.len() as u64, &mut field);
                [field, bytes].concat()
            }),
        ];
        prop::collection::vec(field, 0..5).prop_map(|fields| fields.concat())
    }

    fn records() -> impl Strategy<Value = Vec<u8>> {
        let value = prop::collection::vec(any::<u8>(), 0..300);
        let key = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
        let timestamp = prop::option::of(any::<i64>());
        (value, key, timestamp, any::<u64>(), any::<i64>(), 0..3).prop_map(
            |(value, key, timestamp, offset, appended_at, headers)| {
                let mut record = v1::Record::new(value);
                record.key = key.map(Bytes::from);
                record.producer = (headers == 1).then(|| v1::Producer {
                    id: "id".to_owned(),
                    sequence: offset,
                    ..v1::Producer::default()
                });
                for _ in 0..headers / 2 {
                    record = record.with_header("name", "value");
                }
                let offset = offset >> (offset % 64);
                record = v1::Record {
                    offset,
                    timestamp,
                    appended_at,
                    ..record
                };
                record.encode_to_vec()
            },
        )
    }

    fn payloads() -> impl Strategy<Value = Vec<u8>> {
        let cut = (records(), any::<prop::sample::Index>())
            .prop_map(|(bytes, at)| bytes[..at.index(bytes.len() + 1)].to_vec());
        let noise = prop::collection::vec(any::<u8>(), 0..40);
        prop_oneof![4 => records(), 4 => fields(), 2 => cut, 1 => noise]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_payload_is_read_as_prost_reads_it(payload in payloads()) {
            let expected = v1::Record::decode(&*payload).map(StoredRecord::from);
            prop_assert_eq!(&record(Bytes::from(payload.clone())), &expected);
            let frame = [&[0; PAYLOAD_AT], &*payload].concat();
            prop_assert_eq!(&record_of_frame(frame), &expected);
            if let (Some(plain), Ok(expected)) = (Plain::of(&payload), &expected) {
                prop_assert_eq!(plain.record_ref(&payload), RecordRef::from(expected));
            }
            let expected = expected.map(|record| (record.offset.get(), record.size()));
            prop_assert_eq!(offset_and_size(&payload), expected);
        }
    }

    #[test]
    fn the_common_shape_is_read_by_hand() {
        let keys = [None, Some(Bytes::from("key"))];
        // Of one byte, which may be the last, of eight, and of nine.
        let times = [5, 1_700_000_000_000_000, 1 << 60];
        for timestamp in [None, Some(-1), Some(1)] {
            for (key, appended_at) in keys.iter().flat_map(|key| times.map(|time| (key, time))) {
                let record = v1::Record {
                    value: Bytes::from(vec![7; 1000]),
                    offset: 300,
                    timestamp,
                    appended_at,
                    key: key.clone(),
                    headers: Vec::new(),
                    producer: None,
                };
                // A negative number has ten bytes, and is prost's.
                let plain = Plain::of(&record.encode_to_vec());
                assert_eq!(plain.is_some(), timestamp != Some(-1), "{record:?}");
            }
        }
    }
}
