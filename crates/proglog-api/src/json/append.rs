//! Requests to append, and the responses.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::fields::{Names, Once};
use super::read::{Unknown, not_an_object};
use super::record::Record;
use crate::v1;

/// A request to append a batch: `{"records": [..]}`. Other fields are an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AppendRequest {
    /// The records, up to [`AppendRequest::RECORDS_MAX`].
    pub records: Vec<v1::Record>,
    /// The number of records in the request. Those above the limit are not read.
    pub len: usize,
}

impl AppendRequest {
    /// The most records of a batch.
    pub const RECORDS_MAX: usize = 10_000;
}

impl<'de> Deserialize<'de> for AppendRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Request)
    }
}

struct Request;

impl<'de> Visitor<'de> for Request {
    type Value = AppendRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the field `records`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AppendRequest, E> {
        Err(not_an_object(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AppendRequest, A::Error> {
        let names = Names {
            of: "a request to append",
            find: |name| (name == "records").then_some(()),
            unknown: Unknown::Refused,
        };
        let mut request = Once::new("`records`");
        while let Some(()) = names.next(&mut map)? {
            request.read(&mut map, "records", Records)?;
        }
        request
            .found
            .ok_or_else(|| A::Error::missing_field("records"))
    }
}

struct Records;

impl<'de> DeserializeSeed<'de> for Records {
    type Value = AppendRequest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records {
    type Value = AppendRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`records` to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AppendRequest, A::Error> {
        let mut records = Vec::new();
        while records.len() < AppendRequest::RECORDS_MAX {
            let Some(Record(record)) = seq.next_element()? else {
                let len = records.len();
                return Ok(AppendRequest { records, len });
            };
            records.push(record);
        }
        let mut len = records.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            len += 1;
        }
        Ok(AppendRequest { records, len })
    }
}

/// How durable appended records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Durability {
    /// They are on the device.
    Synced,
    /// The operating system has them, and a sync follows within an interval.
    Interval,
    /// They are in the server's memory.
    Buffered,
}

/// The response to an append of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppendResponse {
    /// The offset of the first record. Both offsets are left out for an old batch that was sent again, if they are no
    /// longer known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_offset: Option<u64>,
    /// The offset after the last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_offset: Option<u64>,
    /// True if the batch was appended before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub duplicate: bool,
    /// How durable the records are.
    pub durability: Durability,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// The response to an append of a stream of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamResponse {
    /// The offset of the first record that was appended; left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_offset: Option<u64>,
    /// The offset after the last one. Other writers may have appended in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_offset: Option<u64>,
    /// The number of records that were appended.
    pub records: u64,
    /// The number of lines that were skipped, since an earlier stream of the same producer had appended them.
    pub skipped: u64,
    /// How durable the records are.
    pub durability: Durability,
}
