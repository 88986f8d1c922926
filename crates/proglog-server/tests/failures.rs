//! Logs that fail, panic or hang, and the responses that their clients get.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use proglog_log::{Error, Offset, Outcome, ReadLog, Reason};
use proglog_server::{ServerOptions, router};
use proglog_store::Operation;
use support::router::{Answer, get, post, problem};
use support::{HookedLog, NEVER, SOON};

fn storage_error(kind: io::ErrorKind) -> Reason {
    Reason::Store(proglog_store::Error::Io {
        operation: Operation::Write,
        file: "secret.log".into(),
        source: Arc::new(io::Error::new(kind, "secret message")),
    })
}

/// The answers of a server, whose log fails with `error`, to a read and to an append.
async fn answers(error: Error) -> [Answer; 2] {
    let router = router(HookedLog::new(move || Err(error.clone())));
    let read = get(&router, "/?offset=7", "").await;
    assert_eq!(read.json()["offset"], 7);
    [read, post(&router, r#"{"record":""}"#).await]
}

#[tokio::test]
async fn every_failure_of_the_log_has_its_status_and_leaks_no_secrets() {
    let (offset, start, end) = (Offset::new(7), Offset::new(9), Offset::new(12));
    let corrupt = Reason::Corrupt {
        offset,
        file: "secret.log".into(),
        byte: 8269,
        source: None,
    };
    let poisoned = Reason::Poisoned {
        source: Arc::new(storage_error(io::ErrorKind::Other)),
    };
    for (reason, status, code, retry_after) in [
        (
            Reason::Trimmed { offset, start, end },
            410,
            "record_trimmed",
            "",
        ),
        (
            Reason::OutOfRange { offset, start, end },
            404,
            "record_not_found",
            "",
        ),
        (corrupt, 500, "record_corrupt", ""),
        (
            storage_error(io::ErrorKind::StorageFull),
            507,
            "disk_full",
            "",
        ),
        (
            storage_error(io::ErrorKind::Other),
            500,
            "storage_failed",
            "",
        ),
        (poisoned, 503, "log_poisoned", ""),
        (Reason::Closed, 503, "log_closed", "1"),
        (Reason::Locked, 500, "internal_error", ""),
        (Reason::Abandoned, 500, "internal_error", ""),
    ] {
        let error = Error::new("/secret/orders", reason);
        let shown = error.to_string();
        assert!(shown.contains("secret"), "{shown}");
        let outcome = match error.outcome() {
            Outcome::NotAppended => "not_appended",
            Outcome::Unknown => "unknown",
        };
        let [read, append] = answers(error).await;
        assert_eq!(append.json()["outcome"], outcome);
        for answer in [read, append] {
            assert_eq!(answer.problem(), problem(status, code), "{shown}");
            assert_eq!(answer.header("retry-after"), retry_after);
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(!body.contains("secret") && !body.contains("77"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_500_with_what_is_known_and_the_next_call_is_answered() {
    let calls = AtomicUsize::new(0);
    let router = router(HookedLog::new(move || {
        assert!(calls.fetch_add(1, Ordering::SeqCst) >= 2, "secret");
        Ok(())
    }));
    let append = post(&router, r#"{"record":""}"#).await;
    assert_eq!(append.json()["outcome"], "unknown");
    let read = get(&router, "/?offset=7", "").await;
    assert_eq!(read.json()["offset"], 7);
    for answer in [append, read] {
        assert_eq!(answer.problem(), problem(500, "internal_error"));
        assert!(!answer.body.windows(6).any(|bytes| bytes == b"secret"));
    }
    assert_eq!(post(&router, r#"{"record":""}"#).await.status, 200);
}

// On a runtime of one thread, which could answer nothing if a call blocked that thread.
#[tokio::test(flavor = "current_thread")]
async fn a_log_that_blocks_delays_only_its_own_call_and_for_a_limited_time() {
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let log = HookedLog::new(move || {
        let _ = blocked.lock().unwrap().recv_timeout(NEVER);
        Ok(())
    });
    let router = ServerOptions::new()
        .request_timeout(SOON)
        .router(log.clone());
    let answer = post(&router, r#"{"record":""}"#).await;
    assert_eq!(answer.problem(), problem(503, "log_timeout"));
    assert_eq!(answer.json()["outcome"], "unknown");
    assert_eq!(answer.header("retry-after"), "1");
    let answer = get(&router, "/?offset=7", "").await;
    assert_eq!(answer.problem(), problem(503, "log_timeout"));
    assert_eq!(answer.json()["offset"], 7);

    // The append was not cancelled, and completes once it can.
    assert_eq!(log.end_offset(), Offset::ZERO);
    drop(release);
    let stored = async {
        while get(&router, "/?offset=0", "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(NEVER, stored).await.unwrap();
}

#[tokio::test]
async fn reads_do_not_wait_for_appends_that_are_blocked() {
    /// Appends to a log are submitted one after another, so the others wait for this one.
    const BLOCKED: usize = 1;
    /// More than the bound on concurrent calls of a kind.
    const APPENDS: usize = 128;
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (release, gate) = mpsc::channel::<()>();
    let (gate, calls) = (Mutex::new(gate), AtomicUsize::new(0));
    let router = router(HookedLog::new(move || {
        if calls.fetch_add(1, Ordering::SeqCst) < BLOCKED {
            begun.send(()).unwrap();
            let _ = gate.lock().unwrap().recv_timeout(NEVER);
        }
        Ok(())
    }));
    let append = async |router: axum::Router| post(&router, r#"{"record":""}"#).await.status;
    let appends = (0..APPENDS).map(|_| tokio::spawn(append(router.clone())));
    let appends: Vec<_> = appends.collect();
    for _ in 0..BLOCKED {
        begins.recv().await.unwrap();
    }
    let answer = get(&router, "/?offset=0", "").await;
    assert_eq!(answer.problem(), problem(404, "record_not_found"));
    drop(release);
    for append in appends {
        assert_eq!(append.await.unwrap(), 200);
    }
}
