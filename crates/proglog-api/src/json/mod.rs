//! The JSON of the server.
//!
//! # Records
//!
//! Each record is an object:
//!
//! | field | holds |
//! |---|---|
//! | `value`, `text` or `json` | the value: base64, text, or any JSON, of which every byte is kept |
//! | `key` or `key_text` | the key, if there is one: base64, or text |
//! | `timestamp` | the user's time, if there is one, in microseconds since 1970 |
//! | `headers` | an array of `{"name": "..", "value": "<base64>"}` or `{"name": "..", "text": ".."}` |
//! | `offset`, `appended_at` | assigned by the log, in what it answers alone |
//!
//! [`Record`] and [`AppendRequest`] are what clients send, [`StoredRecord`] what they get. [`Form`] chooses how records
//! are written; what is written in one form is read as the same record as in any other.
//!
//! JSON that is a value is nested at most 127 deep, and its escapes are whole characters, so that other parsers read it.
//!
//! ```
//! use proglog_api::json::{AppendRequest, Form, StoredRecord};
//!
//! let body = r#"{"records": [{"json": {"id": 7}, "key_text": "o-7"}, {"text": "paid"}]}"#;
//! let request: AppendRequest = serde_json::from_str(body)?;
//! assert_eq!(request.records[0].value, r#"{"id": 7}"#);
//!
//! let mut line = Vec::new();
//! Form::Text.write_record(&request.records[1], &mut line);
//! assert_eq!(line, br#"{"offset":0,"appended_at":0,"text":"paid"}"#);
//! assert_eq!(serde_json::from_slice::<StoredRecord>(&line)?.0, request.records[1]);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # The two calls on the default log
//!
//! | message | JSON | also read |
//! |---|---|---|
//! | [`ProduceRequest`] | `{"record": "aGVsbG8="}` | `{"record": {"value": "aGVsbG8="}}` |
//! | [`ProduceResponse`] | `{"offset": 7}` | |
//! | [`ConsumeRequest`] | `{"offset": 7}` | |
//! | [`ConsumeResponse`] | `{"record": "aGVsbG8="}` | `{"record": {"value": "aGVsbG8="}}` |
//!
//! The second column is the form that is written. Every message is both serialized and deserialized,
//! for clients and servers alike.
//!
//! - **`record`** is the record's value in base64: the standard alphabet, with padding, on one line
//!   (RFC 4648, section 4). Padding is required, so that a truncated text cannot pass for a whole one.
//!   The empty text is the empty record; `null` is an error.
//! - **A record object** has one field, `value`. Its `offset`, which clients and servers of the book
//!   send, may hold anything and is ignored: the log assigns it.
//! - **`offset`** is an integer from 0 to 2<sup>64</sup> - 1, without fraction or exponent, and not a
//!   string. Readers that store numbers as doubles, such as JavaScript, lose precision above
//!   2<sup>53</sup>.
//! - **Unknown fields** are an error in a request, so that no setting is silently ignored. They are
//!   skipped in a response, to which a newer server may add.
//!
//! Errors name the field and, for base64, the byte of the text, counted from 0. Reading a message
//! allocates its record and little else. Refusing one allocates at most a few times the input, mostly
//! for nested arrays. There is one exception: `serde_json` repeats a string in the place of an offset
//! in full, so servers should limit the input.
//!
//! ```
//! use proglog_api::json::{ConsumeResponse, ProduceRequest};
//!
//! let request: ProduceRequest = serde_json::from_str(r#"{"record": "aGVsbG8="}"#)?;
//! assert_eq!(request.record, "hello");
//!
//! let response = ConsumeResponse { record: request.record };
//! assert_eq!(serde_json::to_string(&response)?, r#"{"record":"aGVsbG8="}"#);
//!
//! let error = serde_json::from_str::<ProduceRequest>(r#"{"record": "aGVs*G8="}"#).unwrap_err();
//! assert!(error.to_string().starts_with("`record` is not base64: unexpected '*' at byte 4"));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod append;
mod base64;
mod fields;
mod raw;
mod read;
mod record;
mod write;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::append::{AppendRequest, AppendResponse, Durability, StreamResponse};
use self::read::{Object, Offset, Unknown};
pub use self::record::{Record, StoredRecord};
pub use self::write::{Form, UnknownForm};

/// A request to append one record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ProduceRequest {
    /// The value of the record to append.
    #[serde(serialize_with = "base64::serialize")]
    pub record: Bytes,
}

/// The response to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ProduceResponse {
    /// The offset that the log assigned to the record.
    pub offset: u64,
}

/// A request to read one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ConsumeRequest {
    /// The offset of the record.
    pub offset: u64,
}

/// The response to a read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ConsumeResponse {
    /// The value of the record.
    #[serde(serialize_with = "base64::serialize")]
    pub record: Bytes,
}

// Not derived: derived code accepts arrays for structs, and its errors do not name the field.

impl<'de> Deserialize<'de> for ProduceRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let unknown = Unknown::Refused;
        let record =
            Object::message("record", read::Record { unknown }, unknown).read(deserializer)?;
        Ok(Self { record })
    }
}

impl<'de> Deserialize<'de> for ProduceResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let offset = Object::message("offset", Offset, Unknown::Skipped).read(deserializer)?;
        Ok(Self { offset })
    }
}

impl<'de> Deserialize<'de> for ConsumeRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let offset = Object::message("offset", Offset, Unknown::Refused).read(deserializer)?;
        Ok(Self { offset })
    }
}

impl<'de> Deserialize<'de> for ConsumeResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let unknown = Unknown::Skipped;
        let record =
            Object::message("record", read::Record { unknown }, unknown).read(deserializer)?;
        Ok(Self { record })
    }
}
