//! The server's JSON: serialized forms, accepted forms, and the texts of errors.

use std::{fmt::Debug, str::FromStr};

use bytes::Bytes;
use proglog_api::json::{ConsumeRequest, ConsumeResponse, ProduceRequest, ProduceResponse};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

fn produce(value: &'static [u8]) -> ProduceRequest {
    ProduceRequest {
        record: Bytes::from_static(value),
    }
}

fn consumed(value: &'static [u8]) -> ConsumeResponse {
    ConsumeResponse {
        record: Bytes::from_static(value),
    }
}

/// Asserts that `json` deserializes to `message` from text, from a reader, and from a `Value`.
#[track_caller]
fn assert_reads<T: DeserializeOwned + PartialEq + Debug>(json: &str, message: &T) {
    let value = serde_json::Value::from_str(json).expect("the test's JSON is well-formed");
    for read in [
        serde_json::from_str(json),
        serde_json::from_reader(json.as_bytes()),
        serde_json::from_value(value),
    ] {
        assert_eq!(read.as_ref().ok(), Some(message), "{json}: {read:?}");
    }
}

/// Asserts that `message` serializes to exactly `json` and back.
#[track_caller]
fn assert_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T, json: &str) {
    assert_eq!(serde_json::to_string(message).ok().as_deref(), Some(json));
    assert_reads(json, message);
}

/// Asserts that `json` is not a `T`, with an error that begins with `error`; the line and column follow.
#[track_caller]
fn assert_refused<T: DeserializeOwned + Debug>(json: &str, error: &str) {
    let got = serde_json::from_str::<T>(json).expect_err(json).to_string();
    assert!(
        got.starts_with(error) && got.contains(" at line 1 column "),
        "{json}: {got}"
    );
}

