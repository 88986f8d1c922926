//! Clients that are slow, malformed or gone, and shutdown, over a real listener.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use proglog_log::{LogOptions, MemoryLog, Offset, ReadLog};
use proglog_server::ServerOptions;
use support::{Client, HookedLog, NEVER, SOON, TestServer, eventually, request};

const RECORD: &str = r#"{"record":"aGVsbG8="}"#;

/// Timeouts that no test reaches unless it sets one.
fn patient() -> ServerOptions {
    ServerOptions::new()
        .request_timeout(NEVER * 2)
        .header_timeout(NEVER * 2)
        .shutdown_timeout(NEVER * 2)
}

fn serve(options: ServerOptions) -> (TestServer, MemoryLog) {
    let log = MemoryLog::new();
    (TestServer::start(options, Arc::new(log.clone())), log)
}

/// A log whose calls signal that they have begun, and return once the gate is dropped.
fn gated() -> (Arc<HookedLog>, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, begins) = mpsc::channel();
    let (gate, opened) = mpsc::channel();
    let opened = Mutex::new(opened);
    let log = HookedLog::new(move || {
        begun.send(()).unwrap();
        let _ = opened.lock().unwrap().recv_timeout(NEVER);
        Ok(())
    });
    (log, begins, gate)
}

#[test]
fn one_connection_carries_many_calls() {
    let (server, _) = serve(patient());
    let mut client = server.client();
    for offset in 0..3 {
        let answer = client.call("POST /", RECORD);
        assert_eq!(answer.body, format!(r#"{{"offset":{offset}}}"#));
        let answer = client.call("GET /", &answer.body);
        assert_eq!(answer.body, RECORD);
    }
}

#[test]
fn a_limit_on_time_that_no_clock_reaches_is_none() {
    let never = Duration::MAX;
    let options = ServerOptions::new()
        .request_timeout(never)
        .header_timeout(never);
    let (mut server, _) = serve(options.shutdown_timeout(never));
    let mut client = server.client();
    for call in ["POST /", "POST /"] {
        assert_eq!(client.call(call, RECORD).status, 200);
    }
    assert_eq!(server.client().call("GET /?offset=1", "").body, RECORD);
    server.join();
}

#[test]
fn a_body_that_never_ends_is_408_and_the_server_goes_on() {
    let (server, log) = serve(patient().request_timeout(SOON));
    let bodies = [
        "content-length: 30\r\n\r\n{\"record\":",
        "transfer-encoding: chunked\r\n\r\n5\r\n{\"rec\r\n",
    ];
    for body in bodies {
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: localhost\r\n{body}"));
        assert_eq!(client.answer().unwrap().code(), "body_timeout");
        assert_eq!(client.answer(), None, "the connection stays open");
    }
    assert_eq!(log.end_offset(), Offset::ZERO);
    assert_eq!(server.client().call("POST /", RECORD).status, 200);
}

#[test]
fn a_head_that_never_ends_and_an_idle_connection_are_closed() {
    let (server, _) = serve(patient().header_timeout(SOON));
    for head in ["", "POST / HT", "POST / HTTP/1.1\r\nhost: localhost\r\nx: "] {
        let mut client = server.client();
        client.send(head);
        assert_eq!(client.answer(), None);
    }
    let mut client = server.client();
    assert_eq!(client.call("POST /", RECORD).status, 200);
    assert_eq!(client.answer(), None);
}

#[test]
fn what_is_not_http_or_breaks_off_is_refused_and_the_server_goes_on() {
    let (server, log) = serve(patient());
    let zeros = "\0".repeat(100);
    let huge_head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let wrong_length = "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n";
    for (bytes, status) in [
        ("hello\r\n\r\n", 400),
        (zeros.as_str(), 400),
        (huge_head.as_str(), 431),
        (wrong_length, 400),
    ] {
        let mut client = server.client();
        // The server may refuse it before all of it is sent.
        let _ = client.socket().write_all(bytes.as_bytes());
        assert_eq!(
            client.answer().map_or(status, |answer| answer.status),
            status
        );
    }
    let mut client = server.client();
    client.send(
        "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n",
    );
    assert_eq!(client.answer().unwrap().code(), "incomplete_body");
    let mut client = server.client();
    client
        .send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30\r\n\r\n{\"record\":\"\"}");
    client.socket().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().unwrap().code(), "incomplete_body");
    for line in [
        "OPTIONS *",
        "CONNECT test:80",
        "GET http://test/x",
        "POST x",
    ] {
        let status = server.client().call(line, "").status;
        assert!((400..500).contains(&status), "{line} {status}");
    }
    assert_eq!(log.end_offset(), Offset::ZERO);
    assert_eq!(server.client().call("POST /", RECORD).status, 200);
}

#[test]
fn a_client_that_sends_too_much_before_it_listens_sees_why_it_is_refused() {
    let (server, _) = serve(patient());
    let body = "x".repeat(8 << 20);
    assert_eq!(
        server.client().call("POST /", &body).code(),
        "body_too_large"
    );
    assert_eq!(
        server.client().call("GET /", &body).code(),
        "body_too_large"
    );
    for (line, header, code) in [
        ("POST /?offset=1", "", "malformed_query"),
        (
            "POST /",
            "content-encoding: gzip\r\n",
            "unsupported_encoding",
        ),
        ("POST /x", "", "unknown_path"),
        ("PUT /", "", "unknown_method"),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{header}");
        let mut client = server.client();
        client.send(format!("{head}content-length: {}\r\n\r\n", body.len()));
        client.send(&body);
        let answer = client.answer().unwrap();
        assert!(
            [code, "body_too_large"].contains(&&*answer.code()),
            "{line}"
        );
    }

    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n";
    let mut client = server.client();
    client.send(format!("{head}content-length: {}\r\n\r\n", body.len()));
    assert_eq!(client.answer().unwrap().code(), "body_too_large");
    let mut client = server.client();
    let head_of_bad_query = head.replace(" / ", " /?offset=1 ");
    client.send(format!(
        "{head_of_bad_query}content-length: {}\r\n\r\n",
        RECORD.len()
    ));
    assert_eq!(client.answer().unwrap().code(), "malformed_query");
    let mut client = server.client();
    client.send(format!("{head}content-length: {}\r\n\r\n", RECORD.len()));
    assert_eq!(client.answer().unwrap().status, 100);
    client.send(RECORD);
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn an_append_whose_client_vanished_is_stored_and_the_server_goes_on() {
    let (log, begins, gate) = gated();
    let mut server = TestServer::start(patient(), log.clone());
    let mut client = server.client();
    client.send(request("POST /", RECORD));
    begins.recv_timeout(NEVER).unwrap();
    drop(client);
    drop(gate);
    let answer = server.client().call("POST /", r#"{"record":"d29ybGQ="}"#);
    assert_eq!(answer.status, 200);
    server.join();
    let mut values: Vec<_> = log
        .records((..).into())
        .map(|record| record.unwrap().value)
        .collect();
    values.sort();
    assert_eq!(values, ["hello", "world"]);
}

#[test]
fn a_client_that_shuts_down_its_side_after_its_request_is_answered() {
    // Long enough for the server to see the end of what the client sends.
    let log = HookedLog::new(|| {
        thread::sleep(Duration::from_millis(2));
        Ok(())
    });
    let server = TestServer::start(patient(), log.clone());
    for offset in 0..100 {
        let mut client = server.client();
        client.send(request("POST /", RECORD));
        client.socket().shutdown(Shutdown::Write).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.body, format!(r#"{{"offset":{offset}}}"#));
        assert_eq!(client.answer(), None, "the connection stays open");
    }
    let mut client = server.client();
    client.send(request("POST /", RECORD) + &request("GET /?offset=100", ""));
    client.socket().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().unwrap().body, r#"{"offset":100}"#);
    assert_eq!(client.answer().unwrap().body, RECORD);
    assert_eq!(log.end_offset(), 101);
}

#[test]
fn a_client_that_vanished_does_not_keep_its_connection_longer_than_its_request() {
    let (log, begins, gate) = gated();
    let mut server = TestServer::start(patient().request_timeout(SOON), log);
    let begun = Instant::now();
    let mut client = server.client();
    client.send(request("POST /", RECORD));
    begins.recv_timeout(NEVER).unwrap();
    drop(client);
    // A shutdown waits for each connection.
    server.join();
    assert!(begun.elapsed() < NEVER);
    drop(gate);
}

#[test]
fn at_the_limit_the_connection_that_is_idle_longest_is_closed() {
    let (server, _) = serve(patient().connections_max(3));
    let mut clients: Vec<_> = (0..3).map(|_| server.client()).collect();
    for index in [2, 0, 1, 2] {
        assert_eq!(clients[index].call("POST /", RECORD).status, 200);
    }
    assert_eq!(server.client().call("POST /", RECORD).status, 200);
    assert_eq!(clients[0].answer(), None);
    for index in [1, 2] {
        assert_eq!(clients[index].call("POST /", RECORD).status, 200);
    }
    // So are those that never send a request.
    let mut silent: Vec<_> = (0..10).map(|_| server.client()).collect();
    silent[9].send("POST / HTTP/1.1\r\n");
    for client in &mut clients {
        *client = server.client();
        assert_eq!(client.call("POST /", RECORD).status, 200);
    }
    assert!(silent.iter_mut().all(|client| client.answer().is_none()));
}

#[test]
fn at_the_limit_with_none_idle_a_new_connection_is_answered_503_and_closed() {
    let (log, begins, gate) = gated();
    log.inner.append("hello").unwrap();
    let server = TestServer::start(patient().connections_max(2), log);
    let mut busy: Vec<_> = (0..2).map(|_| server.client()).collect();
    for client in &mut busy {
        client.send(request("GET /?offset=0", ""));
        begins.recv_timeout(NEVER).unwrap();
    }
    let mut silent = server.client();
    let mut refused: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut refused {
        client.send(request("POST /", &"x".repeat(1 << 20)));
        let answer = client.answer().unwrap();
        assert_eq!(
            (answer.status, &*answer.code()),
            (503, "too_many_connections")
        );
        assert!(answer.head.contains("retry-after: 1\r\n"), "{answer:?}");
        assert!(answer.head.contains("connection: close\r\n"), "{answer:?}");
        assert_eq!(client.answer(), None);
    }
    assert_eq!(silent.answer(), None);
    drop(gate);
    for client in &mut busy {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    assert_eq!(server.client().call("POST /", RECORD).status, 200);
}

/// A server of at most one connection whose only record is larger than the buffers between it and a client.
fn serve_large_record(options: ServerOptions) -> (TestServer, usize) {
    let value = vec![b'x'; 24 << 20];
    let bytes = value.len();
    let larger = LogOptions::new()
        .record_bytes_max(bytes)
        .batch_bytes_max(2 * bytes);
    let log = MemoryLog::with_options(&larger).unwrap();
    log.append(value).unwrap();
    let options = options.connections_max(1).record_bytes_max(bytes);
    (TestServer::start(options, Arc::new(log)), bytes)
}

#[test]
fn a_connection_whose_response_is_still_being_sent_is_not_idle() {
    let (server, bytes) = serve_large_record(patient());
    let mut slow = server.client();
    slow.send(request("GET /?offset=0", ""));
    slow.socket().peek(&mut [0]).unwrap();
    let refused = server.client().call("GET /?offset=0", "");
    assert_eq!(refused.code(), "too_many_connections");
    let answer = slow.answer().unwrap();
    let body = r#"{"record":""}"#.len() + bytes / 3 * 4;
    assert_eq!((answer.status, answer.body.len()), (200, body));
    let answer = server.client().call("GET /?offset=1", "");
    assert_eq!(answer.code(), "record_not_found");
}

#[test]
fn connections_release_their_place_however_they_end() {
    let panics = HookedLog::new(|| panic!("a log that panics"));
    let server = TestServer::start(patient().connections_max(2), panics);
    for round in 0..50 {
        let mut client = server.client();
        let bytes: &[u8] = match round % 5 {
            0 => b"",
            1 => b"POST / HT",
            2 => b"POST / HTTP/1.1\r\ncontent-length: 30\r\n\r\n{",
            3 => b"\0\0\0\0\r\n\r\n",
            _ => b"POST / HTTP/1.1\r\ncontent-length: 13\r\n\r\n{\"record\":\"\"}",
        };
        client.send(bytes);
    }
    eventually(|| {
        let code = server.client().call("POST /", RECORD).code();
        (code == "internal_error").then_some(())
    });
}

#[test]
fn a_client_that_never_reads_does_not_keep_its_place_for_ever() {
    let (server, _) = serve_large_record(patient().request_timeout(SOON * 2));
    let mut deaf = server.client();
    deaf.send(request("GET /?offset=0", ""));
    deaf.socket().peek(&mut [0]).unwrap();
    let next = || server.client().call("GET /?offset=1", "").code();
    assert_eq!(next(), "too_many_connections");
    eventually(|| (next() == "record_not_found").then_some(()));
}

#[test]
fn a_shutdown_answers_requests_in_flight_and_accepts_no_more() {
    let (log, begins, gate) = gated();
    let mut server = TestServer::start(patient(), log.clone());
    let mut idle = server.client();
    assert_eq!(idle.call("GET /", "").status, 400);
    let mut fresh = server.client();
    let mut busy = server.client();
    busy.send(request("POST /", RECORD));
    begins.recv_timeout(NEVER).unwrap();

    server.shut_down();
    // The idle connection is closed first, and the listener before that.
    assert_eq!(idle.answer(), None);
    let refused = TcpStream::connect(server.address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(gate);
    let answer = busy.answer().unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"offset":0}"#)
    );
    assert_eq!(busy.answer(), None);
    assert_eq!(fresh.answer(), None);
    server.join();
    // The log stays open for its owner to close.
    assert_eq!(log.read(Offset::ZERO).unwrap().value, "hello");
}

#[test]
fn a_stuck_connection_delays_a_shutdown_for_a_limited_time() {
    let (mut server, _) = serve(patient().shutdown_timeout(SOON));
    let mut stuck: Vec<Client> = (0..3).map(|_| server.client()).collect();
    stuck[0].send("POST / HT");
    stuck[1].send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30\r\n\r\n{");
    // Connections are accepted in order, so the other two were accepted before this one.
    assert_eq!(stuck[2].call("POST /", RECORD).status, 200);
    server.join();
    assert!(stuck.iter_mut().all(|client| client.answer().is_none()));
}
