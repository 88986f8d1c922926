//! Tests of cursors in a log in memory, and on the simulated disk.

mod compaction;
mod crashes;

use std::thread;
use std::time::SystemTime;

use proglog_log::{ErrorKind, Job, Log, LogOptions, MemoryLog, Record, Runtime};
use proglog_store::testing::{SimDisk, Survivors};

use std::sync::Arc;
use std::time::Duration;

use proglog_log::Offset;

use crate::cursor::cursor_log::{CURSORS_MAX, CursorLog, Submitted};
use crate::cursor::{Change, Cursor, CursorName, Expect, SetCursor};
use crate::error::{Error, Result};
use crate::id::LogId;
use crate::wait::Wait;

/// Runs nothing: each call to the disk is one of the thread of the test.
#[derive(Debug)]
struct NoBackground;

impl Runtime for NoBackground {
    fn spawn(&self, _job: Job) {}

    fn spawn_after(&self, _delay: Duration, _job: Job) {}
}

fn options() -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(64 << 10)
        .preallocate_max(0)
        .idle_after(Duration::MAX)
        .runtime(Arc::new(NoBackground))
}

fn open(disk: &SimDisk) -> (Log, CursorLog) {
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    let cursors = CursorLog::open(Arc::new(log.clone())).unwrap();
    (log, cursors)
}

fn in_memory() -> (MemoryLog, CursorLog) {
    let log = MemoryLog::new();
    let cursors = CursorLog::open(Arc::new(log.clone())).unwrap();
    (log, cursors)
}

fn id(number: u8) -> LogId {
    format!("{number:032x}").parse().unwrap()
}

fn name(text: &str) -> CursorName {
    text.parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the end of a log is")]
fn end_100() -> Result<Offset> {
    Ok(Offset::new(100))
}

/// Submits a change to cursor `a` of log 1, and waits until it is durable.
fn set(cursors: &CursorLog, set: &SetCursor) -> Result<Cursor> {
    done(cursors.set(id(1), &name("a"), set, end_100, Wait::ForDevice)).map(Option::unwrap)
}

fn done(submitted: Result<Submitted>) -> Result<Option<Cursor>> {
    match submitted? {
        Submitted::Taken(ticket, cursor) => {
            ticket.wait()?;
            Ok(cursor)
        }
        Submitted::Unmoved(cursor) => Ok(Some(cursor)),
        Submitted::Blocked => panic!("it may wait"),
    }
}

fn get(cursors: &CursorLog, text: &str) -> Option<Cursor> {
    assert!(cursors.catch_up(Wait::ForDevice).unwrap());
    cursors.get(id(1), &name(text))
}

#[test]
fn a_record_of_a_cursor_has_its_golden_form() {
    let updated_at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_796_000_000_000_001);
    let change = Change {
        log: id(7),
        name: name("billing"),
        cursor: Some(Cursor {
            name: name("billing"),
            next_offset: Offset::new(1204),
            version: 7,
            updated_at,
            metadata: "worker \"3\"".to_owned(),
        }),
    };
    let record = change.encode();
    assert_eq!(
        record.key.as_deref().unwrap(),
        b"00000000000000000000000000000007/billing"
    );
    let value = r#"{"next_offset":1204,"version":7,"updated_at":1796000000000001,"metadata":"worker \"3\""}"#;
    assert_eq!(record.value, value);
    let stored =
        |record: Record| Change::decode(&proglog_log::StoredRecord::new(0, updated_at, record));
    assert_eq!(stored(record).unwrap(), change);
    let later = r#"{"next_offset":1204,"version":7,"updated_at":1796000000000001,"metadata":"worker \"3\"","of_later":[]}"#;
    let key = "00000000000000000000000000000007/billing";
    assert_eq!(stored(Record::new(later).with_key(key)).unwrap(), change);
    let deleted = Change {
        cursor: None,
        ..change
    };
    assert_eq!(deleted.encode().value, "");
    assert_eq!(stored(deleted.encode()).unwrap(), deleted);
    for (key, value) in [
        (key, "{}"),
        (key, "[7"),
        ("7/billing", value),
        (key.trim_end_matches("billing"), value),
    ] {
        assert_eq!(
            stored(Record::new(value).with_key(key)),
            None,
            "{key} {value}"
        );
    }
    assert_eq!(stored(Record::new(value)), None);
}

