//! Messages in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proglog_api::json::{ConsumeRequest, ConsumeResponse, ProduceRequest, ProduceResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Whatever is read as a message says what the message says, and is written and read again.
pub(crate) fn check(bytes: &[u8]) {
    let record = |value: &Value| {
        let record = &value["record"];
        let text = record.as_str().or_else(|| record["value"].as_str());
        text.map(|text| STANDARD.decode(text).expect("it was read"))
    };
    if let Some((read, value)) = check_as::<ProduceRequest>(bytes) {
        assert_eq!(record(&value).as_deref(), Some(&read.record[..]));
    }
    if let Some((read, value)) = check_as::<ConsumeResponse>(bytes) {
        assert_eq!(record(&value).as_deref(), Some(&read.record[..]));
    }
    if let Some((read, value)) = check_as::<ConsumeRequest>(bytes) {
        assert_eq!(value["offset"].as_u64(), Some(read.offset));
    }
    if let Some((read, value)) = check_as::<ProduceResponse>(bytes) {
        assert_eq!(value["offset"].as_u64(), Some(read.offset));
    }
}

fn check_as<T>(bytes: &[u8]) -> Option<(T, Value)>
where
    T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug,
{
    let read = serde_json::from_slice::<T>(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("it can be written");
    assert_eq!(
        serde_json::from_slice::<T>(&written).ok().as_ref(),
        Some(&read)
    );
    // What is in members that no message has is passed over: it need not be Unicode.
    let value = serde_json::from_slice(bytes).ok()?;
    Some((read, value))
}
