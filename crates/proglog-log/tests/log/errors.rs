//! Errors: each public operation that can fail names the log that it failed on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use proglog_log::{
    Batch, CommitLog, Error, Follow, Log, LogOptions, MemoryLog, Offset, OffsetBounds, Outcome,
    ReadLog, ReadOnlyLog, Reason, RecvTimeoutError, Result, Visibility,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};
use tempfile::TempDir;

use crate::support::{block_on, options};

/// An offset after the end of each log here.
const PAST: Offset = Offset::new(99);

/// The errors of operations, each with the operation.
type Failed = Vec<(&'static str, Error)>;

fn error<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

fn path(directory: &TempDir) -> PathBuf {
    std::path::absolute(directory.path()).unwrap()
}

#[track_caller]
fn assert_named(failed: Failed, name: &str) {
    assert!(!failed.is_empty());
    for (operation, error) in failed {
        assert_eq!(*error.log, *name, "{operation}: {error}");
        let text = format!("log {name:?}: {}", error.reason);
        assert_eq!(error.to_string(), text, "{operation}");
        assert_eq!(text.matches(name).count(), 1, "{operation}: {text}");
    }
}

#[track_caller]
fn assert_names_path(failed: Failed, path: &Path) {
    assert_named(failed, path.to_str().unwrap());
}

/// The errors of each way to follow a log from a place where that fails at once.
fn following(follow: impl Fn() -> Follow) -> Failed {
    let timed_out = follow().recv_timeout(Duration::ZERO);
    let mut failed = vec![
        ("Follow::next", error(follow().next().unwrap())),
        ("Follow::try_next", error(follow().try_next())),
        (
            "FollowStream::next",
            error(block_on(follow().into_stream().next()).unwrap()),
        ),
    ];
    match timed_out {
        Err(RecvTimeoutError::Failed(error)) => failed.push(("Follow::recv_timeout", error)),
        closed => assert!(matches!(closed, Err(RecvTimeoutError::Closed))),
    }
    failed
}

/// The errors of each way to read past the end.
fn reading(log: &dyn ReadLog) -> Failed {
    let range = OffsetBounds::from(PAST..Offset::MAX);
    let mut lent = log.records(range);
    let mut failed = vec![
        ("read", error(log.read(PAST))),
        ("records", error(log.records(range).next().unwrap())),
        ("rev", error(log.records(range).next_back().unwrap())),
        ("next_ref", error(lent.next_ref().unwrap())),
        ("read_batch", error(log.read_batch(PAST, usize::MAX, 1))),
    ];
    failed.extend(following(|| log.follow(PAST)));
    failed
}

/// The errors of appends that are refused.
fn appending(log: &dyn CommitLog) -> Failed {
    let large = || vec![7; 2 << 20];
    let batch = || Batch::from_iter(["a"]);
    vec![
        ("append", error(log.append(large().into()))),
        ("append_at", error(log.append_at(PAST, "a".into()))),
        ("append_batch", error(log.append_batch([large()].into()))),
        ("append_batch_at", error(log.append_batch_at(PAST, batch()))),
        ("submit", error(log.submit(large().into()))),
        ("submit_at", error(log.submit_at(PAST, "a".into()))),
        ("submit_batch", error(log.submit_batch([large()].into()))),
        ("submit_batch_at", error(log.submit_batch_at(PAST, batch()))),
        ("trim", error(log.trim(PAST))),
    ]
}

/// The errors of reads of a log that is closed.
fn reading_closed(log: &dyn ReadLog) -> Failed {
    let mut failed = reading(log);
    failed.push(("last", error(log.last())));
    let sought = log.offset_for_time(SystemTime::now());
    failed.push(("offset_for_time", error(sought)));
    failed
}

/// The errors of the operations that any log has, of one that is closed.
fn closed(log: &dyn CommitLog) -> Failed {
    let mut failed = reading_closed(log);
    failed.extend(appending(log));
    failed.push(("sync", error(log.sync())));
    for (operation, error) in &failed {
        // Sizes are checked first.
        let is_closed = matches!(error.reason, Reason::Closed);
        assert!(
            is_closed || error.reason.to_string().contains("larger"),
            "{operation}: {error}"
        );
    }
    failed
}

#[test]
fn the_text_of_an_error_names_the_log_once_and_then_the_reason() {
    let error = Error::new(
        "/srv/orders",
        Reason::OutOfRange {
            offset: Offset::new(9),
            start: Offset::ZERO,
            end: Offset::new(3),
        },
    );
    assert_eq!(
        error.to_string(),
        r#"log "/srv/orders": offset 9 is out of range: the log has 0..3"#
    );
    let file = std::io::Error::other("the device has gone");
    let error = Error::new(
        "/srv/orders",
        Reason::Io {
            operation: proglog_log::Operation::Sync,
            file: "checkpoint".into(),
            source: std::sync::Arc::new(file),
        },
    );
    assert_eq!(
        error.to_string(),
        r#"log "/srv/orders": cannot sync checkpoint"#
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the device has gone");
    assert_eq!(error.outcome(), Outcome::NotAppended);
}

#[test]
fn a_log_that_cannot_be_opened_or_repaired_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = path(&directory);
    let at = |name: &str| root.join(name);
    let open = |name: &str| vec![("open", error(Log::open(at(name), &options())))];
    let read = |name: &str| vec![("open", error(ReadOnlyLog::open(at(name))))];
    let repair = |name: &str| vec![("repair", error(Log::repair(at(name))))];

    let locked = Log::open(at("locked"), &options()).unwrap();
    assert_names_path(open("locked"), &at("locked"));
    assert_names_path(repair("locked"), &at("locked"));
    drop(locked);

    fs::create_dir(at("notes")).unwrap();
    fs::write(at("notes").join("notes.txt"), "mine").unwrap();
    for failed in [open("notes"), read("notes"), repair("notes")] {
        assert_names_path(failed, &at("notes"));
    }

    fs::create_dir(at("empty")).unwrap();
    for name in ["empty", "missing"] {
        assert_names_path(read(name), &at(name));
        assert_names_path(repair(name), &at(name));
    }

    // A checkpoint of another log.
    Log::open(at("other"), &options())
        .unwrap()
        .append("a")
        .unwrap();
    Log::open(at("foreign"), &options())
        .unwrap()
        .append("a")
        .unwrap();
    fs::copy(
        at("other").join("checkpoint"),
        at("foreign").join("checkpoint"),
    )
    .unwrap();
    for failed in [open("foreign"), read("foreign")] {
        assert!(matches!(failed[0].1.reason, Reason::WrongSegment { .. }));
        assert_names_path(failed, &at("foreign"));
    }

    fs::write(at("file"), "mine").unwrap();
    for name in ["file", "file/below"] {
        let failed = open(name);
        assert!(matches!(failed[0].1.reason, Reason::Io { .. }));
        assert_names_path(failed, &at(name));
    }

    let invalid = options().segment_bytes_max(0);
    let failed = vec![("open", error(Log::open(at("new"), &invalid)))];
    assert!(matches!(failed[0].1.reason, Reason::Options(_)));
    assert_names_path(failed, &at("new"));
    assert!(!at("new").exists());
}

#[test]
fn each_operation_of_a_log_on_disk_names_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = path(&directory);
    let log = Log::open(&path, &options()).unwrap();
    let reader = log.reader(Visibility::Appended);
    log.append_batch(["a", "b", "c"]).unwrap();
    log.trim(1).unwrap();
    assert_eq!(
        (log.name(), reader.name()),
        (path.to_str().unwrap(), log.name())
    );

    let too_long = [0; 2000];
    assert_names_path(reading(&log), &path);
    assert_names_path(reading(&reader), &path);
    assert_names_path(appending(&log), &path);
    let refused = vec![
        ("trimmed", error(log.read(0))),
        ("trimmed records", error(log.records(0..).next().unwrap())),
        ("trimmed follow", error(log.follow(0).next().unwrap())),
        ("truncate", error(log.truncate(PAST))),
        ("reset", error(log.reset(0))),
        ("set_high_watermark", error(log.set_high_watermark(PAST))),
        (
            "set_application_data",
            error(log.set_application_data(&too_long)),
        ),
    ];
    assert_names_path(refused, &path);

    log.close().unwrap();
    assert_names_path(closed(&log), &path);
    assert_names_path(reading_closed(&reader), &path);
    let refused = vec![
        ("verify", error(log.verify())),
        ("apply_retention", error(log.apply_retention())),
        ("truncate", error(log.truncate(1))),
        ("reset", error(log.reset(PAST))),
        ("roll", error(log.roll())),
        ("set_high_watermark", error(log.set_high_watermark(1))),
        (
            "set_application_data",
            error(log.set_application_data(b"a")),
        ),
    ];
    assert_names_path(refused, &path);
}

