//! Appends: batches in JSON and protobuf, streams of lines, conditions.

use std::io::Write;

use proglog_api::proglog::v1 as messages;
use proglog_api::v1;
use prost::Message;
use serde_json::{Value, json};

use crate::server::{Answer, Server, head, problem};

const RECORDS: &str = "/v1/logs/default/records";

/// The values of the log `default` as text.
fn texts(server: &Server) -> Vec<String> {
    let page = server.get(&format!("{RECORDS}?as=text&limit=10000")).json();
    let records = page["records"].as_array().unwrap().iter();
    records
        .map(|record| record["text"].as_str().unwrap().to_owned())
        .collect()
}

fn lines(server: &Server, query: &str, body: &str) -> Answer {
    let request = server.request(&format!("POST {RECORDS}{query}"));
    request
        .header("content-type", "application/x-ndjson")
        .send(body)
}

#[test]
fn a_batch_mixes_forms_and_is_read_in_each() {
    let server = Server::start();
    let body = r#"{"records": [
        {"json": {"id":  7}, "key_text": "o-7", "timestamp": -5, "headers": [{"name": "n", "text": "v"}]},
        {"text": "paid", "key": "/w=="}, {"value": "/w=="}]}"#;
    let appended = server.post(RECORDS, body);
    let durability = appended.header("proglog-durability").to_owned();
    assert_eq!(
        appended.json(),
        json!({"start_offset": 0, "end_offset": 3, "durability": durability})
    );
    let page = server.get(&format!("{RECORDS}?as=json"));
    assert!(
        page.text().contains(r#""json":{"id":  7}"#),
        "{}",
        page.text()
    );
    let page = page.json();
    let mut record = page["records"][0].clone();
    assert!(record["appended_at"].take().as_i64().unwrap() > 0);
    assert_eq!(
        record,
        json!({"offset": 0, "appended_at": null, "timestamp": -5, "key_text": "o-7", "json": {"id": 7},
            "headers": [{"name": "n", "text": "v"}]})
    );
    assert_eq!(page["records"][1]["text"], "paid");
    assert_eq!(page["records"][1]["key"], "/w==");
    assert_eq!(page["records"][2]["value"], "/w==");
    let base64 = server.get(RECORDS).json();
    assert_eq!(base64["records"][1]["value"], "cGFpZA==");
    assert_eq!(base64["records"][0]["key"], "by03");
}

