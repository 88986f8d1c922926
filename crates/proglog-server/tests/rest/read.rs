//! Reads: pages, long polls, one record, and where a read starts.

use std::time::{Duration, Instant};

use proglog_api::proglog::v1 as messages;
use proglog_api::v1;
use prost::Message;
use serde_json::{Value, json};

use crate::server::{Server, problem};

const RECORDS: &str = "/v1/logs/default/records";

/// A server with the records 0 to 9, of which the first three are trimmed.
fn trimmed() -> Server {
    let server = Server::start();
    server.append(
        "default",
        &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    );
    assert_eq!(
        server
            .post("/v1/logs/default/trim", r#"{"before": 3}"#)
            .status,
        200
    );
    server
}

fn offsets(page: &Value) -> Vec<u64> {
    let records = page["records"].as_array().unwrap().iter();
    records
        .map(|record| record["offset"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_page_begins_where_it_is_asked_to() {
    let server = trimmed();
    for (query, expected, next) in [
        ("", 3..10, 10),
        ("?from=start", 3..10, 10),
        ("?from=5&limit=2", 5..7, 7),
        ("?from=end", 0..0, 10),
        ("?from=10", 0..0, 10),
        ("?last=2", 8..10, 10),
        ("?last=100", 3..10, 10),
        ("?from_time=1970-01-01T00:00:00Z", 3..10, 10),
        ("?from_time=0", 3..10, 10),
        ("?from_time=2100-01-01T00:00:00%2b02:00", 0..0, 10),
        ("?from=9&bytes=1", 9..10, 10),
        ("?bytes=1", 3..4, 4),
    ] {
        let answer = server.get(&format!("{RECORDS}{query}"));
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "no-store"),
            "{query}"
        );
        let page = answer.json();
        assert_eq!(offsets(&page), expected.collect::<Vec<_>>(), "{query}");
        assert_eq!(page["next_offset"], next, "{query}");
        assert_eq!(
            (&page["start_offset"], &page["end_offset"]),
            (&json!(3), &json!(10))
        );
        assert_eq!(answer.header("proglog-next-offset"), next.to_string());
        assert_eq!(answer.header("proglog-end-offset"), "10");
    }
}

#[test]
fn a_start_outside_of_the_log_is_refused_or_clamped() {
    let server = trimmed();
    let below = server.get(&format!("{RECORDS}?from=2"));
    assert_eq!(below.problem(), problem(410, "record_trimmed"));
    let facts = below.json();
    assert_eq!(
        (
            &facts["offset"],
            &facts["start_offset"],
            &facts["end_offset"]
        ),
        (&json!(2), &json!(3), &json!(10))
    );
    let beyond = server.get(&format!("{RECORDS}?from=11"));
    assert_eq!(beyond.problem(), problem(416, "beyond_end"));
    assert_eq!(beyond.json()["end_offset"], 10);
    let clamped = server.get(&format!("{RECORDS}?from=2&limit=1&clamp=true"));
    assert_eq!(
        (
            &offsets(&clamped.json())[..],
            &clamped.json()["clamped_from"]
        ),
        (&[3][..], &json!(2))
    );
    assert_eq!(clamped.header("proglog-clamped-from"), "2");
    let clamped = server
        .get(&format!("{RECORDS}?from=18446744073709551615&clamp=true"))
        .json();
    assert_eq!(
        (&clamped["next_offset"], &clamped["clamped_from"]),
        (&json!(10), &json!(u64::MAX))
    );
}

#[test]
fn parameters_that_are_wrong_are_named() {
    let server = Server::start();
    for query in [
        "from=x",
        "from=-1",
        "from=",
        "from=18446744073709551616",
        "from_time=yesterday",
        "last=-1",
        "limit=0",
        "limit=10001",
        "bytes=0",
        "bytes=99999999",
        "wait=61",
        "wait=1.5",
        "clamp=1",
        "as=xml",
        "damaged=keep",
        "follow=yes",
        "form=1",
        "from=1&from=2",
        "%66rom=1&from=1",
    ] {
        let answer = server.get(&format!("{RECORDS}?{query}"));
        assert_eq!(answer.problem(), problem(400, "malformed_query"), "{query}");
    }
    for query in ["from=1&last=1", "from_time=0&from=start", "follow=true"] {
        let answer = server.get(&format!("{RECORDS}?{query}"));
        assert_eq!(
            answer.problem(),
            problem(400, "conflicting_parameters"),
            "{query}"
        );
    }
}

#[test]
fn a_page_comes_in_lines_and_in_protobuf_too() {
    let server = trimmed();
    let page = |accept: &str| {
        let get = server.request(&format!("GET {RECORDS}?from=8&as=text"));
        get.header("accept", accept).send("")
    };
    let lines = page("application/x-ndjson");
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let texts: Vec<_> = lines
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone())
        .collect();
    assert_eq!(texts, ["8", "9"]);
    assert_eq!(lines.header("proglog-next-offset"), "10");

    let message = page("text/html, application/protobuf;q=0.9, */*;q=0.1");
    assert_eq!(message.header("content-type"), "application/protobuf");
    let message = messages::ReadResponse::decode(&*message.body).unwrap();
    let values: Vec<_> = message
        .records
        .iter()
        .map(|record| record.value.clone())
        .collect();
    assert_eq!(values, ["8", "9"]);
    assert_eq!(
        (
            message.next_offset,
            message.start_offset,
            message.end_offset
        ),
        (10, 3, 10)
    );
    assert_eq!(page("text/html").header("content-type"), "application/json");
}

#[test]
fn a_long_poll_waits_at_the_end_for_a_record() {
    let server = Server::start();
    server.append("default", &["a"]);
    let begun = Instant::now();
    let empty = server.get(&format!("{RECORDS}?from=1&wait=1")).json();
    assert_eq!(
        (offsets(&empty), &empty["next_offset"]),
        (vec![], &json!(1))
    );
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let found = std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            server
                .get(&format!("{RECORDS}?from=end&wait=60&as=text"))
                .json()
        });
        while !poll.is_finished() {
            server.append("default", &["b"]);
        }
        poll.join().unwrap()
    });
    assert_eq!(found["records"][0]["text"], "b");
    // There is one already.
    assert_eq!(
        offsets(&server.get(&format!("{RECORDS}?limit=1&wait=60")).json()),
        [0]
    );
}

