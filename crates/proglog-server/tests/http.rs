//! The two calls, valid and malformed, on the router without connections.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use proglog_api::{json, v1};
use proglog_log::{MemoryLog, Offset};
use proglog_server::{ServerOptions, router};
use prost::Message;
use serde_json::json;
use support::router::{Answer, call, get, in_drops, post, problem};

const MIB: usize = 1 << 20;

/// A router over a log of the records `hello` and `world`.
fn two_records() -> Router {
    let log = MemoryLog::new();
    log.append_batch(["hello", "world"]).unwrap();
    router(Arc::new(log))
}

/// Appends in protobuf, and asserts that it took no more than a few times the limit in memory.
fn produce_protobuf(body: Body) -> Answer {
    let router = router(Arc::new(MemoryLog::new()));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    let headers = [("content-type", "application/protobuf")];
    let mut answer = None;
    let used = allocation_counter::measure(|| {
        answer = Some(runtime.block_on(call(&router, ("POST", "/"), &headers, body)));
    });
    assert!(used.bytes_max < 5 * MIB as u64, "{} bytes", used.bytes_max);
    answer.unwrap()
}

fn produce_json(value: Vec<u8>) -> Vec<u8> {
    let record = value.into();
    serde_json::to_vec(&json::ProduceRequest { record }).unwrap()
}

