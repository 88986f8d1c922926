//! Rolls: the records that go into each segment, and the state of the device in between.

use std::io::ErrorKind as Io;

use proglog_log::{ErrorKind, Offset, Outcome};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{ALL_DURABILITIES, append, holds, open, open_with, options, segments, value};

#[test]
fn what_a_roll_has_synced_is_acknowledged_whatever_becomes_of_what_comes_next() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let first = log.submit(value(0)).unwrap();
    let next = log.submit("b".repeat(950)).unwrap();
    assert_eq!(segments(&disk), [0, 1]);
    assert_eq!(log.end_offset(), Offset::new(1));
    let full = Fault::error(Io::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full);
    let error = next.wait().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::DiskFull, Outcome::NotAppended)
    );
    first.wait().unwrap();
    append(&log, 1..2);
    holds(&log, 0..2);
}

#[test]
fn a_record_goes_into_a_segment_made_with_smaller_limits_as_long_as_it_fits() {
    let disk = SimDisk::new();
    let large = options().segment_bytes_max(1 << 20);
    let log = open_with(&disk, &large.clone().record_bytes_max(100));
    log.append("a").unwrap();
    log.close().unwrap();
    let log = open_with(&disk, &large);
    for len in 100.. {
        log.append(vec![7; len]).unwrap();
        if segments(&disk).len() == 2 {
            break;
        }
    }
    log.close().unwrap();
    let name = format!("{:020}.log", 0);
    let store = proglog_store::segment::open_sealed(&*disk.directory(), &name).unwrap();
    let longest = store.frames(..).map(|frame| frame.unwrap().payload.len());
    assert_eq!(
        longest.max().unwrap(),
        usize::try_from(store.payload_len_max()).unwrap()
    );
}

#[test]
fn the_index_of_a_full_segment_is_on_the_device_once_it_has_its_name() {
    let disk = SimDisk::new();
    let log = open(&disk);
    while segments(&disk).len() < 4 {
        append(&log, log.end_offset().get()..log.end_offset().get() + 1);
    }
    // Each roll makes the name of the index before durable, and that of the last full segment has none.
    let left = disk.crash(Survivors::LoseAll);
    for base in &segments(&disk)[..2] {
        let index = format!("{base:020}.index");
        assert_eq!(left.read_file(&index), disk.read_file(&index));
    }
    assert_eq!(open(&left).recovery().indexes_rebuilt, 1);
}

#[test]
fn a_roll_on_demand_seals_what_is_there_and_returns_where_the_next_segment_starts() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().durability(durability));
        assert_eq!(log.roll().unwrap(), 0, "an empty segment is not rolled");
        assert_eq!(segments(&disk), [0]);
        append(&log, 0..3);
        let pending = log.submit("pending").unwrap();
        assert_eq!(log.roll().unwrap(), 4);
        assert_eq!(pending.wait().unwrap(), 3..4);
        assert_eq!(log.roll().unwrap(), 4);
        assert_eq!(segments(&disk), [0, 4]);
        // What was rolled is on the device, whatever the durability.
        let killed = open(&disk.crash(Survivors::LoseAll));
        assert_eq!(killed.offsets(), 0..4);
        append(&log, 4..6);
        log.close().unwrap();
        assert_eq!(log.roll().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(open(&disk).offsets(), 0..6);
    }
}