#[test]
fn a_long_poll_is_answered_when_the_server_shuts_down() {
    let mut server = Server::start();
    let begun = Instant::now();
    let mut poll = server.request(&format!("GET {RECORDS}?wait=60")).open();
    // The server takes connections in their order, so the poll was read long before the last of these.
    for _ in 0..20 {
        server.get("/health/live");
    }
    server.shut_down();
    let answer = crate::server::Answer::read(&mut poll, false);
    assert_eq!(answer.status, 200, "{answer:?}");
    server.join();
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn one_record_has_a_tag_by_which_it_is_cached() {
    let server = trimmed();
    let id = server.get("/v1/logs/default").json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let get = |query: &str, tag: &str| {
        let get = server.request(&format!("GET {RECORDS}/{query}"));
        get.header("if-none-match", tag).send("")
    };
    let record = get("4?as=text", "\"other\"");
    assert_eq!(record.status, 200);
    assert_eq!(record.json()["record"]["text"], "4");
    let tag = format!("\"{id}-4\"");
    assert_eq!(
        (record.header("etag"), record.header("cache-control")),
        (&*tag, "no-cache")
    );
    for known in [&*tag, "*", &format!("\"x\", W/{tag}")] {
        let cached = get("4", known);
        assert_eq!(
            (cached.status, cached.text(), cached.header("etag")),
            (304, String::new(), &*tag),
            "{known}"
        );
    }
    let immutable = get(&format!("4?log_id={id}"), "\"other\"");
    assert_eq!(
        immutable.header("cache-control"),
        "private, max-age=31536000, immutable"
    );
    let other = get(&format!("4?log_id={}", "0".repeat(32)), &tag);
    assert_eq!(other.problem(), problem(412, "log_changed"));
    assert_eq!(other.json()["log_id"], id);

    let message = server
        .request(&format!("GET {RECORDS}/4"))
        .header("accept", "application/protobuf")
        .send("");
    let message = v1::ConsumeResponse::decode(&*message.body).unwrap();
    assert_eq!(message.record.unwrap().value, "4");
}

#[test]
fn a_record_that_is_not_there_is_404_or_410() {
    let server = trimmed();
    for (path, expected) in [
        ("10", problem(404, "record_not_found")),
        ("18446744073709551615", problem(404, "record_not_found")),
        ("2", problem(410, "record_trimmed")),
        ("x", problem(400, "malformed_name")),
        ("-1", problem(400, "malformed_name")),
        ("4?log_id=x", problem(400, "malformed_query")),
        ("4?x=1", problem(400, "malformed_query")),
    ] {
        let answer = server
            .request(&format!("GET {RECORDS}/{path}"))
            .header("if-none-match", "*")
            .send("");
        assert_eq!(answer.problem(), expected, "{path}");
    }
    assert_eq!(
        server.get("/v1/logs/absent/records/0").problem(),
        problem(404, "log_not_found")
    );
}
