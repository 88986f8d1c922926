//! The JSON of records: accepted forms, what is kept byte for byte, and the texts of errors.

use proglog_api::json::{AppendRequest, Form, Record, StoredRecord};
use proglog_api::v1;
use proptest::prelude::*;

const FORMS: [Form; 3] = [Form::Base64, Form::Text, Form::Json];

fn read(json: &str) -> v1::Record {
    let Record(record) = serde_json::from_str(json).expect(json);
    record
}

fn written(form: Form, record: &v1::Record) -> String {
    let mut written = Vec::new();
    form.write_record(record, &mut written);
    String::from_utf8(written).expect("JSON is UTF-8")
}

/// Asserts that `json` is not a record, with an error that begins with `error`.
#[track_caller]
fn assert_refused(json: &[u8], error: &str) {
    let shown = String::from_utf8_lossy(&json[..json.len().min(100)]);
    let got = serde_json::from_slice::<Record>(json)
        .expect_err(&shown)
        .to_string();
    assert!(got.starts_with(error), "{shown}: {got}");
    assert!(got.contains(" at line 1 column "), "{shown}: {got}");
}

#[test]
fn a_value_is_base64_text_or_json() {
    assert_eq!(read(r#"{"value": "aGk="}"#), v1::Record::new("hi"));
    assert_eq!(
        read(r#"{"text": "h\u00e9\n"}"#),
        v1::Record::new("h\u{e9}\n")
    );
    assert_eq!(read(r#"{"text": ""}"#), v1::Record::new(""));
    for json in [
        r#"{"a": [1.50, "\u0041"],"a":1}"#,
        "null",
        "-0.0e9",
        "\"x\"",
    ] {
        assert_eq!(
            read(&format!(r#"{{"json":  {json} }}"#)),
            v1::Record::new(json)
        );
    }
    assert_eq!(read("{\"json\": [1,\n 2]}"), v1::Record::new("[1,\n 2]"));
}

#[test]
fn the_other_fields_are_optional() {
    let record = v1::Record::new("v")
        .with_key("k")
        .with_timestamp(-5)
        .with_header("a", "1")
        .with_header("a", vec![0xff]);
    let json = r#"{"headers": [{"name": "a", "text": "1"}, {"value": "/w==", "name": "a"}],
        "timestamp": -5, "key": "aw==", "text": "v"}"#;
    assert_eq!(read(json), record);
    assert_eq!(
        read(r#"{"text": "v", "key_text": ""}"#),
        v1::Record::new("v").with_key("")
    );
    assert_eq!(
        read(r#"{"text": "v", "headers": []}"#),
        v1::Record::new("v")
    );
}

#[test]
fn each_form_is_written_where_it_loses_nothing() {
    let cases: [(&[u8], [&str; 3]); 7] = [
        (
            b"hi",
            [r#""value":"aGk=""#, r#""text":"hi""#, r#""text":"hi""#],
        ),
        (
            b"\xff",
            [
                r#""value":"/w==""#,
                r#""value":"/w==""#,
                r#""value":"/w==""#,
            ],
        ),
        (b"7", [r#""value":"Nw==""#, r#""text":"7""#, r#""json":7"#]),
        (
            b" 7",
            [r#""value":"IDc=""#, r#""text":" 7""#, r#""text":" 7""#],
        ),
        (
            b"[\n]",
            [r#""value":"Wwpd""#, r#""text":"[\n]""#, r#""text":"[\n]""#],
        ),
        (
            br#""\ud800""#,
            [
                r#""value":"Ilx1ZDgwMCI=""#,
                r#""text":"\"\\ud800\"""#,
                r#""text":"\"\\ud800\"""#,
            ],
        ),
        (b"", [r#""value":"""#, r#""text":"""#, r#""text":"""#]),
    ];
    for (value, expected) in cases {
        for (form, expected) in FORMS.into_iter().zip(expected) {
            let expected = format!(r#"{{"offset":0,"appended_at":0,{expected}}}"#);
            assert_eq!(written(form, &v1::Record::new(value.to_vec())), expected);
        }
    }
}

#[test]
fn fields_are_written_in_their_order_and_the_producer_is_not() {
    let record = v1::Record {
        offset: u64::MAX,
        appended_at: 5,
        producer: Some(v1::Producer::default()),
        ..v1::Record::new("[1]")
            .with_key("k")
            .with_timestamp(-1)
            .with_header("n", "{}")
            .with_header("m", vec![0xff])
    };
    assert_eq!(
        written(Form::Json, &record),
        r#"{"offset":18446744073709551615,"appended_at":5,"timestamp":-1,"key_text":"k","headers":[{"name":"n","text":"{}"},{"name":"m","value":"/w=="}],"json":[1]}"#
    );
}

#[test]
fn what_is_wrong_is_named() {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let cases = [
        (
            "{}".into(),
            "a record has none of `value`, `text` and `json`",
        ),
        (
            "[]".into(),
            "invalid type: sequence, expected a record such as",
        ),
        (
            r#""hi""#.into(),
            r#"invalid type: string "hi", expected a record such as"#,
        ),
        (
            r#"{"text": "", "json": 1}"#.into(),
            "more than one of `value`, `text` and `json`",
        ),
        (
            r#"{"text": "", "key": "", "key_text": ""}"#.into(),
            "more than one of `key` and `key_text`",
        ),
        (
            r#"{"text": "", "timestamp": 1, "timestamp": 1}"#.into(),
            "more than one `timestamp`",
        ),
        (
            r#"{"text": "", "offset": 1}"#.into(),
            r#"unknown field "offset" in a record"#,
        ),
        (
            r#"{"text": 7}"#.into(),
            "`text`: invalid type: integer `7`, expected text",
        ),
        (r#"{"text": null}"#.into(), "`text`: invalid type: null"),
        (
            r#"{"value": "a*"}"#.into(),
            "`value` is not base64: unexpected '*' at byte 1",
        ),
        (r#"{"key": "a"}"#.into(), "`key` is not base64"),
        (
            r#"{"text": "", "timestamp": 9223372036854775808}"#.into(),
            "`timestamp`: invalid value",
        ),
        (
            r#"{"text": "", "timestamp": 1e999}"#.into(),
            "`timestamp`: number out of range",
        ),
        (
            r#"{"text": "", "headers": {}}"#.into(),
            "invalid type: map, expected `headers` to be an array",
        ),
        (
            r#"{"text": "", "headers": [{"name": "a"}]}"#.into(),
            "`headers`: a header has none of `value`",
        ),
        (
            r#"{"text": "", "headers": [{"text": "a"}]}"#.into(),
            "`headers`: a header has no `name`",
        ),
        (
            r#"{"text": "", "headers": [{"name": "a", "x": 1}]}"#.into(),
            r#"`headers`: unknown field "x" in a header"#,
        ),
        (r#"{"text": "\ud800"}"#.into(), "`text`: "),
        (
            r#"{"json": "\ud800"}"#.into(),
            "`json`: it has a surrogate without its other half",
        ),
        (
            format!(r#"{{"json": {}}}"#, deep(1_000)),
            "`json`: its arrays and objects are more than 127 deep",
        ),
        (
            format!(r#"{{"json": {}}}"#, deep(1 << 20)),
            "`json`: its arrays and objects are more than 127 deep",
        ),
    ];
    for (json, error) in cases {
        assert_refused(json.as_bytes(), error);
    }
    assert_refused(b"{\"text\": \"\xff\"}", "`text`: ");
}

#[test]
fn a_request_has_records_and_nothing_else() {
    let request: AppendRequest =
        serde_json::from_str(r#"{"records": [{"text": "a"}, {"json": 1}]}"#).expect("a request");
    assert_eq!(
        request.records,
        [v1::Record::new("a"), v1::Record::new("1")]
    );
    for json in [
        "{}",
        "[]",
        r#"{"records": {}}"#,
        r#"{"records": [], "log": ""}"#,
        r#"{"records":[],"records":[]}"#,
    ] {
        assert!(
            serde_json::from_str::<AppendRequest>(json).is_err(),
            "{json}"
        );
    }
}

#[test]
fn records_above_the_limit_are_counted_and_take_no_memory() {
    let json = |len| {
        format!(
            r#"{{"records": [{}]}}"#,
            vec![r#"{"text":""}"#; len].join(",")
        )
    };
    for len in [10_000, 10_001, 100_000] {
        let json = json(len);
        let read = || {
            let request: AppendRequest = serde_json::from_str(&json).expect("a request");
            assert_eq!((request.len, request.records.len()), (len, 10_000));
        };
        let used = allocation_counter::measure(read).bytes_max;
        assert!(used < 4 << 20, "{len}: {used} bytes");
    }
}

#[test]
fn reading_a_value_allocates_it_once() {
    let text = "A".repeat(4 << 20);
    for (name, len) in [("value", 3 << 20), ("text", 4 << 20)] {
        let json = format!(r#"{{"{name}": "{text}"}}"#);
        let used = allocation_counter::measure(|| drop(read(&json))).bytes_total;
        assert!((len..len + 1024).contains(&used), "{name}: {used} bytes");
    }
    let json = format!(r#"{{"json": "{text}"}}"#);
    let used = allocation_counter::measure(|| drop(read(&json))).bytes_total;
    assert!(used < (4 << 20) + 1024, "{used} bytes");
}

fn records() -> impl Strategy<Value = v1::Record> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        "\\PC{0,10}".prop_map(String::into_bytes),
        r#"[ \[\]{}",:0-9\\un\n]{0,12}"#.prop_map(String::into_bytes),
        Just(br#"{"a":[1,{"b":"\u00e9"}]}"#.to_vec()),
    ];
    let header = ("\\PC{0,5}", bytes.clone());
    let headers = proptest::collection::vec(header, 0..3);
    let key = proptest::option::of(bytes.clone());
    let numbers = (any::<u64>(), any::<i64>(), any::<Option<i64>>());
    (bytes, key, headers, numbers).prop_map(|(value, key, headers, numbers)| {
        let mut record = v1::Record::new(value);
        record.key = key.map(Into::into);
        for (name, value) in headers {
            record = record.with_header(name, value);
        }
        (record.offset, record.appended_at, record.timestamp) = numbers;
        record
    })
}

proptest! {
    #[test]
    fn every_record_comes_back_from_every_form_on_one_line(record in records()) {
        for form in FORMS {
            let line = written(form, &record);
            prop_assert!(!line.contains(['\n', '\r']), "{line}");
            let StoredRecord(read) = serde_json::from_str(&line).expect(&line);
            prop_assert_eq!(&read, &record, "{}", line);
        }
    }
}
