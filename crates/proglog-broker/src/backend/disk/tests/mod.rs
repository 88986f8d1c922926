//! Each change of a data directory is stopped at each of its steps: by the end of the process, by a loss of power that
//! takes what was not synced, and by an error.

mod stopped_files;

use self::stopped_files::{Stop, StoppedFiles};
use super::*;
use crate::config::Durability;

fn name(text: &str) -> LogName {
    text.parse().unwrap()
}

fn buffered() -> LogConfig {
    LogConfig {
        durability: Durability::Buffered,
        ..LogConfig::default()
    }
}

/// Makes a log with one record, its name.
fn make(disk: &Disk, log: &str) {
    disk.create(&name(log), &LogConfig::default()).unwrap();
    let opened = disk.open(&name(log)).unwrap();
    opened.log.append(log.to_owned().into()).unwrap();
    opened.log.close().unwrap();
}

/// Checks that the log has its record.
fn check_whole(disk: &Disk, log: &str) {
    let opened = disk.open(&name(log)).unwrap();
    assert_eq!(opened.log.offsets(), 0..1, "{log}");
    assert_eq!(opened.log.read(0.into()).unwrap().value, log);
}

/// Runs `change` on what `prepare` has made, and stops it in each way at each of its steps. After that, the directory is
/// opened, and `check` gets it with the result of the change. After an error, `change` is called again before, and has
/// to succeed.
fn stop_at_each_step<T: std::fmt::Debug>(
    prepare: impl Fn(&Path),
    change: impl Fn(&Path, Arc<dyn Files>) -> Result<T>,
    check: impl Fn(&Disk, Option<T>),
) {
    for stop in [Stop::Kill, Stop::PowerLoss, Stop::Error] {
        for at in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path();
            prepare(root);
            let files = StoppedFiles::new(stop, at);
            let mut result = change(root, Arc::clone(&files) as _);
            if stop == Stop::PowerLoss {
                files.lose_power();
            }
            let is_stopped = files.is_stopped();
            if stop == Stop::Error && result.is_err() {
                result = change(root, files);
                assert!(result.is_ok(), "{stop:?} at {at}: {result:?}");
            }
            let disk = Disk::open(root).unwrap();
            let unfinished = |path: &PathBuf| file_name(path).unwrap().starts_with('.');
            assert!(!entries(&disk.logs()).unwrap().iter().any(unfinished));
            check(&disk, result.ok());
            disk.clean_up();
            assert!(entries(&disk.trash()).unwrap().is_empty());
            if !is_stopped {
                assert!(at > 1, "the change has no steps");
                break;
            }
        }
    }
}

/// A directory with the logs `a` and `default`.
fn prepare(root: &Path) {
    let disk = Disk::open(root).unwrap();
    make(&disk, "a");
    make(&disk, "default");
}

/// As `change` on a disk that is open already.
fn on_disk<T>(change: impl Fn(&Disk) -> Result<T>) -> impl Fn(&Path, Arc<dyn Files>) -> Result<T> {
    move |root, files| {
        let mut disk = Disk::open(root).unwrap();
        disk.files = files;
        change(&disk)
    }
}

#[test]
fn a_log_is_created_as_a_whole_or_not_at_all() {
    let create = |disk: &Disk| match disk.create(&name("b"), &buffered()) {
        // An earlier attempt has failed at its end.
        Err(Error::AlreadyExists { .. }) => disk.meta(&name("b")),
        created => created,
    };
    stop_at_each_step(prepare, on_disk(create), |disk, created| {
        let names = disk.list().unwrap();
        let is_there = names.contains(&name("b"));
        if let Some(meta) = created {
            assert_eq!(disk.meta(&name("b")).unwrap(), meta);
        } else if is_there {
            assert_eq!(disk.meta(&name("b")).unwrap().config, buffered());
        }
        if is_there {
            assert!(disk.open(&name("b")).unwrap().log.is_empty());
        }
        check_whole(disk, "a");
        check_whole(disk, "default");
    });
}

#[test]
fn a_configuration_is_replaced_as_a_whole_or_not_at_all() {
    let configure = |disk: &Disk| {
        let before = disk.meta(&name("a"))?;
        Ok((before, disk.configure(&name("a"), &buffered())?))
    };
    stop_at_each_step(prepare, on_disk(configure), |disk, configured| {
        let meta = disk.meta(&name("a")).unwrap();
        match configured {
            Some((before, after)) => {
                assert_eq!(meta, after);
                assert_eq!((meta.id, meta.created_at), (before.id, before.created_at));
            }
            None => assert!([LogConfig::default(), buffered()].contains(&meta.config)),
        }
        check_whole(disk, "a");
    });
}

