//! Streams: server-sent events and lines.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::server::{Request, Server, head, problem};

const RECORDS: &str = "/v1/logs/default/records";

/// A stream whose head was read, without the framing of its chunks.
struct Stream {
    connection: BufReader<TcpStream>,
    head: String,
}

impl Stream {
    fn open(request: Request) -> Self {
        let mut connection = request.open();
        let head = head(&mut connection);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        Self { connection, head }
    }

    /// Returns the next line, or `None` at the end of the stream. Sizes of chunks are left out: no line of a stream looks
    /// like one.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.connection.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let is_size = line.ends_with("\r\n") && !line.contains([':', '{']);
            if !is_size {
                return Some(line.trim_end().to_owned());
            }
        }
    }

    /// Returns the lines of the next event, in which something is.
    fn event(&mut self) -> Option<Vec<String>> {
        let mut event = Vec::new();
        loop {
            match self.line()? {
                line if !line.is_empty() => event.push(line),
                _ if event.is_empty() => {}
                _ => return Some(event),
            }
        }
    }

    fn json(&mut self) -> Value {
        loop {
            let line = self.line().unwrap();
            if !line.is_empty() {
                return serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            }
        }
    }
}

fn events(server: &Server, query: &str) -> Request {
    let request = server.request(&format!("GET {RECORDS}{query}"));
    request.header("accept", "text/event-stream")
}

fn lines(server: &Server, query: &str) -> Request {
    let request = server.request(&format!("GET {RECORDS}?follow=true{query}"));
    request.header("accept", "application/x-ndjson")
}

#[test]
fn events_have_what_is_there_and_what_comes() {
    let server = Server::start();
    server.append("default", &["a", "b"]);
    let mut stream = Stream::open(events(&server, "?as=text&from=1"));
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-store, no-transform",
        "x-accel-buffering: no",
    ] {
        assert!(stream.head.contains(line), "{}", stream.head);
    }
    let retry = stream.event().unwrap();
    let retry: u64 = retry[0].strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((1_000..=3_000).contains(&retry));
    let event = stream.event().unwrap();
    assert_eq!((event.len(), &*event[0]), (2, "id: 1"));
    let record: Value = serde_json::from_str(event[1].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&record["offset"], &record["text"]),
        (&json!(1), &json!("b"))
    );
    for n in 2..10 {
        server.append("default", &["c"]);
        assert_eq!(stream.event().unwrap()[0], format!("id: {n}"));
    }
}

#[test]
fn a_stream_is_resumed_behind_the_last_event() {
    let server = Server::start();
    server.append("default", &["a", "b", "c"]);
    let resume = |id: &str| events(&server, "?from=0").header("last-event-id", id);
    let mut stream = Stream::open(resume("1"));
    stream.event();
    assert_eq!(stream.event().unwrap()[0], "id: 2");
    assert_eq!(resume("3").send("").problem(), problem(416, "beyond_end"));
    for id in ["x", "-1", "", "18446744073709551615"] {
        assert_eq!(
            resume(id).send("").problem(),
            problem(400, "malformed_header"),
            "{id}"
        );
    }
    // The last event may be the newest record.
    let mut stream = Stream::open(resume("2"));
    stream.event();
    server.append("default", &["d"]);
    assert_eq!(stream.event().unwrap()[0], "id: 3");
}

#[test]
fn a_stream_that_comes_too_late_continues_at_the_start_and_says_so() {
    let server = Server::start();
    server.append("default", &["a", "b", "c"]);
    server.post("/v1/logs/default/trim", r#"{"before": 2}"#);
    let mut stream = Stream::open(events(&server, "?from=0"));
    stream.event();
    assert_eq!(
        stream.event().unwrap(),
        ["event: trimmed", r#"data: {"start_offset":2}"#]
    );
    assert_eq!(stream.event().unwrap()[0], "id: 2");
    let mut stream = Stream::open(lines(&server, "&from=0"));
    assert_eq!(
        stream.json(),
        json!({"event": "trimmed", "start_offset": 2})
    );
    assert_eq!(stream.json()["offset"], 2);
    assert_eq!(
        lines(&server, "&from=9").send("").problem(),
        problem(416, "beyond_end")
    );
}

#[test]
fn a_follower_that_falls_behind_is_told_what_it_has_missed() {
    let server = Server::start();
    let mut stream = Stream::open(lines(&server, "&from=end"));
    // More than fits in all buffers on the way, unread.
    let large = "x".repeat(1 << 20);
    for _ in 0..64 {
        server.append("default", &[&large]);
    }
    server.post("/v1/logs/default/trim", r#"{"before": 64}"#);
    server.append("default", &["end"]);
    let mut seen = 0;
    loop {
        let line = stream.json();
        if line["event"] == "trimmed" {
            assert_eq!(line["start_offset"], 64);
            break;
        }
        assert_eq!(line["offset"], seen);
        seen += 1;
    }
    assert!(seen < 64);
    assert_eq!(stream.json()["offset"], 64);
}

#[test]
fn lines_follow_as_events_do() {
    let server = Server::start();
    let mut streams: Vec<_> = (0..20)
        .map(|_| Stream::open(lines(&server, "&as=json")))
        .collect();
    for n in 0..5 {
        server.append("default", &[&n.to_string()]);
        for stream in &mut streams {
            let record = stream.json();
            assert_eq!((&record["offset"], &record["json"]), (&json!(n), &json!(n)));
        }
    }
}

#[test]
fn streams_end_with_an_event_when_the_server_shuts_down() {
    let mut server = Server::start();
    server.append("default", &["a"]);
    let mut one = Stream::open(events(&server, "?from=end"));
    let mut other = Stream::open(lines(&server, ""));
    one.event();
    assert_eq!(other.json()["offset"], 0);
    server.shut_down();
    let end = r#"data: {"reason":"draining","next_offset":1}"#;
    assert_eq!(one.event().unwrap(), ["event: end", end]);
    assert_eq!(
        other.json(),
        json!({"event": "end", "reason": "draining", "next_offset": 1})
    );
    assert_eq!((one.event(), other.line()), (None, None));
    server.join();
}

#[test]
fn a_stream_of_a_log_that_is_deleted_ends_with_an_error() {
    let server = Server::start();
    server.create("a");
    let request = server.request("GET /v1/logs/a/records?follow=true");
    let mut stream = Stream::open(request.header("accept", "application/x-ndjson"));
    server.append("a", &["x"]);
    assert_eq!(stream.json()["offset"], 0);
    assert_eq!(
        server
            .request("DELETE /v1/logs/a?confirm=a")
            .send("")
            .status,
        204
    );
    let error = stream.json();
    assert_eq!(
        (&error["event"], &error["code"], &error["status"]),
        (&json!("error"), &json!("log_not_found"), &json!(404))
    );
    assert_eq!(stream.line(), None);
}

#[test]
fn a_stream_goes_on_over_a_change_of_the_configuration() {
    let server = Server::start();
    let mut stream = Stream::open(lines(&server, ""));
    server.append("default", &["a"]);
    assert_eq!(stream.json()["offset"], 0);
    let changed = server
        .request("PATCH /v1/logs/default")
        .send(r#"{"segment_bytes": 1048576}"#);
    assert_eq!(changed.status, 200);
    server.append("default", &["b"]);
    assert_eq!(stream.json()["offset"], 1);
}
