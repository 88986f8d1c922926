//! A log whose directory is renamed, replaced or removed while it is open.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use proglog_log::Cache;
use proglog_log::{Error, ErrorKind, Log, LogOptions, ReadOnlyLog, Reason, Retention};
use proglog_store::testing::{Fault, SimDisk, Survivors, When};

use crate::support::{append, holds, open, options, value};

const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_mins(1);

/// The log is poisoned since its directory has moved.
#[track_caller]
fn is_stopped(result: Result<impl std::fmt::Debug, Error>) {
    match result {
        Err(Error {
            reason: Reason::Poisoned { source },
            ..
        }) => {
            assert_eq!(source.kind(), ErrorKind::DirectoryMoved);
        }
        other => panic!("{other:?}"),
    }
}

/// A log at this path, which is idle 50 ms after an append.
fn open_at(path: &Path) -> Log {
    Log::open(path, &options().idle_after(SOON)).unwrap()
}

/// The operations that change files.
const CHANGES: [fn(&Log) -> proglog_log::Result<()>; 6] = [
    |log| log.roll().map(drop),
    |log| log.trim(1),
    |log| log.truncate(2),
    |log| log.reset(9),
    |log| log.apply_retention().map(drop),
    |log| log.set_application_data(b"a"),
];

#[test]
#[cfg(unix)]
fn a_log_whose_directory_was_renamed_changes_nothing_of_the_log_that_has_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let (data, old) = (folder.path().join("data"), folder.path().join("old"));
    let age = Duration::from_millis(300);
    let by_age = options().retention(Retention::new().age(age));
    let first = Log::open(&data, &by_age).unwrap();
    append(&first, 0..100);
    fs::rename(&data, &old).unwrap();
    let second = Log::open(&data, &options()).unwrap();
    for number in 0..100 {
        second
            .append(format!("of the second log: {number}"))
            .unwrap();
    }
    sleep(3 * age);
    drop(first.close());
    second.close().unwrap();
    let second = Log::open(&data, &options()).unwrap();
    assert!(second.recovery().clean);
    assert_eq!(second.offsets(), 0..100);
    for record in second.records(..) {
        let record = record.unwrap();
        let expected = format!("of the second log: {}", record.offset);
        assert_eq!(record.value, expected);
    }
    let first = Log::open(&old, &options()).unwrap();
    assert_eq!(first.end_offset(), 100);
}

#[test]
#[cfg(unix)]
fn a_log_stops_once_the_link_to_its_directory_leads_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("data");
    for name in ["a", "b"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("a", &link).unwrap();
    let first = open_at(&link);
    append(&first, 0..20);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("b", &link).unwrap();
    let second = open_at(&link);
    append(&second, 0..3);
    is_stopped(first.roll());
    holds(&first, 0..20);
    first.close().unwrap();
    holds(&second, 0..3);
    holds(&open_at(&folder.path().join("a")), 0..20);
}

#[test]
#[cfg(unix)]
fn a_log_that_was_idle_takes_no_append_once_its_directory_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = open_at(&data);
    append(&log, 0..3);
    sleep(10 * SOON);
    fs::remove_dir_all(&data).unwrap();
    is_stopped(log.append("b"));
    assert_eq!(log.offsets(), 0..3);
    assert_eq!(log.read(1).unwrap().value, value(1));
    // There is no checkpoint to write.
    log.close().unwrap_err();
}

#[test]
#[cfg(unix)]
fn a_log_that_is_appended_to_stops_soon_after_its_directory_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // It never rolls.
    let log = Log::open(&data, &LogOptions::new()).unwrap();
    log.append("a").unwrap();
    fs::remove_dir_all(&data).unwrap();
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = log.append("a") {
            break error;
        }
        assert!(begun.elapsed() < LONG);
    };
    is_stopped(Err::<(), _>(error));
}

#[test]
#[cfg(unix)]
fn a_log_whose_lock_file_was_removed_or_replaced_stops() {
    for is_replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &options()).unwrap();
        append(&log, 0..3);
        let lock = folder.path().join("LOCK");
        fs::remove_file(&lock).unwrap();
        if is_replaced {
            fs::write(&lock, "").unwrap();
        }
        is_stopped(log.roll());
        is_stopped(log.append("b"));
        holds(&log, 0..3);
        log.close().unwrap();
        holds(&open_at(folder.path()), 0..3);
    }
}

#[test]
fn no_operation_changes_a_log_whose_directory_has_moved() {
    for change in CHANGES {
        let disk = SimDisk::new();
        let log = open(&disk);
        append(&log, 0..3);
        let before = disk.fingerprint();
        let there = disk.exchange();
        is_stopped(change(&log));
        is_stopped(log.append("b"));
        assert_eq!(disk.fingerprint(), before);
        assert!(there.file_names().is_empty());
        holds(&log, 0..3);
        log.close().unwrap();
        holds(&open(&disk.crash(Survivors::LoseAll)), 0..3);
    }
}

#[test]
#[cfg(unix)]
fn a_log_that_has_stopped_changes_nothing_though_its_directory_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, old) = (folder.path().join("data"), folder.path().join("old"));
    let log = Log::open(&data, &options()).unwrap();
    append(&log, 0..3);
    fs::rename(&data, &old).unwrap();
    is_stopped(log.roll());
    fs::rename(&old, &data).unwrap();
    let checkpoint = fs::read(data.join("checkpoint")).unwrap();
    for change in CHANGES {
        is_stopped(change(&log));
    }
    assert_eq!(fs::read(data.join("checkpoint")).unwrap(), checkpoint);
}

