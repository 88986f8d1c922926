//! Fields of objects: their names, and values of which errors name the field.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::raw;
use super::read::{Shortened, Unknown};

/// The names of the fields of an object.
pub(super) struct Names<F> {
    /// What the fields belong to, for errors.
    pub(super) of: &'static str,
    pub(super) find: fn(&str) -> Option<F>,
    pub(super) unknown: Unknown,
}

impl<F> Names<F> {
    /// Reads the name of the next known field.
    pub(super) fn next<'de, A: MapAccess<'de>>(&self, map: &mut A) -> Result<Option<F>, A::Error> {
        while let Some(found) = map.next_key_seed(self)? {
            if found.is_some() {
                return Ok(found);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }
}

impl<'de, F> DeserializeSeed<'de> for &Names<F> {
    type Value = Option<F>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<F>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<F> Visitor<'_> for &Names<F> {
    type Value = Option<F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<F>, E> {
        match ((self.find)(name), self.unknown) {
            (None, Unknown::Refused) => {
                let (name, of) = (Shortened(name), self.of);
                Err(E::custom(format_args!("unknown field {name} in {of}")))
            }
            (found, _) => Ok(found),
        }
    }
}

/// A value that an object has at most once, in a field of one of several names.
pub(super) struct Once<T> {
    names: &'static str,
    pub(super) found: Option<T>,
}

impl<T> Once<T> {
    /// `names` are for the error of a second one.
    pub(super) fn new(names: &'static str) -> Self {
        Self { names, found: None }
    }

    /// Reads the value of the field `name`, which errors name.
    pub(super) fn read<'de, A, S>(
        &mut self,
        map: &mut A,
        name: &str,
        seed: S,
    ) -> Result<(), A::Error>
    where
        A: MapAccess<'de>,
        S: DeserializeSeed<'de, Value = T>,
    {
        if self.found.is_some() {
            let names = self.names;
            return Err(A::Error::custom(format_args!("more than one {names}")));
        }
        let read = map.next_value_seed(seed);
        let value = read.map_err(|error| {
            let text = error.to_string();
            if text.contains(&format!("`{name}`")) {
                error
            } else {
                A::Error::custom(format_args!("`{name}`: {text}"))
            }
        })?;
        self.found = Some(value);
        Ok(())
    }
}

/// Text, whose bytes are the value.
pub(super) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_string(self)
    }
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
}

/// JSON, whose text is the value, without the white space around it.
pub(super) struct Json;

impl<'de> DeserializeSeed<'de> for Json {
    type Value = Bytes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bytes, D::Error> {
        let json = <Box<RawValue> as serde::Deserialize>::deserialize(deserializer)?;
        raw::check(json.get()).map_err(D::Error::custom)?;
        Ok(Bytes::from(Box::<str>::from(json).into_boxed_bytes()))
    }
}
