//! Web pages of others, and names that were made to point to the server.

use std::io::Write;
use std::sync::Arc;

use proglog_broker::Memory;
use proglog_server::ServerOptions;

use crate::server::{Answer, Server, problem};

const BODY: &str = r#"{"record": "aGVsbG8="}"#;

#[test]
fn pages_of_others_can_neither_write_nor_read() {
    let server = Server::start();
    for origin in [
        "http://evil.example",
        "null",
        "https://localhost.evil.example",
        "localhost",
        "",
    ] {
        for line in [
            "POST /",
            "GET /v1/logs",
            "OPTIONS /v1/logs/default/records",
            "GET /health/live",
        ] {
            let answer = server.request(line).header("origin", origin).send(BODY);
            assert_eq!(
                answer.problem(),
                problem(403, "cross_origin"),
                "{line} {origin}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    let own = server
        .request("POST /")
        .header("origin", "http://LOCALHOST")
        .send(BODY);
    assert_eq!(own.text(), r#"{"offset":0}"#);
}

#[test]
fn names_that_were_made_to_point_here_are_refused_but_for_its_own() {
    let server = Server::start();
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "",
    ] {
        let answer = server.request("POST /").host(host).send(BODY);
        assert_eq!(answer.problem(), problem(403, "cross_origin"), "{host}");
        let same = server
            .request("POST /")
            .host(host)
            .header("origin", &format!("http://{host}"));
        assert_eq!(
            same.send(BODY).problem(),
            problem(403, "cross_origin"),
            "{host}"
        );
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:80", "10.1.2.3"] {
        assert_eq!(
            server.request("POST /").host(host).send(BODY).status,
            200,
            "{host}"
        );
    }
    let options = ServerOptions::new().own_name("log.example:8080");
    let named = Server::with(Arc::new(Memory::new()), options);
    assert_eq!(
        named
            .request("POST /")
            .host("log.example:8080")
            .send(BODY)
            .status,
        200
    );
    let proxied = named
        .request("POST /")
        .header("origin", "https://log.example:8080");
    assert_eq!(proxied.send(BODY).status, 200);
}

#[test]
fn a_client_of_http_1_0_need_not_name_the_server() {
    let server = Server::start();
    let mut stream = server.request("").raw();
    stream
        .get_mut()
        .write_all(b"GET /health/live HTTP/1.0\r\n\r\n")
        .unwrap();
    assert_eq!(Answer::read(&mut stream, false).status, 200);
}
