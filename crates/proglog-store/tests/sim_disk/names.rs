//! Names of files, and locks on them.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use proglog_store::io::{OpenMode, Storage};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{
    EIO, create, disk_with_log, logs_after_each_subset, name_set, names_after_each_subset, open,
    set,
};

#[test]
fn a_name_never_synced_may_be_lost_though_its_bytes_were_synced() {
    let disk = SimDisk::new();
    let file = create(&disk, "log");
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(names_after_each_subset(&disk), name_set([&[], &["log"]]));
    disk.directory().sync().unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn a_synced_name_does_not_keep_the_bytes() {
    let disk = SimDisk::new();
    let file = create(&disk, "log");
    file.write_all_at(b"abc", 0).unwrap();
    disk.directory().sync().unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"", b"abc"]));
}

#[test]
fn an_unsynced_rename_leaves_the_old_or_the_new_never_both_or_none() {
    let disk = SimDisk::new();
    disk.write_file("new", b"2");
    disk.write_file("log", b"1");
    disk.directory().rename("new", "log").unwrap();
    assert_eq!(
        (disk.file_names(), disk.read_file("log")),
        (vec!["log".into()], b"2".to_vec())
    );
    assert_eq!(
        names_after_each_subset(&disk),
        name_set([&["log", "new"], &["log"]])
    );
    assert_eq!(logs_after_each_subset(&disk), set([b"1", b"2"]));
    disk.directory().sync().unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"2"]));
}

#[test]
fn an_unsynced_removal_may_be_undone_by_a_crash() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    disk.directory().remove("log").unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
    disk.directory().sync().unwrap();
    assert!(disk.crash(Survivors::LoseAll).file_names().is_empty());
    let mut buffer = [0; 3];
    assert_eq!(file.read_full_at(&mut buffer, 0).unwrap(), 3);
}

#[test]
fn a_later_name_may_survive_without_an_earlier_one() {
    let disk = SimDisk::new();
    create(&disk, "a");
    create(&disk, "b");
    let expected = name_set([&[], &["a"], &["b"], &["a", "b"]]);
    assert_eq!(names_after_each_subset(&disk), expected);
}

#[test]
fn a_failed_directory_sync_is_not_mended_by_a_second() {
    let disk = SimDisk::new();
    create(&disk, "log");
    disk.inject(When::Next(CallKind::SyncDirectory, 0), Fault::os_error(EIO));
    disk.directory().sync().unwrap_err();
    disk.directory().sync().unwrap();
    assert_eq!(names_after_each_subset(&disk), name_set([&[], &["log"]]));
}

#[test]
fn a_directory_keeps_the_contract_of_its_trait() {
    let disk = SimDisk::new();
    let directory = disk.directory();
    let kind = |result: io::Result<Arc<dyn Storage>>| result.map(drop).map_err(|e| e.kind());
    assert_eq!(
        kind(directory.open("a", OpenMode::Read)),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(
        kind(directory.open("a", OpenMode::Write)),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(kind(directory.open("a", OpenMode::CreateIfMissing)), Ok(()));
    assert_eq!(kind(directory.open("a", OpenMode::CreateIfMissing)), Ok(()));
    assert_eq!(
        kind(directory.open("a", OpenMode::CreateNew)),
        Err(ErrorKind::AlreadyExists)
    );
    assert_eq!(
        kind(directory.open("a/b", OpenMode::CreateNew)),
        Err(ErrorKind::InvalidInput)
    );
    let read_only = directory.open("a", OpenMode::Read).unwrap();
    assert_eq!(
        read_only.write_at(b"x", 0).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        read_only.set_len(1).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        directory.rename("b", "a").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        directory.remove("b").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(directory.list().unwrap(), ["a"]);
}

#[test]
fn a_lock_is_held_until_its_handle_is_dropped() {
    let (disk, file) = disk_with_log();
    let (same, other) = (Arc::clone(&file), open(&disk, "log"));
    assert!(file.try_lock().unwrap());
    assert!(same.try_lock().unwrap());
    assert!(!other.try_lock().unwrap());
    drop(file);
    assert!(!other.try_lock().unwrap());
    drop(same);
    assert!(other.try_lock().unwrap());
}

#[test]
fn a_crash_releases_every_lock() {
    let (disk, file) = disk_with_log();
    assert!(file.try_lock().unwrap());
    for survivors in [Survivors::KeepAll, Survivors::LoseAll] {
        assert!(open(&disk.crash(survivors), "log").try_lock().unwrap());
    }
    assert!(!open(&disk, "log").try_lock().unwrap());
}