#[test]
fn each_message_is_written_as_the_contract_says_and_read_back() {
    assert_json(&produce(b"hello"), r#"{"record":"aGVsbG8="}"#);
    assert_json(&ProduceResponse { offset: 7 }, r#"{"offset":7}"#);
    assert_json(&ConsumeRequest { offset: 7 }, r#"{"offset":7}"#);
    assert_json(&consumed(b"hello"), r#"{"record":"aGVsbG8="}"#);
}

#[test]
fn values_of_every_length_and_every_byte_come_back() {
    for len in 0..=256 {
        let record: Bytes = (0..=u8::MAX).rev().cycle().take(len).collect();
        let json = serde_json::to_string(&ProduceRequest {
            record: record.clone(),
        })
        .unwrap();
        assert_reads(&json, &ProduceRequest { record });
    }
}

#[test]
fn alphabet_is_the_standard_one_with_padding() {
    assert_json(
        &produce(&[0xfb, 0xff, 0xbf, 0xff]),
        r#"{"record":"+/+//w=="}"#,
    );
}

#[test]
fn record_may_be_an_object_with_a_value() {
    assert_reads(r#"{"record": {"value": "aGVsbG8="}}"#, &produce(b"hello"));
    assert_reads(r#"{"record": {"value": "aGVsbG8="}}"#, &consumed(b"hello"));
}

#[test]
fn offset_in_a_record_object_is_ignored() {
    for offset in [
        "0",
        "18446744073709551616",
        "-1.5",
        "null",
        r#""x""#,
        r#"{"a": [1]}"#,
    ] {
        let after = format!(r#"{{"record": {{"value": "aGVsbG8=", "offset": {offset}}}}}"#);
        let before = format!(r#"{{"record": {{"offset": {offset}, "value": "aGVsbG8="}}}}"#);
        assert_eq!(
            serde_json::from_str::<ProduceRequest>(&after).unwrap(),
            produce(b"hello")
        );
        assert_eq!(
            serde_json::from_str::<ConsumeResponse>(&before).unwrap(),
            consumed(b"hello")
        );
    }
}

#[test]
fn empty_text_is_the_empty_record() {
    assert_json(&produce(b""), r#"{"record":""}"#);
    assert_reads(r#"{"record": {"value": ""}}"#, &produce(b""));
}

#[test]
fn escapes_in_the_json_string_are_undone_before_base64_is_read() {
    assert_reads(
        r#"{"\u0072ecord": "\/\u002b\/\/"}"#,
        &produce(&[0xff, 0xef, 0xff]),
    );
}

#[test]
fn every_u64_is_an_offset() {
    for offset in [0, 1, (1 << 53) + 1, u64::MAX] {
        assert_json(
            &ConsumeRequest { offset },
            &format!(r#"{{"offset":{offset}}}"#),
        );
        assert_json(
            &ProduceResponse { offset },
            &format!(r#"{{"offset":{offset}}}"#),
        );
    }
}

#[test]
fn what_is_not_a_u64_is_no_offset() {
    let cases = [
        ("-1", "invalid value: integer `-1`"),
        (
            "-9223372036854775808",
            "invalid value: integer `-9223372036854775808`",
        ),
        ("1.5", "invalid type: floating point `1.5`"),
        ("1.0", "invalid type: floating point `1.0`"),
        ("1e3", "invalid type: floating point `1000.0`"),
        ("-0", "invalid type: floating point `-0.0`"),
        (
            "18446744073709551616",
            "invalid type: floating point `1.8446744073709552e",
        ),
        (r#""7""#, r#"invalid type: string "7""#),
        ("null", "invalid type: null"),
        ("true", "invalid type: boolean `true`"),
        ("[7]", "invalid type: sequence"),
        (r#"{"offset": 7}"#, "invalid type: map"),
    ];
    for (offset, error) in cases {
        let json = format!(r#"{{"offset": {offset}}}"#);
        for got in [
            serde_json::from_str::<ConsumeRequest>(&json)
                .unwrap_err()
                .to_string(),
            serde_json::from_str::<ProduceResponse>(&json)
                .unwrap_err()
                .to_string(),
        ] {
            let expected = ", expected `offset` to be an integer from 0 to 18446744073709551615 at";
            assert!(
                got.starts_with(error) && got.contains(expected),
                "{json}: {got}"
            );
        }
    }
}

#[test]
fn what_is_neither_text_nor_an_object_is_no_record() {
    let cases = [
        ("7", "invalid type: integer `7`"),
        ("1.5", "invalid type: floating point `1.5`"),
        ("null", "invalid type: null"),
        ("false", "invalid type: boolean `false`"),
        ("[104, 105]", "invalid type: sequence"),
    ];
    for (value, error) in cases {
        assert_refused::<ProduceRequest>(
            &format!(r#"{{"record": {value}}}"#),
            &format!("{error}, expected `record` to be base64 text or an object with the field"),
        );
        assert_refused::<ProduceRequest>(
            &format!(r#"{{"record": {{"value": {value}}}}}"#),
            &format!("{error}, expected `record.value` to be base64 text"),
        );
    }
}

#[test]
fn what_is_not_an_object_is_no_message() {
    let cases = [
        (r#"["aGVsbG8="]"#, "invalid type: sequence"),
        (r#""aGVsbG8=""#, r#"invalid type: string "aGVsbG8=""#),
        ("null", "invalid type: null"),
        ("7", "invalid type: integer `7`"),
    ];
    for (json, error) in cases {
        let record = format!("{error}, expected an object with the field `record`");
        assert_refused::<ProduceRequest>(json, &record);
        assert_refused::<ConsumeResponse>(json, &record);
        let offset = format!("{error}, expected an object with the field `offset`");
        assert_refused::<ConsumeRequest>(json, &offset);
        assert_refused::<ProduceResponse>(json, &offset);
    }
}

#[test]
fn missing_field_is_named() {
    assert_refused::<ProduceRequest>("{}", "missing field `record`");
    assert_refused::<ProduceRequest>(r#"{"record": {}}"#, "missing field `record.value`");
    assert_refused::<ProduceRequest>(
        r#"{"record": {"offset": 0}}"#,
        "missing field `record.value`",
    );
    assert_refused::<ProduceResponse>("{}", "missing field `offset`");
    assert_refused::<ConsumeRequest>("{}", "missing field `offset`");
    assert_refused::<ConsumeResponse>("{}", "missing field `record`");
}

#[test]
fn duplicate_field_is_named() {
    let record = r#"{"record": "aGk=", "record": "aGk="}"#;
    assert_refused::<ProduceRequest>(record, "duplicate field `record`");
    assert_refused::<ConsumeResponse>(record, "duplicate field `record`");
    let value = r#"{"record": {"value": "aGk=", "value": "aGk="}}"#;
    assert_refused::<ProduceRequest>(value, "duplicate field `record.value`");
    let offset = r#"{"offset": 1, "offset": 1}"#;
    assert_refused::<ConsumeRequest>(offset, "duplicate field `offset`");
    assert_refused::<ProduceResponse>(offset, "duplicate field `offset`");
}

#[test]
fn unknown_field_in_a_request_is_named() {
    let request = r#"{"record": "aGk=", "key": "aGk="}"#;
    assert_refused::<ProduceRequest>(request, r#"unknown field "key", expected `record`"#);
    let record = r#"{"record": {"value": "aGk=", "key": "aGk="}}"#;
    assert_refused::<ProduceRequest>(record, r#"unknown field "key", expected `record.value`"#);
    let offset = r#"{"offset": 1, "limit": 5}"#;
    assert_refused::<ConsumeRequest>(offset, r#"unknown field "limit", expected `offset`"#);
}

#[test]
fn unknown_field_in_a_response_is_skipped() {
    let record = r#"{"lag": {"a": [1]}, "record": {"term": 1, "value": "aGk=", "type": 2}}"#;
    assert_reads(record, &consumed(b"hi"));
    assert_reads(
        r#"{"offset": 7, "log": "default"}"#,
        &ProduceResponse { offset: 7 },
    );
}

#[test]
fn names_of_fields_are_case_sensitive() {
    let error = r#"unknown field "Record", expected `record`"#;
    assert_refused::<ProduceRequest>(r#"{"Record": "aGk="}"#, error);
}

#[test]
fn bad_base64_is_refused_with_its_place() {
    let cases = [
        ("aGVs*G8=", "unexpected '*' at byte 4"),
        ("aGVs bG8=", "unexpected ' ' at byte 4"),
        ("-_-_", "unexpected '-' at byte 0"),
        ("aGk=aGk=", "unexpected '=' at byte 3"),
        ("aGk\u{e9}", "unexpected '\u{e9}' at byte 3"),
        (
            "aGVsbG8",
            "the text ends at byte 7, within a group of four characters",
        ),
        (
            "aGVsb",
            "the text ends at byte 5, within a group of four characters",
        ),
        (
            "aGl=",
            "'l' at byte 2 ends it with bits beyond the last byte",
        ),
    ];
    for (text, error) in cases {
        let bare = json!({ "record": text }).to_string();
        let error_bare = format!("`record` is not base64: {error}");
        assert_refused::<ProduceRequest>(&bare, &error_bare);
        assert_refused::<ConsumeResponse>(&bare, &error_bare);
        let object = json!({ "record": { "value": text } }).to_string();
        let error_object = format!("`record.value` is not base64: {error}");
        assert_refused::<ProduceRequest>(&object, &error_object);
    }
}

#[test]
fn line_breaks_in_base64_are_refused() {
    let error = r"`record` is not base64: unexpected '\n' at byte 4";
    assert_refused::<ProduceRequest>(r#"{"record": "aGVs\nbG8="}"#, error);
}

#[test]
fn reading_allocates_little_beside_the_record() {
    let text_len = 4 << 20;
    let text = "A".repeat(text_len);
    let record_len = (text_len / 4 * 3) as u64;
    for json in [
        format!(r#"{{"record": "{text}"}}"#),
        format!(r#"{{"record": {{"offset": "{text}", "value": "{text}"}}}}"#),
    ] {
        let read = || drop(serde_json::from_str::<ProduceRequest>(&json).unwrap());
        let allocated = allocation_counter::measure(read).bytes_total;
        assert!(
            (record_len..record_len + 1024).contains(&allocated),
            "{allocated} bytes"
        );
    }
}

#[test]
fn errors_show_only_the_beginning_of_long_input() {
    let long = "\u{e9}".repeat(1 << 20);
    let shown = format!("\"{}\"...", "\u{e9}".repeat(20));
    assert_refused::<ProduceRequest>(
        &format!(r#""{long}""#),
        &format!("invalid type: string {shown}"),
    );
    let unknown = format!("unknown field {shown}");
    assert_refused::<ProduceRequest>(&format!(r#"{{"{long}": 1}}"#), &unknown);
    assert_refused::<ProduceRequest>(&format!(r#"{{"record": {{"{long}": 1}}}}"#), &unknown);
}

#[test]
fn refusing_allocates_at_most_four_times_the_input() {
    let text = "\x7f".repeat(1 << 20); // `Debug` writes each in six bytes
    let nested = "[".repeat(1 << 20);
    for json in [
        format!(r#""{text}""#),
        format!(r#"{{"{text}": 1}}"#),
        format!(r#"{{"record": "{text}"}}"#),
        format!(r#"{{"record": {{"{text}": 1}}}}"#),
        format!(r#"{{"record": {{"value": [{text}]}}}}"#),
        format!(r#"{{"record": {{"offset": {nested}}}}}"#),
        format!(r#"{{"record": {nested}}}"#),
    ] {
        let read = || drop(serde_json::from_str::<ProduceRequest>(&json).unwrap_err());
        let allocated = allocation_counter::measure(read).bytes_max;
        assert!(
            allocated <= 4 * json.len() as u64,
            "{} bytes: {allocated}",
            json.len()
        );
    }
}