#[test]
fn a_cursor_is_set_if_it_is_as_expected() {
    let (_, cursors) = in_memory();
    let at = |offset| SetCursor::new(offset);
    assert_eq!(get(&cursors, "a"), None);
    let moved = set(&cursors, &at(1).expect(Expect::Version(1)));
    assert!(
        matches!(moved, Err(Error::CursorMoved { version: None })),
        "{moved:?}"
    );
    let made = set(&cursors, &at(5).metadata("m").expect(Expect::Absent)).unwrap();
    assert_eq!((made.next_offset.get(), made.metadata.as_str()), (5, "m"));
    assert_eq!(get(&cursors, "a").unwrap(), made);
    let version = Some(made.version);
    for expected in [Expect::Absent, Expect::Version(made.version + 1)] {
        let moved = set(&cursors, &at(6).expect(expected)).unwrap_err();
        assert!(
            matches!(moved, Error::CursorMoved { version: is } if is == version),
            "{moved:?}"
        );
    }
    let next = set(&cursors, &at(3).expect(Expect::Version(made.version))).unwrap();
    assert!(next.version > made.version);
    assert_eq!((next.next_offset.get(), next.metadata.as_str()), (3, ""));
    // Forward: unmoved, and moved.
    assert_eq!(set(&cursors, &at(2).forward()).unwrap(), next);
    let moved = set(
        &cursors,
        &at(2).forward().expect(Expect::Version(made.version)),
    );
    assert!(matches!(moved, Err(Error::CursorMoved { .. })), "{moved:?}");
    assert_eq!(set(&cursors, &at(3).forward()).unwrap().next_offset, 3);
    assert_eq!(set(&cursors, &at(100).forward()).unwrap().next_offset, 100);
    let beyond = set(&cursors, &at(101)).unwrap_err();
    assert!(
        matches!(beyond, Error::BeyondEnd { end } if end == 100),
        "{beyond:?}"
    );
    set(&cursors, &at(7).metadata("m".repeat(256))).unwrap();
    let long = set(&cursors, &at(7).metadata("m".repeat(257))).unwrap_err();
    assert!(
        matches!(long, Error::MetadataTooLong { len: 257, max: 256 }),
        "{long:?}"
    );
}

#[test]
fn a_version_is_not_used_again_by_a_cursor_that_is_made_again() {
    let (_, cursors) = in_memory();
    let made = set(&cursors, &SetCursor::new(1)).unwrap();
    let delete = |expected| done(cursors.delete(id(1), &name("a"), expected, Wait::ForDevice));
    assert!(matches!(
        delete(Expect::Version(9)),
        Err(Error::CursorMoved { .. })
    ));
    assert_eq!(delete(Expect::Version(made.version)).unwrap(), None);
    assert!(matches!(delete(Expect::Any), Err(Error::CursorNotFound)));
    assert!(matches!(
        delete(Expect::Version(1)),
        Err(Error::CursorMoved { version: None })
    ));
    let again = set(&cursors, &SetCursor::new(1)).unwrap();
    assert!(again.version > made.version);
}

#[test]
fn cursors_are_those_of_a_log_and_listed_by_name() {
    let disk = SimDisk::new();
    let (log, cursors) = open(&disk);
    for (log, text) in [(1, "b"), (1, "a"), (2, "a"), (1, "c")] {
        done(cursors.set(
            id(log),
            &name(text),
            &SetCursor::new(u64::from(log)),
            end_100,
            Wait::ForDevice,
        ))
        .unwrap();
    }
    let names = |cursors: &CursorLog, log, after: Option<&str>, limit| {
        assert!(cursors.catch_up(Wait::ForDevice).unwrap());
        let listed = cursors.list(id(log), after.map(name).as_ref(), limit);
        listed
            .iter()
            .map(|cursor| cursor.name.to_string())
            .collect::<String>()
    };
    let check = |cursors: &CursorLog| {
        assert_eq!(names(cursors, 1, None, 9), "abc");
        assert_eq!(names(cursors, 1, None, 2), "ab");
        assert_eq!(names(cursors, 1, Some("a"), 2), "bc");
        assert_eq!(names(cursors, 2, None, 9), "a");
        assert_eq!(names(cursors, 3, None, 9), "");
    };
    check(&cursors);
    drop((log, cursors));
    let (log, cursors) = open(&disk.crash(Survivors::LoseAll));
    check(&cursors);
    cursors.delete_all(id(1)).unwrap();
    cursors.delete_all(id(3)).unwrap();
    assert_eq!(
        names(&cursors, 1, None, 9) + &names(&cursors, 2, None, 9),
        "a"
    );
    assert_eq!(log.len(), 7);
}

