//! Visibility: acknowledged, appended and published records.

use std::io::ErrorKind as Io;

use proglog_log::{ErrorKind, Offset, Outcome, Visibility};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{append, holds, open, open_with, options, value};

#[test]
fn records_rolled_back_after_they_were_published_are_not_published_again() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let reader = log.reader(Visibility::Committed);
    let ticket = log.submit("committed").unwrap();
    log.set_high_watermark(1).unwrap();
    disk.inject(
        When::Next(CallKind::Write, 0),
        Fault::error(Io::StorageFull),
    );
    ticket.wait().unwrap_err();
    log.append("another").unwrap();
    assert_eq!(reader.end_offset(), Offset::ZERO);
    log.set_high_watermark(1).unwrap();
    assert_eq!(reader.read(0).unwrap().value, "another");
}

#[test]
fn a_reader_sees_as_far_as_its_visibility_says() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().visibility(Visibility::Committed));
    let ends = || {
        [
            Visibility::Committed,
            Visibility::Acknowledged,
            Visibility::Appended,
        ]
        .map(|visibility| {
            let reader = log.reader(visibility);
            let end = reader.end_offset().get();
            assert_eq!(reader.records(0..).count() as u64, end);
            for offset in 0..end {
                assert_eq!(reader.read(offset).unwrap().offset, offset);
            }
            assert_eq!(reader.read(end).unwrap_err().kind(), ErrorKind::OutOfRange);
            end
        })
    };
    for offset in 0..20 {
        log.append(value(offset)).unwrap();
    }
    assert_eq!(ends(), [0, 20, 20]);
    assert_eq!(log.end_offset(), Offset::ZERO);
    let ticket = log.submit(value(20)).unwrap();
    assert_eq!(ends(), [0, 20, 21]);
    log.set_high_watermark(13).unwrap();
    log.set_high_watermark(5).unwrap();
    assert_eq!(ends(), [13, 20, 21]);
    log.set_high_watermark(21).unwrap();
    assert_eq!(ends(), [20, 20, 21], "what is published is acknowledged");
    assert_eq!(
        log.set_high_watermark(22).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    ticket.wait().unwrap();
    assert_eq!(ends(), [21, 21, 21]);
    log.truncate(17).unwrap();
    assert_eq!(ends(), [17, 17, 17]);
    let error = log.trim(18).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
}

#[test]
fn what_a_failed_write_takes_back_goes_from_the_view_of_the_appended() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    let reader = log.reader(Visibility::Appended);
    let ticket = log.submit(value(3)).unwrap();
    assert_eq!(reader.end_offset(), Offset::new(4));
    disk.inject(
        When::Next(CallKind::Write, 0),
        Fault::error(Io::StorageFull),
    );
    let error = ticket.wait().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::DiskFull, Outcome::NotAppended)
    );
    assert_eq!(reader.end_offset(), Offset::new(3));
    append(&log, 3..5);
    holds(&log, 0..5);
}

#[test]
fn a_cursor_over_appended_records_yields_none_that_were_rolled_back() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..1);
    let refused = (1..5).map(|_| log.submit("refused").unwrap());
    let refused = refused.collect::<Vec<_>>();
    let mut records = log.reader(Visibility::Appended).records(1..);
    assert_eq!(records.next().unwrap().unwrap().value, "refused");
    let full = Fault::error(Io::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full);
    for ticket in refused {
        ticket.wait().unwrap_err();
    }
    append(&log, 1..4);
    assert_eq!(records.next().unwrap().unwrap().value, value(2));
    assert_eq!(
        records.next_ref().unwrap().unwrap().value,
        value(3).as_bytes()
    );
    assert!(records.next().is_none());
}