#[tokio::test]
async fn a_log_that_is_only_read_is_served_and_refuses_appends() {
    let log = MemoryLog::new();
    log.append("hello").unwrap();
    let router = ServerOptions::new().read_only_router(Arc::new(log.clone()));
    let answer = get(&router, "/?offset=0", "").await;
    assert_eq!(answer.body, r#"{"record":"aGVsbG8="}"#);
    let answer = post(&router, r#"{"record": "aGVsbG8="}"#).await;
    assert_eq!(answer.problem(), (403, "read_only".into()));
    assert_eq!(answer.json()["outcome"], "not_appended");
    assert_eq!(log.len(), 1);
}

#[tokio::test]
async fn a_record_is_appended_and_read_exactly_as_the_book_does() {
    let router = router(Arc::new(MemoryLog::new()));
    for offset in 0..3 {
        let answer = post(&router, r#"{"record": "aGVsbG8="}"#).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.body, format!(r#"{{"offset":{offset}}}"#));
    }
    let answer = get(&router, "/", r#"{"offset": 2}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body, r#"{"record":"aGVsbG8="}"#);
}

#[tokio::test]
async fn a_record_object_is_taken_too() {
    let router = router(Arc::new(MemoryLog::new()));
    let answer = post(&router, r#"{"record": {"value": "aGVsbG8=", "offset": 9}}"#).await;
    assert_eq!(answer.body, r#"{"offset":0}"#);
    let answer = get(&router, "/?offset=0", "").await;
    assert_eq!(answer.body, r#"{"record":"aGVsbG8="}"#);
}

#[tokio::test]
async fn query_and_body_name_the_same_record_whatever_the_content_type() {
    let router = two_records();
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "nonsense",
    ] {
        let kind = [("content-type", kind)];
        for (uri, body) in [
            ("/?offset=1", ""),
            ("/", r#"{"offset":1}"#),
            ("/?offset=1", r#"{"offset":1}"#),
            ("/?%6Fffset=%31", ""),
        ] {
            let answer = call(&router, ("GET", uri), &kind, body).await;
            assert_eq!(answer.body, r#"{"record":"d29ybGQ="}"#, "{uri} {body}");
        }
        let answer = call(&router, ("POST", "/"), &kind, r#"{"record":""}"#).await;
        assert_eq!(answer.status, 200);
    }
    let answer = get(&router, "/?offset=0", r#"{"offset":1}"#).await;
    assert_eq!(answer.problem(), problem(400, "conflicting_offsets"));
}

#[tokio::test]
async fn a_record_that_is_not_there_is_404_with_the_bounds_of_the_log() {
    for offset in [2, 1_000_000, u64::MAX] {
        let answer = get(&two_records(), "/", format!(r#"{{"offset":{offset}}}"#)).await;
        assert_eq!(answer.problem(), problem(404, "record_not_found"));
        let facts = answer.json();
        assert_eq!(facts["offset"], json!(offset));
        assert_eq!(facts["start_offset"], 0);
        assert_eq!(facts["end_offset"], 2);
    }
}

#[tokio::test]
async fn malformed_bodies_are_400_and_append_nothing() {
    let log = MemoryLog::new();
    let router = router(Arc::new(log.clone()));
    let bodies: &[&[u8]] = &[
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        br#"{"record":null}"#,
        br#"{"record":7}"#,
        br#"{"record":"a"}"#,
        br#"{"record":"aGVs*G8="}"#,
        br#"{"record":{}}"#,
        br#"{"record":"","record":""}"#,
        br#"{"record":"","key":""}"#,
        br#"{"record":""} x"#,
    ];
    for &body in bodies {
        let answer = post(&router, body).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!(answer.problem(), problem(400, "malformed_body"), "{shown}");
    }
    let answer = call(&router, ("POST", "/?offset=3"), &[], r#"{"record":""}"#).await;
    assert_eq!(answer.problem(), problem(400, "malformed_query"));
    assert_eq!(log.end_offset(), Offset::ZERO);
}

#[tokio::test]
async fn malformed_offsets_are_400() {
    let router = two_records();
    let huge = format!("{}0", u64::MAX);
    for text in ["", "-1", "+1", "%2B1", "1.5", "1e3", "x", " 1", &huge] {
        let answer = get(
            &router,
            &format!("/?offset={}", text.replace(' ', "%20")),
            "",
        )
        .await;
        assert_eq!(answer.problem(), problem(400, "malformed_query"), "{text}");
    }
    for query in ["offset=1&offset=1", "limit=1", "offset", "offset=1&x"] {
        let answer = get(&router, &format!("/?{query}"), "").await;
        assert_eq!(answer.problem(), problem(400, "malformed_query"), "{query}");
    }
    for offset in ["-1", r#""1""#, "1.5", "null", huge.as_str(), "{}", "[1]"] {
        let answer = get(&router, "/", format!(r#"{{"offset":{offset}}}"#)).await;
        assert_eq!(answer.problem(), problem(400, "malformed_body"), "{offset}");
    }
    assert_eq!(
        get(&router, "/", "").await.problem(),
        problem(400, "missing_offset")
    );
    let long = format!(r#"{{"offset":{:4096}}}"#, 1);
    assert_eq!(
        get(&router, "/", long).await.problem(),
        problem(413, "body_too_large")
    );
}

#[tokio::test]
async fn protobuf_is_answered_in_protobuf_with_the_whole_record() {
    let router = router(Arc::new(MemoryLog::new()));
    let record = v1::Record::new("hello")
        .with_key("k")
        .with_header("n", "v")
        .with_timestamp(-5);
    let record = Some(record);
    for kind in ["application/protobuf", "Application/X-Protobuf; charset=x"] {
        let headers = [("content-type", kind)];
        let body = v1::ProduceRequest {
            record: record.clone(),
        }
        .encode_to_vec();
        let answer = call(&router, ("POST", "/"), &headers, body).await;
        let kind = kind.split(';').next().unwrap().to_lowercase();
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, &*kind)
        );
        let offset = v1::ProduceResponse::decode(answer.body).unwrap().offset;

        let body = v1::ConsumeRequest { offset }.encode_to_vec();
        for (uri, body) in [
            ("/".into(), body),
            (format!("/?offset={offset}"), Vec::new()),
        ] {
            let answer = call(&router, ("GET", &uri), &headers, body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("content-type")),
                (200, &*kind)
            );
            let mut read = v1::ConsumeResponse::decode(answer.body)
                .unwrap()
                .record
                .unwrap();
            assert_eq!(read.offset, offset);
            assert!(read.appended_at > 0);
            (read.offset, read.appended_at) = (0, 0);
            assert_eq!(Some(read), record);
        }
    }
    let headers = [("content-type", "application/protobuf")];
    for body in [&b""[..], b"\xff\xff", b"\x0a\x7f"] {
        let answer = call(&router, ("POST", "/"), &headers, body).await;
        assert_eq!(answer.problem(), problem(400, "malformed_body"));
    }
}

#[tokio::test]
async fn the_answers_format_is_the_one_that_accept_prefers() {
    let router = two_records();
    let (json, protobuf) = ("application/json", "application/protobuf");
    for (accept, kind, expected) in [
        (protobuf, json, protobuf),
        (
            "text/html, application/x-protobuf;q=0.5",
            json,
            "application/x-protobuf",
        ),
        ("application/protobuf;q=0.1, application/json", json, json),
        (
            "application/json;q=0.1, application/protobuf",
            json,
            protobuf,
        ),
        ("application/protobuf;q=0", json, json),
        ("application/json", protobuf, json),
        ("*/*", json, json),
        ("*/*", protobuf, protobuf),
    ] {
        let headers = [("accept", accept), ("content-type", kind)];
        let answer = call(&router, ("GET", "/?offset=0"), &headers, "").await;
        assert_eq!(answer.header("content-type"), expected, "{accept} {kind}");
    }
}

#[tokio::test]
async fn a_record_of_exactly_the_limit_passes_and_one_byte_more_is_413() {
    let router = router(Arc::new(MemoryLog::new()));
    assert_eq!(
        post(&router, produce_json(vec![0xff; MIB])).await.status,
        200
    );
    // Some JSON writers escape the slash, every 64th character of random bytes in base64.
    let bytes = (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| a ^ b.rotate_left(3)));
    let bytes: Vec<u8> = bytes.cycle().take(MIB).collect();
    let plain = String::from_utf8(produce_json(bytes)).unwrap();
    assert!(plain.matches('/').count() > MIB / 64);
    assert_eq!(post(&router, plain.replace('/', "\\/")).await.status, 200);
    let answer = post(&router, produce_json(vec![0xff; MIB + 1])).await;
    assert_eq!(answer.problem(), problem(413, "record_too_large"));
    let facts = answer.json();
    assert_eq!(
        (&facts["bytes"], &facts["bytes_max"]),
        (&json!(MIB + 1), &json!(MIB))
    );

    let answer = get(&router, "/?offset=0", "").await;
    let read: json::ConsumeResponse = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(read.record, vec![0xff; MIB]);

    let answer = post(&router, produce_json(vec![0xff; 2 * MIB])).await;
    assert_eq!(answer.problem(), problem(413, "body_too_large"));
    // The log's limit includes the key.
    let record = Some(v1::Record::new(vec![0; MIB]).with_key("k"));
    let body = v1::ProduceRequest { record }.encode_to_vec();
    let headers = [("content-type", "application/protobuf")];
    let answer = call(&router, ("POST", "/"), &headers, body).await;
    assert_eq!(answer.problem(), problem(413, "record_too_large"));
    assert_eq!(answer.json()["outcome"], "not_appended");
}

#[test]
fn a_body_takes_a_few_times_its_size_in_memory_however_it_comes() {
    let record = Some(v1::Record::new(vec![0; MIB]));
    let body = v1::ProduceRequest { record }.encode_to_vec();
    for body in [Body::from(body.clone()), in_drops(body.into())] {
        assert_eq!(produce_protobuf(body).status, 200);
    }
}

#[test]
fn a_record_takes_a_few_times_its_limit_in_memory_however_many_headers_it_has() {
    let with_headers = |count| {
        let headers = vec![v1::Header::default(); count];
        let record = Some(v1::Record {
            headers,
            ..v1::Record::default()
        });
        Body::from(v1::ProduceRequest { record }.encode_to_vec())
    };
    // The most that a log accepts.
    let most = MIB / 32;
    assert_eq!(produce_protobuf(with_headers(most)).status, 200);
    for count in [most + 1, MIB * 3 / 4] {
        let answer = produce_protobuf(with_headers(count));
        assert_eq!(answer.problem(), problem(413, "record_too_large"));
        assert_eq!(answer.json()["bytes_max"], MIB);
    }
}

#[tokio::test]
async fn the_servers_own_limit_holds_beside_the_logs() {
    let router = ServerOptions::new()
        .record_bytes_max(3)
        .router(Arc::new(MemoryLog::new()));
    assert_eq!(post(&router, produce_json(vec![0xff; 3])).await.status, 200);
    let answer = post(&router, produce_json(vec![0xff; 4])).await;
    assert_eq!(answer.problem(), problem(413, "record_too_large"));
    assert_eq!(answer.json()["bytes_max"], 3);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_name_what_is_allowed() {
    let router = two_records();
    for path in ["/x", "//", "/x?offset=0", "/%00"] {
        let answer = get(&router, path, "").await;
        assert_eq!(answer.problem(), problem(404, "unknown_path"), "{path}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answer = call(&router, (method, "/"), &[], "").await;
        assert_eq!(answer.problem(), problem(405, "unknown_method"), "{method}");
        assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    }
    let answer = call(&router, ("HEAD", "/?offset=0"), &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "21")
    );
    assert!(answer.body.is_empty());
    let gzip = [("content-encoding", "gzip")];
    let answer = call(&router, ("POST", "/"), &gzip, r#"{"record":""}"#).await;
    assert_eq!(answer.problem(), problem(415, "unsupported_encoding"));
}
