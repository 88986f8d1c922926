//! Copies of the files of a log that is open.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proglog_log::{ErrorKind, Log, LogOptions};

use crate::support::{append, holds, options, value};

/// Small segments, so that there are many, and none is preallocated at once.
fn small() -> LogOptions {
    options().segment_bytes_max(8 << 10)
}

/// The names of the files of a log, sorted, but for temporary ones.
fn names(log: &Path) -> Vec<String> {
    let entries = fs::read_dir(log).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names = names
        .filter(|name| !name.ends_with(".tmp"))
        .collect::<Vec<_>>();
    names.sort_unstable();
    names
}

fn copy(log: &Path, names: &[String], to: &Path) {
    for name in names {
        fs::copy(log.join(name), to.join(name)).unwrap();
    }
}

/// Sets the flag when dropped, in a panic too.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` while records are appended and synced, one after the other.
fn while_appending(log: &Log, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let end = log.end_offset().get();
                append(log, end..end + 1);
            }
        });
        let _done = Done(&done);
        work();
    });
}

/// All records below `synced` are read.
fn has_all_below(log: &Log, synced: u64) {
    assert!(log.end_offset() >= synced, "{:?}", log.offsets());
    for record in log.records(..synced) {
        let record = record.unwrap();
        assert_eq!(record.value, value(record.offset.get()));
    }
    assert_eq!(log.records(..synced).count() as u64, synced);
}

#[test]
fn a_copy_of_an_open_log_that_begins_with_the_checkpoint_has_all_that_was_synced_before() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, 0..200);
    while_appending(&log, || {
        for turn in 0..30 {
            let synced = log.end_offset().get();
            let copied = tempfile::tempdir().unwrap();
            copy(folder.path(), &["checkpoint".to_owned()], copied.path());
            let mut others = names(folder.path());
            others.retain(|name| name != "checkpoint");
            let middle = turn % others.len();
            others.rotate_left(middle);
            if turn % 2 == 1 {
                others.reverse();
            }
            copy(folder.path(), &others, copied.path());
            let copied = Log::open(copied.path(), &small()).unwrap();
            has_all_below(&copied, synced);
            let end = copied.end_offset();
            assert_eq!(copied.append("goes on").unwrap(), end);
        }
    });
}

#[test]
fn a_copy_of_an_open_log_in_another_order_is_repaired_if_its_checkpoint_is_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, 0..10);
    let copied = tempfile::tempdir().unwrap();
    copy(folder.path(), &names(folder.path()), copied.path());
    // The log rolls, and then the checkpoint is copied.
    append(&log, 10..200);
    copy(folder.path(), &["checkpoint".to_owned()], copied.path());
    let error = Log::open(copied.path(), &small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    Log::repair(copied.path()).unwrap();
    holds(&Log::open(copied.path(), &small()).unwrap(), 0..10);
}

#[test]
fn a_copy_of_the_segments_before_a_roll_is_repaired_to_a_log_that_ends_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, 0..200);
    log.trim(7).unwrap();
    log.set_application_data(b"mine").unwrap();
    while_appending(&log, || {
        let end = log.roll().unwrap().get();
        let mut names = names(folder.path());
        names.retain(|name| {
            let base = name.strip_suffix(".log").map(str::parse::<u64>);
            name == "checkpoint" || base.is_some_and(|base| base.unwrap() < end)
        });
        let copied = tempfile::tempdir().unwrap();
        copy(folder.path(), &names, copied.path());
        let error = Log::open(copied.path(), &small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        Log::repair(copied.path()).unwrap();
        let copied = Log::open(copied.path(), &small()).unwrap();
        holds(&copied, 7..end);
        assert_eq!(copied.application_data(), b"mine");
    });
}

#[test]
#[cfg(unix)]
fn hard_links_are_no_copy_and_are_not_opened_while_the_log_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small()).unwrap();
    append(&log, 0..200);
    for without_lock in [false, true] {
        let linked = tempfile::tempdir().unwrap();
        for name in names(folder.path()) {
            if !(without_lock && name == "LOCK") {
                fs::hard_link(folder.path().join(&name), linked.path().join(&name)).unwrap();
            }
        }
        let error = Log::open(linked.path(), &small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        holds(&log, 0..200);
    }
    log.close().unwrap();
    holds(&Log::open(folder.path(), &small()).unwrap(), 0..200);
}
