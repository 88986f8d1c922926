//! Deserializers for objects with one relevant field, with errors that name it.

use std::fmt;

use bytes::Bytes;
use serde::de::{
    DeserializeSeed, Deserializer, Error, Expected, IgnoredAny, MapAccess, Unexpected, Visitor,
};

use super::base64;

/// The treatment of unknown fields.
#[derive(Clone, Copy)]
pub(super) enum Unknown {
    Refused,
    Skipped,
}

/// The relevant field of an object.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    /// The name in errors, with the name of the enclosing object.
    path: &'static str,
    /// A field that may be present and is ignored.
    ignored: Option<&'static str>,
    unknown: Unknown,
}

/// An object whose `field` is deserialized by `seed`.
pub(super) struct Object<S> {
    field: Field,
    seed: S,
}

impl<S> Object<S> {
    /// A message: an object with a single field, `name`.
    pub(super) fn message(name: &'static str, seed: S, unknown: Unknown) -> Self {
        let field = Field {
            name,
            path: name,
            ignored: None,
            unknown,
        };
        Self { field, seed }
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Object<S> {
    pub(super) fn read<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        // Not `deserialize_map`: `serde_json` would repeat a long string in its error in full.
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for Object<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field `{}`", self.field.path)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<S::Value, E> {
        Err(not_an_object(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Value, A::Error> {
        let mut value = None;
        while let Some(wanted) = map.next_key_seed(self.field)? {
            if !wanted {
                map.next_value::<IgnoredAny>()?;
            } else if value.is_some() {
                return Err(Error::duplicate_field(self.field.path));
            } else {
                value = Some(map.next_value_seed(self.seed)?);
            }
        }
        value.ok_or_else(|| Error::missing_field(self.field.path))
    }
}

/// Returns the error of text in the place of an object, which shows only its beginning.
pub(super) fn not_an_object<E: Error>(text: &str, expected: &dyn Expected) -> E {
    let text = format!("string {}", Shortened(text));
    E::invalid_type(Unexpected::Other(&text), expected)
}

/// Deserializes a field's name to whether it is that of the relevant field.
impl<'de> DeserializeSeed<'de> for Field {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Field {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        let known = name == self.name || self.ignored == Some(name);
        match self.unknown {
            Unknown::Refused if !known => {
                let (name, expected) = (Shortened(name), self.path);
                Err(E::custom(format_args!(
                    "unknown field {name}, expected `{expected}`"
                )))
            }
            Unknown::Refused | Unknown::Skipped => Ok(name == self.name),
        }
    }
}

/// The field `record`: base64, or an object that holds it as `value`.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) unknown: Unknown,
}

impl<'de> DeserializeSeed<'de> for Record {
    type Value = Bytes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Record {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`record` to be base64 text or an object with the field `value`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Base64 { path: "record" }.visit_str(text)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bytes, A::Error> {
        let path = "record.value";
        let unknown = self.unknown;
        let field = Field {
            name: "value",
            path,
            ignored: Some("offset"),
            unknown,
        };
        Object {
            field,
            seed: Base64 { path },
        }
        .visit_map(map)
    }
}

/// Base64 text, in the field `path`.
#[derive(Clone, Copy)]
pub(super) struct Base64 {
    pub(super) path: &'static str,
}

impl<'de> DeserializeSeed<'de> for Base64 {
    type Value = Bytes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Base64 {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be base64 text", self.path)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        base64::decode(text)
            .map_err(|what| E::custom(format_args!("`{}` is not base64: {what}", self.path)))
    }
}

/// The field `offset`.
///
/// It uses `deserialize_u64`, so that it also works with `serde_json`'s feature `arbitrary_precision`,
/// for which `deserialize_any` yields maps in the place of numbers.
#[derive(Clone, Copy)]
pub(super) struct Offset;

impl<'de> DeserializeSeed<'de> for Offset {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_u64(self)
    }
}

impl Visitor<'_> for Offset {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`offset` to be an integer from 0 to {}", u64::MAX)
    }

    fn visit_u64<E: Error>(self, offset: u64) -> Result<u64, E> {
        Ok(offset)
    }

    fn visit_i64<E: Error>(self, offset: i64) -> Result<u64, E> {
        u64::try_from(offset).map_err(|_| E::invalid_value(Unexpected::Signed(offset), &self))
    }
}

/// The beginning of an input, quoted for an error.
pub(super) struct Shortened<'a>(pub(super) &'a str);

impl Shortened<'_> {
    const LEN_MAX: usize = 40;
}

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = self.0.split_at(self.0.floor_char_boundary(Self::LEN_MAX));
        let more = if rest.is_empty() { "" } else { "..." };
        write!(f, "{shown:?}{more}")
    }
}
