//! Crashes: what ends, and what survives.

use proglog_store::io::OpenMode;
use proglog_store::testing::{CallKind, Fault, Survivors, When};

use crate::support::{create, disk_with_log, logs_after_each_subset, open, set};

#[test]
fn a_kill_keeps_the_page_cache_but_not_past_a_later_power_failure() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    create(&disk, "new");
    let killed = disk.crash(Survivors::KeepAll);
    assert_eq!(
        (killed.file_names(), killed.read_file("log")),
        (disk.file_names(), b"abc".to_vec())
    );
    assert_eq!(killed.pending(), 2);
    let crashed = killed.crash(Survivors::LoseAll);
    assert_eq!(
        (crashed.file_names(), crashed.read_file("log")),
        (vec!["log".into()], vec![])
    );
    open(&killed, "log").sync_data().unwrap();
    assert_eq!(killed.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn what_a_power_failure_left_survives_the_next_one() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    let after = disk.crash(Survivors::Ops(1));
    assert_eq!(after.pending(), 0);
    assert_eq!(after.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn a_planned_crash_ends_every_call_on_every_handle() {
    let (disk, file) = disk_with_log();
    let other = open(&disk, "log");
    disk.inject(When::Call(disk.calls() + 1), Fault::crash());
    file.write_all_at(b"abc", 0).unwrap();
    assert!(!disk.has_crashed());
    file.write_all_at(b"d", 3).unwrap_err();
    assert!(disk.has_crashed());
    let calls = disk.calls();
    other.len().unwrap_err();
    other.sync_data().unwrap_err();
    other.try_lock().unwrap_err();
    other.read_at(&mut [0], 0).unwrap_err();
    let directory = disk.directory();
    directory.open("log", OpenMode::Read).unwrap_err();
    directory.list().unwrap_err();
    directory.sync().unwrap_err();
    assert_eq!(
        (disk.calls(), disk.read_file("log")),
        (calls, b"abc".to_vec())
    );
    let after = disk.crash(Survivors::KeepAll);
    assert_eq!((after.calls(), open(&after, "log").len().unwrap()), (0, 3));
}

#[test]
fn a_write_that_crashes_may_leave_its_beginning() {
    for (begun, expected) in [(0, &b""[..]), (2, b"ab"), (usize::MAX, b"abc")] {
        let (disk, file) = disk_with_log();
        let fault = Fault::crash().after_writing(begun);
        disk.inject(When::Next(CallKind::Write, 0), fault);
        file.write_all_at(b"abc", 0).unwrap_err();
        assert_eq!(logs_after_each_subset(&disk), set([b"", expected]));
    }
}

#[test]
fn a_crash_in_a_sync_leaves_its_changes_undecided() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(When::Next(CallKind::Sync, 0), Fault::crash());
    file.sync_data().unwrap_err();
    let killed = disk.crash(Survivors::KeepAll);
    open(&killed, "log").sync_data().unwrap();
    assert_eq!(killed.crash(Survivors::LoseAll).read_file("log"), b"abc");
    assert_eq!(logs_after_each_subset(&disk), set([b"", b"abc"]));
}

#[test]
fn a_deep_clone_shares_nothing_with_the_original() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    let copy = disk.deep_clone();
    assert_eq!(
        (copy.pending(), copy.calls()),
        (disk.pending(), disk.calls())
    );
    open(&copy, "log").write_all_at(b"x", 0).unwrap();
    copy.flip("log", 1, 0);
    file.sync_data().unwrap();
    assert_eq!(
        (disk.read_file("log"), copy.read_file("log")),
        (b"abc".to_vec(), b"xcc".to_vec())
    );
    assert_eq!((disk.pending(), copy.pending()), (0, 2));
}
