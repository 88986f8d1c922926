//! The encoding of stored records, for fuzz targets, and a clock that a test sets. The feature `testing` turns them on;
//! they may change in any release.

use bytes::Bytes;

pub use crate::clock::TestClock;
use crate::record::encode::{Stored, Time};
use crate::record::fields::{Fields, IntoRecord};
use crate::record::{StoredRecord, decode};

/// The payload of a frame that holds `record`.
#[must_use]
pub fn encode_record(record: &StoredRecord) -> Vec<u8> {
    let stored = Stored {
        record: Fields {
            producer: record.producer(),
            ..record.fields()
        },
        offset: record.offset,
        appended_at: &Time::new(record.appended_at),
    };
    let mut payload = vec![0; stored.len()];
    stored.encode(&mut payload);
    payload
}

/// The record in the payload of a frame.
///
/// # Errors
///
/// If the payload is not an encoded record.
pub fn decode_record(payload: Bytes) -> Result<StoredRecord, String> {
    decode::record(payload).map_err(|error| error.to_string())
}

/// The offset of the record in the payload of a frame, and the record's size in bytes as limits count it.
///
/// # Errors
///
/// As [`decode_record`].
pub fn decode_offset_and_size(payload: &[u8]) -> Result<(u64, usize), String> {
    decode::offset_and_size(payload).map_err(|error| error.to_string())
}
