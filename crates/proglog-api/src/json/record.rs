//! Records as clients send them and as they get them.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::fields::{Json, Names, Once, Text};
use super::read::{Base64, Unknown, not_an_object};
use crate::v1;

/// A record to append.
///
/// It is read from an object with one of `value`, `text` and `json`, and optionally `key` or `key_text`, `timestamp` and
/// `headers`; see the [module](super). Other fields are an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record(pub v1::Record);

/// A record of a log, with its offset and time of append.
///
/// It is read from what [`Form::write_record`](super::Form::write_record) writes. Unknown fields are skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StoredRecord(pub v1::Record);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(deserializer.deserialize_any(Fields::OF_REQUEST)?))
    }
}

impl<'de> Deserialize<'de> for StoredRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(deserializer.deserialize_any(Fields::OF_RESPONSE)?))
    }
}

/// A field of a record.
#[derive(Clone, Copy)]
enum Field {
    Value,
    Text,
    Json,
    Key,
    KeyText,
    Timestamp,
    Headers,
    Offset,
    AppendedAt,
}

impl Field {
    /// Finds a field that clients send.
    fn sent(name: &str) -> Option<Self> {
        Some(match name {
            "value" => Self::Value,
            "text" => Self::Text,
            "json" => Self::Json,
            "key" => Self::Key,
            "key_text" => Self::KeyText,
            "timestamp" => Self::Timestamp,
            "headers" => Self::Headers,
            _ => return None,
        })
    }

    /// Finds a field that clients get.
    fn stored(name: &str) -> Option<Self> {
        match name {
            "offset" => Some(Self::Offset),
            "appended_at" => Some(Self::AppendedAt),
            _ => Self::sent(name),
        }
    }
}

/// A visitor of the object of a record.
struct Fields(Names<Field>);

impl Fields {
    const OF_REQUEST: Self = Self(Names {
        of: "a record",
        find: Field::sent,
        unknown: Unknown::Refused,
    });

    const OF_RESPONSE: Self = Self(Names {
        of: "a record",
        find: Field::stored,
        unknown: Unknown::Skipped,
    });
}

impl<'de> Visitor<'de> for Fields {
    type Value = v1::Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record such as `{\"text\": \"hello\"}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<v1::Record, E> {
        Err(not_an_object(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<v1::Record, A::Error> {
        let mut value = Once::new(VALUES);
        let mut key = Once::new("of `key` and `key_text`");
        let (mut timestamp, mut headers) = (Once::new("`timestamp`"), Once::new("`headers`"));
        let (mut offset, mut appended_at) = (Once::new("`offset`"), Once::new("`appended_at`"));
        let map = &mut map;
        while let Some(field) = self.0.next(map)? {
            match field {
                Field::Value => value.read(map, "value", Base64 { path: "value" }),
                Field::Text => value.read(map, "text", TextBytes),
                Field::Json => value.read(map, "json", Json),
                Field::Key => key.read(map, "key", Base64 { path: "key" }),
                Field::KeyText => key.read(map, "key_text", TextBytes),
                Field::Timestamp => timestamp.read(map, "timestamp", PhantomData::<i64>),
                Field::Headers => headers.read(map, "headers", Headers(self.0.unknown)),
                Field::Offset => offset.read(map, "offset", PhantomData::<u64>),
                Field::AppendedAt => appended_at.read(map, "appended_at", PhantomData::<i64>),
            }?;
        }
        let missing = || A::Error::custom(format_args!("a record has none {VALUES}"));
        Ok(v1::Record {
            value: value.found.ok_or_else(missing)?,
            offset: offset.found.unwrap_or_default(),
            timestamp: timestamp.found,
            appended_at: appended_at.found.unwrap_or_default(),
            key: key.found,
            headers: headers.found.unwrap_or_default(),
            producer: None,
        })
    }
}

const VALUES: &str = "of `value`, `text` and `json`";

/// Text as bytes.
struct TextBytes;

impl<'de> DeserializeSeed<'de> for TextBytes {
    type Value = Bytes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bytes, D::Error> {
        Text.deserialize(deserializer).map(Bytes::from)
    }
}

/// An array of headers.
struct Headers(Unknown);

impl<'de> DeserializeSeed<'de> for Headers {
    type Value = Vec<v1::Header>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Headers {
    type Value = Vec<v1::Header>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`headers` to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = seq.next_element_seed(Header(self.0))? {
            headers.push(header);
        }
        Ok(headers)
    }
}

/// A field of a header.
#[derive(Clone, Copy)]
enum HeaderField {
    Name,
    Value,
    Text,
}

/// The object of a header.
struct Header(Unknown);

impl<'de> DeserializeSeed<'de> for Header {
    type Value = v1::Header;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Header {
    type Value = v1::Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header such as `{\"name\": \"trace\", \"text\": \"4bf9\"}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<v1::Header, E> {
        Err(not_an_object(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<v1::Header, A::Error> {
        let names = Names {
            of: "a header",
            find: |name| match name {
                "name" => Some(HeaderField::Name),
                "value" => Some(HeaderField::Value),
                "text" => Some(HeaderField::Text),
                _ => None,
            },
            unknown: self.0,
        };
        let values = "of `value` and `text`";
        let (mut name, mut value) = (Once::new("`name`"), Once::new(values));
        let map = &mut map;
        while let Some(field) = names.next(map)? {
            match field {
                HeaderField::Name => name.read(map, "name", Text),
                HeaderField::Value => value.read(map, "value", Base64 { path: "value" }),
                HeaderField::Text => value.read(map, "text", TextBytes),
            }?;
        }
        let missing = || A::Error::custom(format_args!("a header has none {values}"));
        Ok(v1::Header {
            name: name
                .found
                .ok_or_else(|| A::Error::custom("a header has no `name`"))?,
            value: value.found.ok_or_else(missing)?,
        })
    }
}
