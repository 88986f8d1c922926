//! Records as JSON text.

use std::io::Write as _;
use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;

use super::raw;
use crate::v1;

/// The form in which values, keys and headers are written where nothing is lost by it. Base64 is written elsewhere, record
/// by record: for text that is not UTF-8, for example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// All of them in base64.
    #[default]
    Base64,
    /// UTF-8 as text.
    Text,
    /// Values that are JSON on one line as that JSON, byte for byte, and other UTF-8 as text.
    Json,
}

/// The error for text that names no [`Form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownForm;

impl std::fmt::Display for UnknownForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of `base64`, `text` and `json`")
    }
}

impl std::error::Error for UnknownForm {}

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(name: &str) -> Result<Self, UnknownForm> {
        match name {
            "base64" => Ok(Self::Base64),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownForm),
        }
    }
}

impl Form {
    /// Appends the object of `record` to `to`, on one line and without a line break after it. The producer of the record is
    /// left out.
    ///
    /// ```
    /// use proglog_api::{json::Form, v1::Record};
    ///
    /// let record = Record::new(r#"{"id":7}"#).with_key("o-7");
    /// let mut written = Vec::new();
    /// Form::Json.write_record(&record, &mut written);
    /// assert_eq!(written, br#"{"offset":0,"appended_at":0,"key_text":"o-7","json":{"id":7}}"#);
    /// ```
    pub fn write_record(self, record: &v1::Record, to: &mut Vec<u8>) {
        to.reserve(256 + record.value.len().div_ceil(3) * 4);
        write_number(to, "{\"offset\":", record.offset);
        write_number(to, ",\"appended_at\":", record.appended_at);
        if let Some(timestamp) = record.timestamp {
            write_number(to, ",\"timestamp\":", timestamp);
        }
        if let Some(key) = &record.key {
            self.write_bytes(to, [",\"key\":", ",\"key_text\":"], key);
        }
        for (at, header) in record.headers.iter().enumerate() {
            let before = if at == 0 { ",\"headers\":[" } else { "," };
            to.extend_from_slice(before.as_bytes());
            to.extend_from_slice(b"{\"name\":");
            write_text(to, &header.name);
            self.write_bytes(to, [",\"value\":", ",\"text\":"], &header.value);
            to.push(b'}');
        }
        if !record.headers.is_empty() {
            to.push(b']');
        }
        if self == Self::Json && is_json_on_one_line(&record.value) {
            to.extend_from_slice(b",\"json\":");
            to.extend_from_slice(&record.value);
        } else {
            self.write_bytes(to, [",\"value\":", ",\"text\":"], &record.value);
        }
        to.push(b'}');
    }

    /// Writes a field that is either base64 or text, whose names are `names`.
    fn write_bytes(self, to: &mut Vec<u8>, [base64, text]: [&str; 2], bytes: &[u8]) {
        match str::from_utf8(bytes) {
            Ok(utf8) if self != Self::Base64 => {
                to.extend_from_slice(text.as_bytes());
                write_text(to, utf8);
            }
            _ => {
                to.extend_from_slice(base64.as_bytes());
                write_base64(to, bytes);
            }
        }
    }
}

fn write_number(to: &mut Vec<u8>, before: &str, number: impl std::fmt::Display) {
    write!(to, "{before}{number}").expect("memory takes all that is written");
}

fn write_text(to: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(to, text).expect("memory takes all that is written");
}

fn write_base64(to: &mut Vec<u8>, bytes: &[u8]) {
    to.push(b'"');
    let start = to.len();
    to.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut to[start..]);
    debug_assert_eq!(written, Ok(to.len() - start));
    to.push(b'"');
}

/// Returns whether `bytes` come back unchanged as JSON within JSON on one line.
fn is_json_on_one_line(bytes: &[u8]) -> bool {
    if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return false;
    }
    let read = serde_json::from_slice::<&RawValue>(bytes);
    // White space around it would be lost.
    read.is_ok_and(|json| json.get().len() == bytes.len() && raw::check(json.get()).is_ok())
}