#[test]
fn no_more_cursors_are_made_than_there_may_be() {
    let (log, cursors) = in_memory();
    for number in 0..CURSORS_MAX {
        done(cursors.set(
            id(2),
            &name(&format!("c{number}")),
            &SetCursor::new(1),
            end_100,
            Wait::ForDevice,
        ))
        .unwrap();
    }
    assert!(matches!(
        set(&cursors, &SetCursor::new(1)),
        Err(Error::TooManyCursors)
    ));
    done(cursors.set(
        id(2),
        &name("c0"),
        &SetCursor::new(2),
        end_100,
        Wait::ForDevice,
    ))
    .unwrap();
    done(cursors.delete(id(2), &name("c1"), Expect::Any, Wait::ForDevice)).unwrap();
    set(&cursors, &SetCursor::new(1)).unwrap();
    let cursors = CursorLog::open(Arc::new(log)).unwrap();
    assert!(matches!(
        done(cursors.set(
            id(2),
            &name("c1"),
            &SetCursor::new(1),
            end_100,
            Wait::ForDevice
        )),
        Err(Error::TooManyCursors)
    ));
}

#[test]
fn a_version_is_seen_once_it_is_durable() {
    let disk = SimDisk::new();
    let (log, cursors) = open(&disk);
    let first = set(&cursors, &SetCursor::new(1)).unwrap();
    let submitted = cursors
        .set(id(1), &name("a"), &SetCursor::new(2), end_100, Wait::Never)
        .unwrap();
    let Submitted::Taken(ticket, Some(second)) = submitted else {
        panic!("{submitted:?}");
    };
    assert_eq!(get(&cursors, "a").unwrap(), first);
    // What is refused since the cursor has moved says where to, and what stays says how far it is.
    for set in [
        SetCursor::new(3).expect(Expect::Version(first.version)),
        SetCursor::new(1).forward(),
    ] {
        let blocked = cursors
            .set(id(1), &name("a"), &set, end_100, Wait::Never)
            .unwrap();
        assert!(matches!(blocked, Submitted::Blocked), "{blocked:?}");
    }
    let refused = set(
        &cursors,
        &SetCursor::new(3).expect(Expect::Version(first.version)),
    );
    let Err(Error::CursorMoved { version }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(version, Some(second.version));
    let (_, after_crash) = open(&disk.crash(Survivors::LoseAll));
    assert_eq!(get(&after_crash, "a").unwrap(), second);
    ticket.wait().unwrap();
    assert_eq!(log.len(), 2);
}

#[test]
fn a_change_that_fails_is_taken_back_with_all_after_it() {
    let disk = SimDisk::new();
    let (log, cursors) = open(&disk);
    let first = set(&cursors, &SetCursor::new(1)).unwrap();
    let tickets = [2, 3].map(|at| {
        let submitted = cursors
            .set(id(1), &name("a"), &SetCursor::new(at), end_100, Wait::Never)
            .unwrap();
        let Submitted::Taken(ticket, _) = submitted else {
            panic!("{submitted:?}");
        };
        ticket
    });
    disk.set_capacity(Some(0));
    for ticket in tickets {
        assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::DiskFull);
    }
    let full = set(
        &cursors,
        &SetCursor::new(4).expect(Expect::Version(first.version)),
    );
    assert!(matches!(full, Err(Error::Log(_))), "{full:?}");
    disk.set_capacity(None);
    assert_eq!(get(&cursors, "a").unwrap(), first);
    let next = set(
        &cursors,
        &SetCursor::new(4).expect(Expect::Version(first.version)),
    )
    .unwrap();
    assert_eq!(get(&cursors, "a").unwrap(), next);
    assert_eq!(log.len(), 2);
}

#[test]
fn a_change_is_decided_again_where_another_server_has_appended_first() {
    let (log, cursors) = in_memory();
    let first = set(&cursors, &SetCursor::new(1)).unwrap();
    let other = CursorLog::open(Arc::new(log.clone())).unwrap();
    let theirs = set(
        &other,
        &SetCursor::new(2).expect(Expect::Version(first.version)),
    )
    .unwrap();
    let lost = set(
        &cursors,
        &SetCursor::new(3).expect(Expect::Version(first.version)),
    );
    assert!(matches!(lost, Err(Error::CursorMoved { version }) if version == Some(theirs.version)));
    let ours = set(&cursors, &SetCursor::new(3)).unwrap();
    assert_eq!(get(&other, "a").unwrap(), ours);
}

