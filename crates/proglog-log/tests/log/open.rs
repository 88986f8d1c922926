//! Directories that become a log, and those that do not.

use proglog_log::{Error, ErrorKind, Log, Reason};
use proglog_store::io::OpenMode;
use proglog_store::testing::SimDisk;

use crate::support::{append, holds, options};

#[test]
fn a_directory_becomes_a_log_if_it_holds_no_more_than_the_making_of_one_leaves() {
    for (name, may_be_there) in [
        ("LOCK", true),
        ("checkpoint.tmp", true),
        ("lost+found", true),
        (".snapshot", true),
        (".DS_Store", true),
        ("._.DS_Store", true),
        ("Thumbs.db", true),
        ("thumbs.db", true),
        ("Desktop.ini", true),
        ("System Volume Information", true),
        (".directory", true),
        (".Trash-1000", true),
        (".nfs00000000000a2b3c00000001", true),
        (".hidden", false),
        ("directory", false),
        ("DS_Store", false),
        ("old.DS_Store", false),
        ("notes.tmp", false),
        ("checkpoint.old", false),
        ("LOCK.tmp", false),
    ] {
        let disk = SimDisk::new();
        disk.write_file(name, b"left");
        match Log::open_in(disk.directory(), &options()) {
            Ok(log) => {
                assert!(may_be_there, "{name}");
                append(&log, 0..3);
                holds(&log, 0..3);
            }
            Err(Error {
                reason: Reason::NotALog { found },
                ..
            }) => {
                assert!(!may_be_there, "{name}");
                assert_eq!(found.as_deref(), Some(name));
                assert_eq!(disk.file_names(), [name]);
            }
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
}

#[test]
fn the_lock_of_a_directory_that_is_no_log_is_not_taken() {
    let disk = SimDisk::new();
    disk.write_file("notes.txt", b"mine");
    disk.write_file("LOCK", b"");
    let file = disk.directory().open("LOCK", OpenMode::Write).unwrap();
    assert!(file.try_lock().unwrap());
    let error = Log::open_in(disk.directory(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotALog);
}

#[test]
fn an_empty_path_names_no_directory() {
    let error = Log::open("", &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}
