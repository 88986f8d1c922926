//! Compaction of the log of cursors.

use proglog_store::testing::{Call, CallKind, Fault, When};

use super::*;

/// Sets cursor `a` until the log has to be compacted.
fn grow(log: &Log, cursors: &CursorLog) {
    while !cursors.is_compaction_due() {
        for _ in 0..100 {
            let set = SetCursor::new(1).metadata("m".repeat(256));
            let submitted = cursors.set(id(1), &name("a"), &set, end_100, Wait::ForDevice);
            assert!(matches!(submitted.unwrap(), Submitted::Taken(..)));
        }
        log.sync().unwrap();
        get(cursors, "a").unwrap();
    }
}

#[test]
fn a_log_that_has_grown_is_compacted_and_says_the_same() {
    let disk = SimDisk::new();
    let (log, cursors) = open(&disk);
    for number in 0..20 {
        done(cursors.set(
            id(2),
            &name(&format!("c{number}")),
            &SetCursor::new(number),
            end_100,
            Wait::ForDevice,
        ))
        .unwrap();
    }
    done(cursors.delete(id(2), &name("c7"), Expect::Any, Wait::ForDevice)).unwrap();
    grow(&log, &cursors);
    let all = |cursors: &CursorLog| {
        let of = |log| cursors.list(id(log), None, 100);
        [of(1), of(2)].concat()
    };
    let before = all(&cursors);
    assert_eq!(before.len(), 20);
    cursors.compact_if_due().unwrap();
    assert!(!cursors.is_compaction_due());
    assert_eq!((all(&cursors), log.len()), (before.clone(), 20));
    let (log, cursors) = open(&disk.crash(Survivors::LoseAll));
    assert_eq!((all(&cursors), log.len()), (before.clone(), 20));
    cursors.compact_if_due().unwrap();
    assert_eq!(log.len(), 20);
    let next = set(&cursors, &SetCursor::new(9)).unwrap();
    assert!(before.iter().all(|cursor| cursor.version < next.version));
}

#[test]
fn a_compaction_whose_trim_has_failed_is_completed_and_not_repeated() {
    let disk = SimDisk::new();
    let (log, cursors) = open(&disk);
    grow(&log, &cursors);
    log.close().unwrap();
    let tried = disk.deep_clone();
    let (_log, cursors) = open(&tried);
    tried.start_trace();
    cursors.compact_if_due().unwrap();
    let trace = tried.trace();
    let is_trim = |call: &&Call| (&*call.name, call.kind) == ("checkpoint", CallKind::Write);
    let trim = trace.iter().rfind(is_trim).unwrap().number.unwrap();
    let disk = disk.deep_clone();
    disk.inject(When::Call(trim), Fault::os_error(5));
    let (log, cursors) = open(&disk);
    cursors.compact_if_due().unwrap_err();
    let end = log.end_offset();
    assert!(cursors.is_compaction_due());
    cursors.compact_if_due().unwrap();
    assert_eq!((log.end_offset(), log.len()), (end, 1));
    assert!(!cursors.is_compaction_due());
}
