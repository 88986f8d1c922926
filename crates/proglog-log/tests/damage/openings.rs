//! Opening directories without a log, opening twice, and repairing, on the operating system's files.

use std::path::Path;

use proglog_log::{ErrorKind, Log, Reason};

use proglog_harness::damage::fixture::{CHECKPOINT, Fixture, both, is_index, options, store};

/// The files of the log in a directory of the operating system.
fn put(fixture: &Fixture, path: &Path) {
    for name in fixture.file_names() {
        std::fs::write(path.join(&name), fixture.disk.read_file(&name)).unwrap();
    }
}

fn assert_all(fixture: &Fixture, log: &Log) {
    let values = log.records(0..).map(|record| record.unwrap().value);
    let expected = fixture.places.iter().map(|place| place.value.clone());
    assert_eq!(values.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn damage(path: &Path, bytes: impl IntoIterator<Item = usize>) {
    let mut content = std::fs::read(path).unwrap();
    for byte in bytes {
        content[byte] ^= 1;
    }
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_log_without_a_checkpoint_is_opened_once_repair_was_asked_for() {
    for fixture in both("writer") {
        for missing in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            put(&fixture, directory.path());
            let checkpoint = directory.path().join(CHECKPOINT);
            if missing {
                std::fs::remove_file(&checkpoint).unwrap();
            } else {
                damage(&checkpoint, [8, 4096 + 8, 8192 + 8, 12_288 + 8]);
            }
            let error = Log::open(directory.path(), &options()).unwrap_err();
            assert!(
                matches!(error.reason, Reason::CheckpointLost { .. }),
                "{error:?}"
            );
            Log::repair(directory.path()).unwrap();
            let log = Log::open(directory.path(), &options()).unwrap();
            assert_eq!(log.recovery().clean, fixture.closed);
            assert_all(&fixture, &log);
            assert_eq!(log.append("more").unwrap().get(), fixture.end());
        }
    }
}

#[test]
fn repair_refuses_a_log_whose_segments_do_not_fit_together() {
    let [fixture, _] = both("writer");
    let [stranger, _] = both("editor");
    let directory = tempfile::tempdir().unwrap();
    put(&fixture, directory.path());
    let path = |name: &str| directory.path().join(name);
    std::fs::remove_file(path(CHECKPOINT)).unwrap();
    let middle = store(fixture.bases[1]);
    std::fs::remove_file(path(&middle)).unwrap();
    let error = Log::repair(directory.path()).unwrap_err();
    assert!(
        matches!(error.reason, Reason::MissingSegment { .. }),
        "{error:?}"
    );
    std::fs::write(path(&middle), stranger.disk.read_file(&middle)).unwrap();
    let error = Log::repair(directory.path()).unwrap_err();
    assert!(
        matches!(error.reason, Reason::WrongSegment { .. }),
        "{error:?}"
    );
    assert!(!path(CHECKPOINT).exists());
}

#[test]
fn repair_refuses_an_open_log_and_a_directory_without_segments() {
    let directory = tempfile::tempdir().unwrap();
    let error = Log::repair(directory.path()).unwrap_err();
    assert!(
        matches!(error.reason, Reason::CheckpointLost { .. }),
        "{error:?}"
    );
    let log = Log::open(directory.path(), &options()).unwrap();
    log.append("kept").unwrap();
    let error = Log::repair(directory.path()).unwrap_err();
    assert!(matches!(error.reason, Reason::Locked), "{error:?}");
    assert_eq!(log.read(0).unwrap().value, "kept");
}

#[test]
fn a_directory_that_holds_other_things_is_no_log_and_stays_as_it_is() {
    for name in ["notes.txt", "segment.log", "00000000000000000000.index"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, "mine").unwrap();
        let error = Log::open(directory.path(), &options()).unwrap_err();
        match error.reason {
            Reason::NotALog { found } => assert_eq!(found.as_deref(), Some(name)),
            error => panic!("{name}: {error:?}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_file_for_a_directory_and_a_directory_for_a_file_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let error = Log::open(&file, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");

    let [fixture, _] = both("writer");
    for name in fixture.file_names() {
        let directory = tempfile::tempdir().unwrap();
        put(&fixture, directory.path());
        std::fs::remove_file(directory.path().join(&name)).unwrap();
        std::fs::create_dir(directory.path().join(&name)).unwrap();
        match Log::open(directory.path(), &options()) {
            Ok(log) => {
                assert!(is_index(&name), "{name}");
                assert_all(&fixture, &log);
            }
            Err(error) => {
                let kind = error.kind();
                // Linux opens a directory to read, and reports a length.
                assert!(
                    matches!(kind, ErrorKind::Io | ErrorKind::Corrupt),
                    "{name}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn a_second_opening_is_refused_even_if_the_lock_was_removed() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), &options()).unwrap();
    log.append("mine").unwrap();
    let before = std::fs::read(directory.path().join(store(0))).unwrap();
    for removed in [false, true] {
        if removed {
            std::fs::remove_file(directory.path().join("LOCK")).unwrap();
        }
        let error = Log::open(directory.path(), &options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    }
    assert_eq!(
        std::fs::read(directory.path().join(store(0))).unwrap(),
        before
    );
    log.append("still mine").unwrap();
    log.close().unwrap();
    let log = Log::open(directory.path(), &options()).unwrap();
    assert_eq!(log.end_offset().get(), 2);
}

#[test]
fn a_killed_log_is_opened_again_at_once_with_all_that_it_acknowledged() {
    let [_, killed] = both("writer");
    let directory = tempfile::tempdir().unwrap();
    put(&killed, directory.path());
    let log = Log::open(directory.path(), &options()).unwrap();
    assert!(!log.recovery().clean);
    assert_eq!(log.recovery().recovery_point.get(), killed.sure);
    assert_all(&killed, &log);
}