#[test]
fn a_directory_that_has_moved_is_not_opened() {
    let disk = SimDisk::new();
    open(&disk).append("a").unwrap();
    let directory = disk.directory();
    drop(disk.exchange());
    let error = Log::open_in(directory, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DirectoryMoved);
}

#[test]
fn what_was_acknowledged_is_kept_though_the_directory_moves_and_the_process_stops_at_any_call() {
    for stop in 0.. {
        let disk = SimDisk::new();
        disk.inject(When::Call(stop), Fault::crash());
        let mut acknowledged = 0;
        if let Ok(log) = Log::open_in(disk.directory(), &options()) {
            let mut append_some = || {
                for _ in 0..15 {
                    acknowledged += u64::from(log.append(value(acknowledged)).is_ok());
                }
            };
            append_some();
            let there = disk.exchange();
            // At the next roll it stops.
            append_some();
            for change in CHANGES {
                change(&log).unwrap_err();
            }
            drop(log.close());
            assert!(there.file_names().is_empty());
        }
        let log = open(&disk.crash(Survivors::LoseAll));
        let kept = log.end_offset().get();
        assert!(kept >= acknowledged, "{kept} of {acknowledged}");
        holds(&log, 0..kept);
        if !disk.has_crashed() {
            assert!((15..30).contains(&acknowledged));
            break;
        }
    }
}

#[test]
#[cfg(unix)]
fn a_read_only_log_whose_directory_was_replaced_says_so_and_reads_what_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (data, old) = (folder.path().join("data"), folder.path().join("old"));
    let first = open_at(&data);
    append(&first, 0..20);
    first.close().unwrap();
    let reader = ReadOnlyLog::open(&data).unwrap();
    let mut follower = reader.follow(20);
    fs::rename(&data, &old).unwrap();
    let second = open_at(&data);
    append(&second, 0..30);
    second.close().unwrap();
    let moved = |error: Error| assert_eq!(error.kind(), ErrorKind::DirectoryMoved);
    moved(reader.refresh().unwrap_err());
    moved(reader.read(25).unwrap_err());
    match follower.recv_timeout(LONG) {
        Err(proglog_log::RecvTimeoutError::Failed(error)) => moved(error),
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.offsets(), 0..20);
    assert_eq!(reader.records(0..20).count(), 20);
    fs::rename(&data, folder.path().join("second")).unwrap();
    fs::rename(&old, &data).unwrap();
    assert_eq!(reader.refresh().unwrap(), 20);
}

/// Waits until `log`, which is at `path`, is idle: it has two files open, those that it has locked.
#[cfg(target_os = "linux")]
#[track_caller]
fn wait_until_idle(path: &Path) {
    let begun = Instant::now();
    loop {
        let mut open = crate::support::open_in(path);
        open.sort_unstable();
        let is_kept = |name: &str| name.ends_with("/LOCK") || name.ends_with(".log");
        if open.len() == 2 && open.iter().all(|name| is_kept(name)) {
            return;
        }
        assert!(begun.elapsed() < LONG, "{open:?}");
        std::thread::yield_now();
    }
}

/// As [`open_at`], for a log that closes the files of sealed segments at once.
#[cfg(target_os = "linux")]
fn open_idle(path: &Path) -> Log {
    let cache = Cache::builder().open_segments_max(0).build();
    let log = Log::open(path, &options().idle_after(SOON).cache(cache)).unwrap();
    wait_until_idle(path);
    log
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_log_has_two_files_open_whatever_it_did_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let log = open_idle(path);
    append(&log, 0..20);
    wait_until_idle(path);
    // Without an append after it, each finds the directory for itself.
    let uses: [fn(&Log); 8] = [
        |log| assert!(log.roll().is_ok()),
        |log| holds(log, 0..20),
        |log| log.trim(1).unwrap(),
        |log| log.set_application_data(b"a").unwrap(),
        |log| assert!(log.apply_retention().is_ok()),
        |log| log.truncate(15).unwrap(),
        |log| assert!(log.verify().unwrap().damaged.is_empty()),
        |log| log.reset(30).unwrap(),
    ];
    for action in uses {
        action(&log);
        wait_until_idle(path);
    }
    append(&log, 30..50);
    wait_until_idle(path);
    holds(&log, 30..50);
    log.close().unwrap();
    assert_eq!(crate::support::open_in(path).len(), 1);
    drop(log);
    assert_eq!(crate::support::open_in(path), [""; 0]);
    let log = open_idle(path);
    assert!(log.recovery().clean);
    holds(&log, 30..50);
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_log_whose_directory_was_renamed_is_read_and_closed_and_leaves_the_other_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, old) = (folder.path().join("data"), folder.path().join("old"));
    let first = open_idle(&data);
    append(&first, 0..20);
    wait_until_idle(&data);
    fs::rename(&data, &old).unwrap();
    let second = Log::open(&data, &options()).unwrap();
    append(&second, 0..3);
    holds(&first, 0..20);
    for change in CHANGES {
        is_stopped(change(&first));
    }
    is_stopped(first.append("b"));
    holds(&first, 0..20);
    first.close().unwrap();
    second.close().unwrap();
    holds(&open_at(&data), 0..3);
    let first = open_at(&old);
    assert!(first.recovery().clean);
    holds(&first, 0..20);
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_log_whose_lock_file_was_removed_keeps_others_out_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let log = open_idle(path);
    append(&log, 0..20);
    wait_until_idle(path);
    fs::remove_file(path.join("LOCK")).unwrap();
    let error = Log::open(path, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    is_stopped(log.append("b"));
    assert_eq!(log.read(19).unwrap().value, value(19));
    // Another log might be there.
    assert_eq!(log.read(0).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(log.close().unwrap_err().kind(), ErrorKind::Io);
    drop(log);
    holds(&open_at(path), 0..20);
}
