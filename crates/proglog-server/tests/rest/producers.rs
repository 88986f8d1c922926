//! Producers: batches and streams that are sent again.

use serde_json::{Value, json};

use crate::server::{Answer, Server, problem};

const RECORDS: &str = "/v1/logs/default/records";

fn send(server: &Server, (epoch, sequence): (u64, u64), kind: &str, body: &str) -> Answer {
    let request = server
        .request(&format!("POST {RECORDS}"))
        .header("content-type", kind);
    let request = request
        .header("producer-id", "load-7")
        .header("producer-epoch", &epoch.to_string());
    request
        .header("producer-seq", &sequence.to_string())
        .send(body)
}

fn batch(server: &Server, place: (u64, u64), len: usize) -> Answer {
    let body = json!({ "records": vec![json!({"text": "x"}); len] }).to_string();
    send(server, place, "application/json", &body)
}

fn end(server: &Server) -> Value {
    server.get("/v1/logs/default").json()["end_offset"].clone()
}

#[test]
fn a_batch_that_is_sent_again_is_answered_as_the_first() {
    let server = Server::start();
    let producer = || server.get("/v1/logs/default/producers/load-7");
    assert_eq!(producer().problem(), problem(404, "producer_not_found"));
    let first = batch(&server, (0, 0), 3).json();
    let again = batch(&server, (0, 0), 3).json();
    assert_eq!(
        (&first["duplicate"], &again["duplicate"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(
        (&again["start_offset"], &again["end_offset"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(batch(&server, (0, 3), 2).json()["start_offset"], 3);
    assert_eq!(
        producer().json(),
        json!({"id": "load-7", "epoch": 0, "next_sequence": 5, "last_offset": 4})
    );
    assert_eq!(end(&server), 5);
}

#[test]
fn what_a_producer_must_not_append_is_a_conflict() {
    let server = Server::start();
    assert_eq!(
        batch(&server, (0, 1), 1).problem(),
        problem(409, "producer_unknown")
    );
    assert_eq!(batch(&server, (1, 0), 3).status, 200);
    let gap = batch(&server, (1, 4), 1);
    assert_eq!(gap.problem(), problem(409, "producer_gap"));
    assert_eq!(
        (&gap.json()["expected_sequence"], &gap.json()["outcome"]),
        (&json!(3), &json!("not_appended"))
    );
    let overlap = batch(&server, (1, 2), 2);
    assert_eq!(overlap.problem(), problem(409, "producer_overlap"));
    assert_eq!(overlap.json()["expected_sequence"], 3);
    let fenced = batch(&server, (0, 3), 1);
    assert_eq!(fenced.problem(), problem(409, "producer_fenced"));
    assert_eq!(fenced.json()["epoch"], 1);
    assert_eq!(end(&server), 3);
}

#[test]
fn headers_of_a_producer_belong_together() {
    let server = Server::start();
    for headers in [
        &[("producer-id", "a")][..],
        &[("producer-id", "a"), ("producer-epoch", "0")],
        &[
            ("producer-id", "a"),
            ("producer-epoch", "0"),
            ("producer-seq", "-1"),
        ],
        &[
            ("producer-id", "a b"),
            ("producer-epoch", "0"),
            ("producer-seq", "0"),
        ],
        &[
            ("producer-id", ""),
            ("producer-epoch", "0"),
            ("producer-seq", "0"),
        ],
        &[
            ("producer-id", "a"),
            ("producer-epoch", "0"),
            ("producer-seq", "0"),
            ("producer-seq", "1"),
        ],
    ] {
        let request = server.request(&format!("POST {RECORDS}"));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        let answer = request.send(r#"{"records": [{"text": "x"}]}"#);
        assert_eq!(
            answer.problem(),
            problem(400, "malformed_producer"),
            "{headers:?}"
        );
    }
}

#[test]
fn a_stream_that_broke_off_is_sent_again_whole_and_no_line_is_appended_twice() {
    let server = Server::start();
    let lines = |count: usize| {
        let lines = (0..count).map(|n| format!("{{\"text\": \"{n}\"}}\n"));
        lines.collect::<Vec<_>>().concat()
    };
    for (count, known) in [(1, 0), (2, 1), (7, 2), (7, 7), (1_500, 7), (4_000, 1_500)] {
        let answer = send(&server, (0, 0), "application/x-ndjson", &lines(count)).json();
        assert_eq!(
            (&answer["skipped"], &answer["records"]),
            (&json!(known), &json!(count - known)),
            "{answer}"
        );
        assert_eq!(end(&server), count);
    }
    let page = server.get(&format!("{RECORDS}?as=text&limit=10000")).json();
    let texts = page["records"].as_array().unwrap().iter();
    assert!(
        texts
            .enumerate()
            .all(|(n, record)| record["text"].as_str().unwrap().parse() == Ok(n))
    );
}