#[test]
fn malformed_batches_are_named_and_append_nothing() {
    let server = Server::start();
    let deep = format!(
        r#"{{"records": [{{"json": {}1{}}}]}}"#,
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    for body in [
        "",
        "{}",
        "[]",
        r#"{"records": []}"#,
        r#"{"records": [{}]}"#,
        r#"{"records": [{"text": "a"}, {"text": "a", "value": ""}]}"#,
        r#"{"records": [{"text": "a", "offset": 1}]}"#,
        r#"{"records": [{"value": "a"}]}"#,
        r#"{"records": [{"text": "\ud800"}]}"#,
        r#"{"records": [{"text": "a", "timestamp": 99999999999999999999}]}"#,
        &deep,
    ] {
        let answer = server.post(RECORDS, body);
        assert_eq!(answer.problem(), problem(400, "malformed_body"), "{body}");
        assert!(answer.body.len() < 1_000);
    }
    for query in [
        "expected_offset=-1",
        "expected_offset=0&expected_offset=0",
        "sync=1",
        "on_conflict=x",
        "as=x",
        "x=1",
    ] {
        let answer = server.post(
            &format!("{RECORDS}?{query}"),
            r#"{"records": [{"text": "a"}]}"#,
        );
        assert_eq!(answer.problem(), problem(400, "malformed_query"), "{query}");
    }
    let typed = |kind: &str| {
        server
            .request(&format!("POST {RECORDS}"))
            .header("content-type", kind)
            .send("a=b")
    };
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/event-stream",
        "image/png",
    ] {
        let answer = typed(kind);
        assert_eq!(answer.problem(), problem(415, "unsupported_type"), "{kind}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("/raw"));
    }
    let gzip = server
        .request(&format!("POST {RECORDS}"))
        .header("content-encoding", "gzip")
        .send("x");
    assert_eq!(gzip.problem(), problem(415, "unsupported_encoding"));
    assert_eq!(server.get(RECORDS).json()["end_offset"], 0);
}

#[test]
fn batches_and_records_over_a_limit_are_413() {
    let server = Server::start();
    server.put(
        "/v1/logs/small",
        r#"{"record_bytes_max": 100, "batch_bytes_max": 1000}"#,
    );
    let batch = |len, text: &str| {
        let record = json!({ "text": text });
        let body = json!({"records": vec![record; len]}).to_string();
        server.post("/v1/logs/small/records", &body)
    };
    let answer = batch(10_001, "");
    assert_eq!(answer.problem(), problem(413, "body_too_large"));
    let answer = batch(1, &"a".repeat(101));
    assert_eq!(answer.problem(), problem(413, "record_too_large"));
    assert_eq!(answer.json()["bytes_max"], 100);
    assert_eq!(answer.json()["outcome"], "not_appended");
    let answer = server.post(
        RECORDS,
        &json!({"records": vec![json!({"text": ""}); 10_001]}).to_string(),
    );
    assert_eq!(answer.problem(), problem(413, "batch_too_large"));
    let answer = server.post(
        RECORDS,
        &json!({"records": vec![json!({"text": ""}); 10_000]}).to_string(),
    );
    assert_eq!(answer.json()["end_offset"], 10_000);
}

#[test]
fn protobuf_is_answered_in_protobuf() {
    let server = Server::start();
    let post = |request: &messages::AppendRequest| {
        let post = server.request(&format!("POST {RECORDS}"));
        post.header("content-type", "application/protobuf")
            .send(request.encode_to_vec())
    };
    let records = vec![v1::Record::new("a").with_key("k"), v1::Record::new("b")];
    let request = messages::AppendRequest {
        records,
        ..messages::AppendRequest::default()
    };
    let answer = post(&request);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/protobuf")
    );
    let response = messages::AppendResponse::decode(&*answer.body).unwrap();
    assert_eq!(
        (
            response.start_offset,
            response.end_offset,
            response.duplicate
        ),
        (0, 2, false)
    );
    assert_ne!(response.durability(), messages::Durability::Unspecified);
    assert_eq!(texts(&server), ["a", "b"]);

    let mut other = request.clone();
    other.log = "other".into();
    assert_eq!(
        post(&other).problem(),
        problem(400, "conflicting_parameters")
    );
    let mut moved = request.clone();
    moved.expected_offset = Some(0);
    assert_eq!(post(&moved).problem(), problem(412, "end_moved"));
    for (body, code) in [
        (Vec::new(), problem(400, "malformed_body")),
        (b"\xff".to_vec(), problem(400, "malformed_body")),
        // Empty records.
        ([0x12, 0].repeat(10_001), problem(413, "batch_too_large")),
        // Empty headers of one record, more than fit.
        (
            [
                &[0x12, 0xc2, 0x84, 0x40][..],
                &[0x42, 0].repeat((16 << 16) / 2 + 289),
            ]
            .concat(),
            problem(413, "record_too_large"),
        ),
    ] {
        let post = server.request(&format!("POST {RECORDS}"));
        let answer = post
            .header("content-type", "application/x-protobuf")
            .send(body);
        assert_eq!(answer.problem(), code);
    }
    assert_eq!(texts(&server), ["a", "b"]);
}

