//! Logs: made, configured, described, listed and deleted; the server itself.

use serde_json::json;

use crate::server::{Server, problem};

#[test]
fn a_log_is_made_configured_described_and_deleted() {
    let server = Server::start();
    let made = server.put(
        "/v1/logs/orders",
        r#"{"durability": "interval", "retention": {"records": 9}}"#,
    );
    assert_eq!(
        (made.status, made.header("location")),
        (201, "/v1/logs/orders")
    );
    let log = made.json();
    assert_eq!(log["name"], "orders");
    assert_eq!(log["id"].as_str().unwrap().len(), 32);
    assert_eq!(log["state"], "open");
    assert_eq!(log["config"]["durability"], "interval");
    assert_eq!(log["config"]["retention"]["records"], 9);
    assert_eq!(log["config"]["segment_bytes"], 64 << 20);
    assert!(log["created_at"].as_u64().unwrap() > 1_700_000_000_000_000);
    assert_eq!(
        (&log["start_offset"], &log["end_offset"]),
        (&json!(0), &json!(0))
    );

    // The same again replaces all of the configuration.
    let replaced = server.put("/v1/logs/orders", "{}");
    assert_eq!(replaced.status, 200);
    assert_eq!(replaced.json()["config"]["durability"], "synced");
    assert_eq!(replaced.json()["id"], log["id"]);

    let deleted = server
        .request("DELETE /v1/logs/orders?confirm=orders")
        .send("");
    assert_eq!((deleted.status, deleted.text()), (204, String::new()));
    assert_eq!(
        server.get("/v1/logs/orders").problem(),
        problem(404, "log_not_found")
    );
    let again = server.put("/v1/logs/orders", "");
    assert_eq!(again.status, 201);
    assert_ne!(again.json()["id"], log["id"]);
}

