//! Verification of all records.

use proglog_log::{ErrorKind, Header, Offset, Record};
use proglog_store::testing::SimDisk;

use crate::support::{append, damage, open, open_with, options};

#[test]
fn verification_lists_the_damaged_records() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..50);
    assert_eq!(log.verify().unwrap().bytes, 5000);
    log.close().unwrap();
    for offset in [0, 1, 2, 31] {
        damage(&disk, offset);
    }
    let log = open(&disk);
    let found = log.verify().unwrap();
    let range = |start, end| Offset::new(start)..Offset::new(end);
    assert_eq!(found.records, range(0, 50));
    assert_eq!(found.damaged, [range(0, 3), range(31, 32)]);
    assert_eq!(found.bytes, 4600);
}

#[test]
fn verifying_counts_keys_and_headers_as_the_limit_on_a_record_does() {
    let disk = SimDisk::new();
    let header = Header {
        name: "ab".into(),
        value: "cde".into(),
    };
    let mut record = Record::new("value").with_key("key");
    record.headers.push(header);
    let size = 5 + 3 + (2 + 3 + 32);
    let log = open_with(&disk, &options().record_bytes_max(size - 1));
    let refused = log.append(record.clone()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    log.close().unwrap();
    let log = open_with(&disk, &options().record_bytes_max(size));
    log.append(record.clone()).unwrap();
    assert_eq!(log.verify().unwrap().bytes, size as u64);
    assert_eq!(
        log.records(0..).next_ref().unwrap().unwrap().to_record(),
        log.read(0).unwrap()
    );
}