#[test]
fn a_ticket_that_fails_names_the_log_however_its_outcome_is_learned() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &LogOptions::new()).unwrap();
    let tickets = ["waited for", "awaited", "called back"].map(|value| log.submit(value).unwrap());
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    let [waited, awaited, called] = tickets;
    let (sender, outcome) = channel();
    called.on_complete(move |outcome| sender.send(outcome).unwrap());
    let failed = vec![
        ("wait", error(waited.wait())),
        (
            "on_complete",
            error(outcome.recv_timeout(Duration::from_mins(1)).unwrap()),
        ),
        ("await", error(block_on(awaited))),
        ("append", error(log.append("later"))),
        ("sync", error(log.sync())),
    ];
    assert_named(failed, "simulated");
}

#[test]
fn a_log_that_is_only_read_names_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = path(&directory);
    let log = Log::open(&path, &options()).unwrap();
    log.append_batch(["a", "b", "c"]).unwrap();
    log.trim(1).unwrap();
    log.close().unwrap();
    let log = ReadOnlyLog::open(&path).unwrap();
    assert_eq!(log.name(), path.to_str().unwrap());
    assert_names_path(reading(&log), &path);
    assert_names_path(reading(&log.reader()), &path);
    assert_names_path(vec![("trimmed", error(log.read(0)))], &path);
    fs::remove_file(path.join("checkpoint")).unwrap();
    let failed = vec![
        ("refresh", error(log.refresh())),
        ("read", error(log.read(PAST))),
    ];
    assert!(
        failed
            .iter()
            .all(|(_, error)| matches!(error.reason, Reason::CheckpointLost { .. }))
    );
    assert_names_path(failed, &path);
}

#[test]
fn a_log_in_memory_is_named_memory() {
    let log = MemoryLog::new();
    log.append("a").unwrap();
    let failed = [reading(&log), appending(&log)].concat();
    assert_named(failed, "memory");
    log.close().unwrap();
    assert_named(closed(&log), "memory");
    let invalid = options().segment_bytes_max(0);
    let failed = vec![("with_options", error(MemoryLog::with_options(&invalid)))];
    assert_named(failed, "memory");
}