#[test]
fn a_change_leaves_other_fields_and_null_is_the_default() {
    let server = Server::start();
    server.put(
        "/v1/logs/a",
        r#"{"durability": "buffered", "retention": {"records": 9, "bytes": 7}}"#,
    );
    server.append("a", &["x"]);
    let change = |body: &str| server.request("PATCH /v1/logs/a").send(body);
    let changed = change(r#"{"retention": {"bytes": 8, "records": null}}"#);
    assert_eq!(changed.status, 200, "{changed:?}");
    let config = changed.json()["config"].clone();
    assert_eq!(config["durability"], "buffered");
    assert_eq!(
        config["retention"],
        json!({"age_seconds": null, "bytes": 8, "records": null})
    );
    assert_eq!(
        change(r#"{"durability": null}"#).json()["config"]["durability"],
        "synced"
    );
    assert_eq!(changed.json()["end_offset"], 1);
    for body in [
        "",
        "[]",
        "7",
        r#"{"durabilty": "synced"}"#,
        r#"{"segment_bytes": "1"}"#,
    ] {
        assert_eq!(
            change(body).problem(),
            problem(400, "malformed_body"),
            "{body}"
        );
    }
    let invalid = change(r#"{"segment_bytes": 1}"#);
    assert_eq!(invalid.problem(), problem(422, "invalid_config"));
    assert_eq!(invalid.json()["field"], "segment_bytes");
    let absent = server.request("PATCH /v1/logs/b").send("{}");
    assert_eq!(absent.problem(), problem(404, "log_not_found"));
}

#[test]
fn what_cannot_be_made_or_deleted_is_refused() {
    let server = Server::start();
    assert_eq!(
        server
            .put("/v1/logs/a", r#"{"segment_bytes": 1}"#)
            .problem(),
        problem(422, "invalid_config")
    );
    assert_eq!(
        server.put("/v1/logs/a", "{").problem(),
        problem(400, "malformed_body")
    );
    let delete = |query: &str| server.request(&format!("DELETE /v1/logs/{query}")).send("");
    server.create("a");
    for query in ["a", "a?confirm=b", "a?confirm="] {
        assert_eq!(
            delete(query).problem(),
            problem(422, "confirmation_missing"),
            "{query}"
        );
    }
    assert_eq!(
        delete("default?confirm=default").problem(),
        problem(409, "default_log")
    );
    assert_eq!(
        delete("b?confirm=b").problem(),
        problem(404, "log_not_found")
    );
    assert_eq!(
        delete("a?confirm=a&x=1").problem(),
        problem(400, "malformed_query")
    );
}

#[test]
fn names_that_no_log_can_have_are_refused_and_never_reach_the_files() {
    let server = Server::start();
    for name in [
        "A",
        "a%2fb",
        "..%2f..%2fetc",
        "a..b",
        ".a",
        "a.",
        "a%00",
        "%ff",
        "con",
        "a%20b",
        &"a".repeat(101),
    ] {
        for line in ["GET", "PUT", "DELETE"] {
            let answer = server.request(&format!("{line} /v1/logs/{name}")).send("");
            assert_eq!(
                answer.problem(),
                problem(400, "malformed_name"),
                "{line} {name}"
            );
        }
        let answer = server.get(&format!("/v1/logs/{name}/records"));
        assert_eq!(answer.problem(), problem(400, "malformed_name"), "{name}");
    }
}

#[test]
fn a_log_that_is_not_there_has_the_nearest_name_in_the_error() {
    let server = Server::start();
    server.create("orders");
    let answer = server.get("/v1/logs/ordres");
    assert_eq!(answer.problem(), problem(404, "log_not_found"));
    assert_eq!(answer.json()["nearest"], "orders");
    let answer = server.post(
        "/v1/logs/zzzzzzzz/records",
        r#"{"records": [{"text": ""}]}"#,
    );
    assert_eq!(answer.problem(), problem(404, "log_not_found"));
    assert_eq!(answer.json()["nearest"], json!(null));
    assert_eq!(answer.json()["outcome"], "not_appended");
}

#[test]
fn logs_are_listed_by_name_and_page_by_page() {
    let server = Server::start();
    for name in ["b", "a.2", "a.1", "c"] {
        server.create(name);
    }
    let list = |query: &str| {
        let list = server.get(&format!("/v1/logs{query}")).json();
        let logs = list["logs"].as_array().unwrap().iter();
        let names: Vec<_> = logs
            .map(|log| log["name"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), list["has_more"].as_bool().unwrap())
    };
    assert_eq!(list(""), ("a.1 a.2 b c default".into(), false));
    assert_eq!(list("?limit=2"), ("a.1 a.2".into(), true));
    assert_eq!(list("?limit=2&after=a.2"), ("b c".into(), true));
    assert_eq!(list("?after=c"), ("default".into(), false));
    assert_eq!(list("?prefix=a."), ("a.1 a.2".into(), false));
    assert_eq!(list("?prefix=x"), (String::new(), false));
    for query in ["limit=0", "limit=1001", "limit=1&limit=1", "x=1"] {
        let answer = server.get(&format!("/v1/logs?{query}"));
        assert_eq!(answer.problem(), problem(400, "malformed_query"), "{query}");
    }
}

#[test]
fn old_records_are_trimmed_and_all_are_verified() {
    let server = Server::start();
    server.append("default", &["a", "b", "c"]);
    let trim = |body: &str| server.post("/v1/logs/default/trim", body);
    assert_eq!(trim(r#"{"before": 2}"#).json(), json!({"start_offset": 2}));
    assert_eq!(trim(r#"{"before": 1}"#).json(), json!({"start_offset": 2}));
    let beyond = trim(r#"{"before": 4}"#);
    assert_eq!(beyond.problem(), problem(416, "beyond_end"));
    assert_eq!(beyond.json()["end_offset"], 3);
    assert_eq!(
        trim(r#"{"before_time": "1970-01-01T00:00:00Z"}"#).json()["start_offset"],
        2
    );
    let verified = server.post("/v1/logs/default/verify", "").json();
    assert_eq!(
        verified,
        json!({"records": [2, 3], "bytes": 1, "damaged": []})
    );
    assert_eq!(
        trim(r#"{"before_time": "2100-01-01T00:00:00Z"}"#).json()["start_offset"],
        3
    );
    for body in [
        "",
        "{}",
        r#"{"before": 1, "before_time": 1}"#,
        r#"{"before": -1}"#,
        r#"{"before_time": "x"}"#,
        r#"{"after": 1}"#,
    ] {
        assert_eq!(
            trim(body).problem(),
            problem(400, "malformed_body"),
            "{body}"
        );
    }
    assert_eq!(
        server.get("/v1/logs/default/trim").problem(),
        problem(405, "unknown_method")
    );
}

#[test]
fn the_server_says_what_and_how_it_is() {
    let server = Server::start();
    let info = server.get("/v1/info").json();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["subject"], "anonymous");
    assert_eq!(server.get("/health/live").json(), json!({"status": "live"}));
    let ready = server.get("/health/ready");
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"status": "ready", "degraded": []}))
    );
    assert_eq!(ready.header("cache-control"), "no-store");
}