#[test]
fn an_append_that_comes_too_late_gets_what_it_has_missed() {
    let server = Server::start();
    let append = |query: &str| {
        server.post(
            &format!("{RECORDS}?{query}"),
            r#"{"records": [{"text": "x"}]}"#,
        )
    };
    assert_eq!(append("expected_offset=0").json()["end_offset"], 1);
    server.append("default", &["y", "z"]);
    let moved = append("expected_offset=1");
    assert_eq!(moved.problem(), problem(412, "end_moved"));
    let facts = moved.json();
    assert_eq!(
        (&facts["expected_offset"], &facts["end_offset"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(
        (&facts["outcome"], &facts["records"]),
        (&json!("not_appended"), &Value::Null)
    );

    let missed = append("expected_offset=1&on_conflict=records&as=text").json();
    let texts: Vec<_> = missed["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| &record["text"])
        .collect();
    assert_eq!(texts, ["y", "z"]);
    assert_eq!(missed["next_offset"], 3);
    assert_eq!(
        append(&format!("expected_offset={}", missed["next_offset"])).status,
        200
    );

    server.append("default", &["r"; 200]);
    let missed = append("expected_offset=4&on_conflict=records").json();
    assert_eq!(
        (
            missed["records"].as_array().unwrap().len(),
            &missed["next_offset"]
        ),
        (100, &json!(104))
    );
    // Past the end nothing is missed.
    let ahead = append("expected_offset=999&on_conflict=records");
    assert_eq!(
        (ahead.status, &ahead.json()["records"]),
        (412, &Value::Null)
    );
}

#[test]
fn lines_are_appended_as_a_stream() {
    let server = Server::start();
    let count = 2_500;
    let lines_of_body = (0..count).map(|n| format!("{{\"text\": \"{n}\"}}\r\n"));
    let body = lines_of_body.collect::<Vec<_>>().concat();
    let answer = lines(
        &server,
        "?expected_offset=0",
        &format!("\n{body}\n{{\"json\": 1}}"),
    );
    let summary = answer.json();
    assert_eq!(answer.status, 200, "{summary}");
    assert_eq!(
        (&summary["records"], &summary["skipped"]),
        (&json!(count + 1), &json!(0))
    );
    assert_eq!(
        (&summary["start_offset"], &summary["end_offset"]),
        (&json!(0), &json!(count + 1))
    );
    assert_eq!(summary["durability"], answer.header("proglog-durability"));
    let texts = texts(&server);
    assert!(
        texts[..count]
            .iter()
            .enumerate()
            .all(|(n, text)| *text == n.to_string())
    );
    let empty = lines(&server, "", "").json();
    assert_eq!(
        (&empty["records"], &empty["start_offset"]),
        (&json!(0), &Value::Null)
    );
}

#[test]
fn a_line_that_is_wrong_is_named_and_those_before_it_stay() {
    let server = Server::start();
    let answer = lines(
        &server,
        "",
        "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n{\"txt\": 1}\n{\"text\": \"c\"}\n",
    );
    assert_eq!(answer.problem(), problem(400, "malformed_body"));
    let facts = answer.json();
    assert_eq!((&facts["line"], &facts["records"]), (&json!(4), &json!(2)));
    assert!(
        facts["detail"]
            .as_str()
            .unwrap()
            .starts_with("line 4: unknown field \"txt\""),
        "{facts}"
    );
    assert_eq!(texts(&server), ["a", "b"]);

    let moved = lines(&server, "?expected_offset=1", "{\"text\": \"c\"}\n");
    assert_eq!(moved.problem(), problem(412, "end_moved"));
    assert_eq!(
        (&moved.json()["line"], &moved.json()["records"]),
        (&json!(1), &json!(0))
    );
    let large = format!("{{\"text\": \"{}\"}}\n", "a".repeat((1 << 20) + 1));
    assert_eq!(
        lines(&server, "", &large).problem(),
        problem(413, "record_too_large")
    );
    let endless = "a".repeat(2 << 20);
    assert_eq!(
        lines(&server, "", &endless).problem(),
        problem(413, "body_too_large")
    );
    assert_eq!(texts(&server), ["a", "b"]);
}

#[test]
fn each_line_of_a_slow_stream_is_appended_when_it_comes() {
    let server = Server::start();
    let request = server.request(&format!("POST {RECORDS}"));
    let request = request.header("content-type", "application/x-ndjson");
    let mut stream = request.header("transfer-encoding", "chunked").open();
    for n in 0..3 {
        let line = format!("{{\"text\": \"{n}\"}}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        stream.get_mut().write_all(chunk.as_bytes()).unwrap();
        let waited = server
            .get(&format!("{RECORDS}?from={n}&wait=60&as=text"))
            .json();
        assert_eq!(waited["records"][0]["text"], n.to_string());
    }
    stream.get_mut().write_all(b"0\r\n\r\n").unwrap();
    let answer = Answer::read(&mut stream, false);
    assert!(answer.text().contains("\"records\":3"), "{}", answer.text());
}

#[test]
fn what_a_client_has_sent_before_it_goes_is_appended() {
    let server = Server::start();
    let request = server.request(&format!("POST {RECORDS}"));
    let request = request.header("content-type", "application/x-ndjson");
    let mut stream = request.header("content-length", "1000").open();
    stream
        .get_mut()
        .write_all(b"{\"text\": \"whole\"}\n{\"text\": \"par")
        .unwrap();
    drop(stream);
    let waited = server.get(&format!("{RECORDS}?wait=60&as=text")).json();
    assert_eq!(waited["records"][0]["text"], "whole");
    assert_eq!(waited["end_offset"], 1);
}

#[test]
fn a_client_that_waits_for_continue_gets_it_or_the_error_at_once() {
    let server = Server::start();
    let post = |path: &str| {
        let request = server
            .request(&format!("POST {path}"))
            .header("expect", "100-continue");
        request.header("content-length", "31")
    };
    let mut stream = post(RECORDS).open();
    assert!(head(&mut stream).starts_with("http/1.1 100"));
    stream
        .get_mut()
        .write_all(br#"{"records": [{"text": "hello"}]}"#)
        .unwrap();
    let mut stream = post("/v1/logs/absent/records").open();
    assert_eq!(
        Answer::read(&mut stream, false).problem(),
        problem(404, "log_not_found")
    );
}
