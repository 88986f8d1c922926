//! Relative paths: a log stays in its directory when the process changes the current one. That is the whole
//! process's, so this is a test program of its own.

use proglog_log::{Log, LogOptions, Offset};

#[test]
fn a_log_stays_where_it_is_when_the_process_changes_its_directory() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::env::set_current_dir(directory.path()).unwrap();
    let options = LogOptions::new().segment_bytes_max(1 << 10);
    let log = Log::open(".", &options).unwrap();
    log.append("a".repeat(900)).unwrap();
    std::env::set_current_dir(other.path()).unwrap();
    log.append("b".repeat(900)).unwrap();
    log.close().unwrap();
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
    let log = Log::open(directory.path(), &options).unwrap();
    assert_eq!(log.end_offset(), Offset::new(2));
}