#[test]
fn a_log_is_removed_as_a_whole_or_not_at_all() {
    let remove = |disk: &Disk| match disk.remove(&name("a")) {
        // An earlier attempt has failed at its end.
        Err(Error::NotFound { .. }) => Ok(()),
        removed => removed,
    };
    stop_at_each_step(prepare, on_disk(remove), |disk, removed| {
        let is_there = disk.list().unwrap().contains(&name("a"));
        assert!(!(is_there && removed.is_some()));
        if is_there {
            check_whole(disk, "a");
        } else {
            assert!(matches!(disk.open(&name("a")), Err(Error::NotFound { .. })));
        }
        check_whole(disk, "default");
    });
}

#[test]
fn files_of_removed_logs_go_with_the_next_cleaning() {
    let prepare = |root: &Path| {
        prepare(root);
        Disk::open(root).unwrap().remove(&name("a")).unwrap();
    };
    let clean_up = on_disk(|disk| {
        disk.clean_up();
        disk.sync(&disk.trash())
    });
    stop_at_each_step(prepare, clean_up, |disk, _| {
        assert_eq!(disk.list().unwrap(), [name("default")]);
    });
}

#[test]
fn a_damaged_description_fails_its_log_alone_and_is_mended_without_its_records() {
    for damage in ["", "{", r#"{"format": 1}"#, "null"] {
        let prepare = |root: &Path| {
            prepare(root);
            fs::write(root.join("logs/a/log.json"), damage).unwrap();
        };
        let mend = on_disk(|disk| disk.configure(&name("a"), &buffered()));
        stop_at_each_step(prepare, mend, |disk, mended| {
            assert_eq!(disk.list().unwrap(), [name("a"), name("default")]);
            check_whole(disk, "default");
            match (mended, disk.open(&name("a"))) {
                (Some(meta), opened) => assert_eq!(opened.unwrap().meta, meta),
                (None, Ok(opened)) => assert_eq!(opened.meta.config, buffered()),
                (None, Err(error)) => {
                    assert!(matches!(error, Error::Meta { .. }), "{error:?}");
                    disk.configure(&name("a"), &buffered()).unwrap();
                }
            }
            check_whole(disk, "a");
        });
    }
}

#[test]
fn the_log_of_an_earlier_version_is_moved_with_its_records() {
    let prepare = |root: &Path| {
        let log = Log::open(root.join("default"), &LogOptions::new()).unwrap();
        log.append("default").unwrap();
    };
    let start = |root: &Path, files: Arc<dyn Files>| {
        let disk = Disk::open_on(root, files)?;
        if disk.list()?.is_empty() {
            disk.create(&LogName::default_log(), &buffered())?;
        }
        Ok(())
    };
    stop_at_each_step(prepare, start, |disk, _| {
        if disk.list().unwrap().is_empty() {
            disk.create(&LogName::default_log(), &buffered()).unwrap();
        }
        check_whole(disk, "default");
        assert_eq!(disk.meta(&name("default")).unwrap().config, buffered());
        assert!(!disk.root.join("default").exists());
    });
}

#[test]
fn a_data_directory_is_made_and_keeps_its_id() {
    let data = |root: &Path| root.join("data/proglog");
    stop_at_each_step(
        |_| (),
        |root, files| Ok(Disk::open_on(&data(root), files)?.node_id()),
        |disk, id| {
            let opened = Disk::open(data(&disk.root)).unwrap();
            assert!(id.is_none_or(|id| opened.node_id() == id));
        },
    );
}

#[test]
fn a_log_of_an_earlier_version_that_is_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let earlier = directory.path().join("default");
    let log = Log::open(&earlier, &LogOptions::new()).unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let create = || disk.create(&LogName::default_log(), &LogConfig::default());
    let error = create().unwrap_err();
    assert!(
        matches!(&error, Error::Locked { path } if *path == earlier.join("LOCK")),
        "{error:?}"
    );
    log.append("kept").unwrap();
    drop(disk);
    assert!(matches!(
        Disk::open(directory.path()),
        Err(Error::Locked { .. })
    ));
    log.close().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let opened = disk.open(&LogName::default_log()).unwrap();
    assert_eq!(opened.log.read(0.into()).unwrap().value, "kept");
}

#[test]
fn of_two_default_logs_neither_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    Log::open(directory.path().join("default"), &LogOptions::new()).unwrap();
    let error = Disk::open(directory.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Storage { source, .. } if source.kind() == ErrorKind::AlreadyExists)
    );
    fs::rename(
        directory.path().join("default"),
        directory.path().join("moved"),
    )
    .unwrap();
    check_whole(&Disk::open(directory.path()).unwrap(), "default");
}

