//! Values as they are, with their type.

use crate::server::{Server, problem};

const RAW: &str = "/v1/logs/default/raw";

#[test]
fn any_body_comes_back_with_its_type() {
    let server = Server::start();
    let png: Vec<u8> = (0..=u8::MAX).rev().cycle().take(100_000).collect();
    let post = server.request(&format!("POST {RAW}?key=k%20%C3%A9&timestamp=-7"));
    let post = post
        .header("content-type", "image/png; x=1")
        .header("Proglog-Header-Trace-Id", "4bf9");
    let answer = post.header("proglog-header-b", "\u{e9}t\u{e9}").send(&png);
    assert_eq!(
        (answer.status, &answer.json()["end_offset"]),
        (200, &1.into())
    );
    assert!(!answer.header("proglog-durability").is_empty());
    let raw = server.get(&format!("{RAW}/0"));
    assert_eq!(
        (raw.status, raw.header("content-type")),
        (200, "image/png; x=1")
    );
    assert_eq!(raw.body, png);
    assert_eq!(raw.header("proglog-offset"), "0");
    assert!(raw.header("proglog-appended-at").parse::<u64>().unwrap() > 1_700_000_000_000_000);
    assert_eq!(raw.header("x-content-type-options"), "nosniff");
    assert_eq!(
        raw.header("content-security-policy"),
        "sandbox; default-src 'none'"
    );
    assert_eq!(raw.header("content-disposition"), "attachment");

    let record = server.get("/v1/logs/default/records/0?as=text").json()["record"].clone();
    assert_eq!(
        (&record["key_text"], &record["timestamp"]),
        (&"k \u{e9}".into(), &(-7).into())
    );
    let headers: Vec<_> = record["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| {
            (
                header["name"].as_str().unwrap(),
                header["text"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        headers,
        [
            ("content-type", "image/png; x=1"),
            ("trace-id", "4bf9"),
            ("b", "\u{e9}t\u{e9}")
        ]
    );
}

#[test]
fn harmless_types_may_be_shown_and_unknown_ones_are_bytes() {
    let server = Server::start();
    for (kind, expected, disposition) in [
        ("application/json", "application/json", ""),
        ("Text/Plain; charset=utf-8", "text/plain; charset=utf-8", ""),
        ("text/html", "text/html", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ] {
        let post = server.request(&format!("POST {RAW}"));
        let post = if kind.is_empty() {
            post
        } else {
            post.header("content-type", kind)
        };
        let offset = post.send("<script>").json()["start_offset"].clone();
        let raw = server.get(&format!("{RAW}/{offset}"));
        assert_eq!(
            (
                raw.header("content-type"),
                raw.header("content-disposition")
            ),
            (expected, disposition)
        );
    }
}

#[test]
fn a_head_has_what_a_get_has_and_no_body() {
    let server = Server::start();
    server.request(&format!("POST {RAW}")).send("hello");
    let head = server.request(&format!("HEAD {RAW}/0")).send("");
    assert_eq!(
        (head.status, head.header("content-length"), head.text()),
        (200, "5", String::new())
    );
    let tag = head.header("etag").to_owned();
    let cached = server
        .request(&format!("GET {RAW}/0"))
        .header("if-none-match", &tag)
        .send("");
    assert_eq!((cached.status, cached.text()), (304, String::new()));
    assert_eq!(
        server.get(&format!("{RAW}/1")).problem(),
        problem(404, "record_not_found")
    );
}

#[test]
fn the_conditions_and_limits_are_those_of_other_appends() {
    let server = Server::start();
    let post = |query: &str, body: &[u8]| server.request(&format!("POST {RAW}{query}")).send(body);
    assert_eq!(
        post("?expected_offset=1", b"x").problem(),
        problem(412, "end_moved")
    );
    assert_eq!(
        post("?expected_offset=0&sync=true", b"").json()["durability"],
        "synced"
    );
    assert_eq!(
        post("?timestamp=x", b"x").problem(),
        problem(400, "malformed_query")
    );
    assert_eq!(
        post("?x=1", b"x").problem(),
        problem(400, "malformed_query")
    );
    assert_eq!(post("", &vec![0; 1 << 20]).status, 200);
    assert_eq!(
        post("", &vec![0; (1 << 20) + 1]).problem(),
        problem(413, "body_too_large")
    );
    let named = server
        .request(&format!("POST {RAW}"))
        .header("proglog-header-", "x")
        .send("x");
    assert_eq!(named.problem(), problem(400, "malformed_header"));
}
