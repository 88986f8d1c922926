//! Logs in memory.

use proglog_log::{ErrorKind, MemoryLog, Offset};

#[test]
fn a_log_in_memory_takes_appends_however_it_is_made() {
    let log = MemoryLog::default();
    assert_eq!(log.append("one").unwrap(), Offset::ZERO);
}

#[test]
fn a_log_in_memory_syncs_until_it_is_closed() {
    let log = MemoryLog::new();
    log.append("one").unwrap();
    log.sync().unwrap();
    log.close().unwrap();
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Closed);
}