#[test]
fn a_directory_without_a_log_is_not_that_of_an_earlier_version() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("default")).unwrap();
    fs::write(directory.path().join("default/notes"), "mine").unwrap();
    prepare(directory.path());
    Disk::open(directory.path()).unwrap();
    assert!(directory.path().join("default/notes").exists());
}

#[test]
fn a_data_directory_has_one_user() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let error = Disk::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    drop(disk);
    Disk::open(directory.path()).unwrap();
}

#[test]
fn a_directory_of_a_later_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let later = r#"{"format": 2}"#;
    let meta = directory.path().join("logs/a/log.json");
    fs::write(&meta, later).unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    assert!(matches!(disk.open(&name("a")), Err(Error::Meta { .. })));
    assert!(matches!(
        disk.configure(&name("a"), &buffered()),
        Err(Error::Meta { .. })
    ));
    assert_eq!(fs::read_to_string(meta).unwrap(), later);
    drop(disk);
    let node = directory.path().join("node.json");
    fs::write(&node, later).unwrap();
    let error = Disk::open(directory.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Storage { path, .. } if *path == node),
        "{error:?}"
    );
    assert_eq!(fs::read_to_string(&node).unwrap(), later);
    fs::write(&node, "damaged").unwrap();
    let id = Disk::open(directory.path()).unwrap().node_id();
    assert_eq!(Disk::open(directory.path()).unwrap().node_id(), id);
}

#[test]
fn what_is_no_log_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let logs = directory.path().join("logs");
    fs::write(logs.join(".DS_Store"), "").unwrap();
    fs::write(logs.join("file"), "").unwrap();
    fs::create_dir(logs.join("Upper")).unwrap();
    fs::create_dir(logs.join("lost+found")).unwrap();
    fs::write(directory.path().join("trash/.DS_Store"), "").unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    disk.clean_up();
    assert_eq!(disk.list().unwrap(), [name("a"), name("default")]);
    assert_eq!(fs::read_dir(logs).unwrap().count(), 6);
    let error = disk
        .create(&name("file"), &LogConfig::default())
        .unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_directory_elsewhere_is_a_log_and_its_removal_leaves_that() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    prepare(directory.path());
    let (link, target) = (directory.path().join("logs/a"), elsewhere.path().join("a"));
    fs::rename(&link, &target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("logs/dangling")).unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    assert_eq!(disk.list().unwrap(), [name("a"), name("default")]);
    check_whole(&disk, "a");
    disk.configure(&name("a"), &buffered()).unwrap();
    assert_eq!(disk.meta(&name("a")).unwrap().config, buffered());
    disk.remove(&name("a")).unwrap();
    disk.clean_up();
    assert_eq!(disk.list().unwrap(), [name("default")]);
    assert!(target.join("segments").is_dir());
    assert!(entries(&disk.trash()).unwrap().is_empty());
}

#[test]
fn a_snapshot_is_replaced_as_a_whole_or_not_at_all() {
    let prepare = |root: &Path| {
        prepare(root);
        let opened = Disk::open(root).unwrap().open(&name("a")).unwrap();
        let snapshot = opened.snapshot.unwrap();
        assert_eq!(snapshot.load().unwrap(), None);
        snapshot.store(b"old").unwrap();
    };
    let store = on_disk(|disk| {
        let snapshot = disk.open(&name("a"))?.snapshot.unwrap();
        snapshot
            .store(b"new")
            .map_err(|error| Error::storage("a", error))
    });
    stop_at_each_step(prepare, store, |disk, stored| {
        let snapshot = disk.open(&name("a")).unwrap().snapshot.unwrap();
        let bytes = snapshot.load().unwrap().unwrap();
        assert!(bytes == b"new" || (stored.is_none() && bytes == b"old"));
    });
}

#[test]
fn a_log_whose_files_have_vanished_is_not_made_again() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let segments = directory.path().join("logs/a/segments");
    let disk = Disk::open(directory.path()).unwrap();
    fs::remove_dir_all(&segments).unwrap();
    let check = || {
        let error = disk.open(&name("a")).unwrap_err();
        assert!(matches!(error, Error::Log(_)), "{error:?}");
        let named = segments.to_string_lossy().into_owned();
        assert!(error.to_string().contains(&named), "{error}");
    };
    check();
    fs::create_dir(&segments).unwrap();
    check();
    disk.configure(&name("a"), &buffered()).unwrap();
    check();
    disk.remove(&name("a")).unwrap();
    make(&disk, "a");
    check_whole(&disk, "a");
}