#[test]
fn cursors_beyond_the_end_of_a_log_are_set_back_durably() {
    let disk = SimDisk::new();
    let (_, cursors) = open(&disk);
    for (text, at) in [("a", 50), ("b", 51), ("c", 100)] {
        let set = SetCursor::new(at).metadata("m");
        done(cursors.set(id(1), &name(text), &set, end_100, Wait::ForDevice)).unwrap();
    }
    done(cursors.set(
        id(2),
        &name("a"),
        &SetCursor::new(60),
        end_100,
        Wait::ForDevice,
    ))
    .unwrap();
    let before = get(&cursors, "b").unwrap();
    // One more that is under way.
    let submitted = cursors
        .set(id(1), &name("a"), &SetCursor::new(70), end_100, Wait::Never)
        .unwrap();
    assert!(matches!(submitted, Submitted::Taken(..)));
    cursors.set_back(id(1), Offset::new(50)).unwrap();
    let (log, cursors) = open(&disk.crash(Survivors::LoseAll));
    for text in ["a", "b", "c"] {
        let cursor = get(&cursors, text).unwrap();
        assert_eq!(cursor.next_offset, 50);
        assert!(cursor.version > before.version);
        assert_eq!(cursor.metadata, if text == "a" { "" } else { "m" });
    }
    assert_eq!(cursors.get(id(2), &name("a")).unwrap().next_offset, 60);
    let len = log.len();
    cursors.set_back(id(1), Offset::new(50)).unwrap();
    assert_eq!(log.len(), len, "there is nothing to do");
}

#[test]
fn damage_costs_the_change_in_it_and_no_other_cursor() {
    let disk = SimDisk::new();
    let (log, cursors) = open(&disk);
    let first = set(&cursors, &SetCursor::new(1)).unwrap();
    set(&cursors, &SetCursor::new(2).metadata("second")).unwrap();
    done(cursors.set(
        id(1),
        &name("b"),
        &SetCursor::new(3),
        end_100,
        Wait::ForDevice,
    ))
    .unwrap();
    log.close().unwrap();
    let segment = "00000000000000000000.log";
    let bytes = disk.read_file(segment);
    let at = bytes
        .windows(6)
        .position(|window| window == b"second")
        .unwrap();
    disk.flip(segment, at as u64, 0);
    let (_, cursors) = open(&disk);
    assert_eq!(get(&cursors, "a").unwrap(), first);
    assert_eq!(get(&cursors, "b").unwrap().next_offset, 3);
    let next = set(&cursors, &SetCursor::new(4)).unwrap();
    assert!(
        next.version > first.version + 1,
        "the version that is lost is not used again"
    );
}

#[test]
fn one_of_two_consumers_wins_each_version() {
    const ROUNDS: u64 = 300;
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &LogOptions::new()).unwrap();
    let cursors = CursorLog::open(Arc::new(log.clone())).unwrap();
    set(&cursors, &SetCursor::new(0)).unwrap();
    let end = || Ok(Offset::new(ROUNDS));
    let consume = || {
        let mut won = 0;
        loop {
            let cursor = get(&cursors, "a").unwrap();
            if cursor.next_offset == ROUNDS {
                return won;
            }
            let next =
                SetCursor::new(cursor.next_offset + 1).expect(Expect::Version(cursor.version));
            let submitted = match cursors.set(id(1), &name("a"), &next, end, Wait::Never) {
                Ok(Submitted::Blocked) => {
                    cursors.set(id(1), &name("a"), &next, end, Wait::ForDevice)
                }
                submitted => submitted,
            };
            match done(submitted) {
                Ok(_) => won += 1,
                Err(Error::CursorMoved { version }) => assert!(version > Some(cursor.version)),
                other => panic!("{other:?}"),
            }
        }
    };
    let won: u64 = thread::scope(|scope| {
        let consumers = [(); 4].map(|()| scope.spawn(consume));
        consumers
            .map(|consumer| consumer.join().unwrap())
            .iter()
            .sum()
    });
    assert_eq!((won, log.len()), (ROUNDS, ROUNDS + 1));
}
