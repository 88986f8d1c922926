//! Indexes: a valid one is used, and a wrong or damaged one makes no other record unreadable.

use proglog_log::{ErrorKind, Log, LogOptions, Reason};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};
use proglog_store::{Store, StoreOptions};
use prost::Message;

use crate::headers::forged_page;
use crate::pages;
use proglog_harness::damage::fixture::{
    self, Depth, Fixture, HEADER_LEN, index, killed_and_closed, named_file, store,
};

const PAGE_LEN: usize = 4096;
/// Entries of a page of an index.
const PAGE_ENTRIES: usize = 1022;

fn open(disk: &SimDisk) -> Log {
    Log::open_in(disk.directory(), &fixture::options()).unwrap()
}

/// The positions that a right index has, of the records of the segment with base offset `base`.
fn positions(fixture: &Fixture, base: u64) -> Vec<u32> {
    let own = fixture.places.iter();
    let own = own.filter(|place| place.file == store(base));
    own.map(|place| u32::try_from(place.bytes.start - HEADER_LEN).unwrap())
        .collect()
}

/// The lengths that are asked for by the reads of records during `action`. A store may be opened again for them,
/// which reads its header.
fn reads(disk: &SimDisk, action: impl FnOnce()) -> Vec<u64> {
    disk.start_trace();
    action();
    let calls = disk.trace().into_iter();
    calls
        .filter(|call| call.kind == CallKind::Read && fixture::is_store(&call.name))
        .filter(|call| call.offset >= HEADER_LEN)
        .map(|call| call.len)
        .collect()
}

/// Makes the record at this offset one that the device cannot read.
fn fail_reads(fixture: &Fixture, disk: &SimDisk, record: usize) {
    let place = &fixture.places[record];
    disk.fail_reads(&place.file, place.bytes.clone());
}

fn flip(fixture: &Fixture, disk: &SimDisk, record: usize) {
    let place = &fixture.places[record];
    disk.flip(&place.file, place.bytes.start + 9, 2);
}

#[test]
fn a_valid_index_is_not_rebuilt() {
    for fixture in pages::both() {
        let recovery = fixture.assert_whole(&fixture.disk.deep_clone(), "nothing damaged");
        assert_eq!(recovery.indexes_rebuilt, 0, "closed: {}", fixture.closed);
    }
}

#[test]
fn the_index_of_a_killed_log_with_a_wrong_newest_full_page_is_rebuilt() {
    let [_, killed] = pages::both();
    let right = killed.disk.read_file(&index(0));
    let positions = positions(&killed, 0);
    let mut entries = positions[PAGE_ENTRIES..2 * PAGE_ENTRIES].to_vec();
    let page = forged_page(&killed.disk, 0, 1, &entries);
    assert_eq!(page, right[PAGE_LEN..], "it can be forged");
    entries[PAGE_ENTRIES - 1] = 0;
    let page = forged_page(&killed.disk, 0, 1, &entries);
    let disk = killed.disk.deep_clone();
    disk.write_file(&index(0), &[&right[..PAGE_LEN], &page].concat());
    let recovery = killed.assert_whole(&disk, "a page that verifies and is wrong");
    assert_eq!(recovery.indexes_rebuilt, 1);
    assert!(disk.read_file(&index(0)).starts_with(&right));
}

#[test]
fn a_closed_log_opens_though_a_record_cannot_be_read_and_has_all_others() {
    let [closed, _] = pages::both();
    let disk = closed.disk.deep_clone();
    fail_reads(&closed, &disk, 2300);
    let log = open(&disk);
    for (offset, place) in closed.places.iter().enumerate() {
        match log.read(offset as u64) {
            Ok(record) => assert_eq!(record.value, place.value),
            Err(error) => assert_eq!((offset, error.kind()), (2300, ErrorKind::Corrupt)),
        }
    }
    // Nothing is searched for, where the device is at fault; it is only tried again.
    let tries = reads(&disk, || drop(log.read(2300).unwrap_err()));
    assert_eq!(tries.len(), 2);
    disk.mend_reads(&store(0));
    assert_eq!(log.read(2300).unwrap().value, "2300");
}

#[test]
fn a_damaged_page_is_rebuilt_from_its_own_records_alone() {
    let disk = SimDisk::new();
    // Damage may look like the header of a frame that is as long as a record may be.
    let options = LogOptions::new().record_bytes_max(1 << 10);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    let values = (0..4 * PAGE_ENTRIES).map(|number| format!("{number:300}"));
    let values = values.collect::<Vec<_>>();
    log.append_batch(values.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    let [closed, _] = killed_and_closed(&disk, &log, &values, 0, &[]);
    let disk = closed.disk.deep_clone();
    disk.flip(&index(0), 77, 0);
    // Nor does it matter that the last of them is damaged.
    flip(&closed, &disk, PAGE_ENTRIES - 1);
    let log = open(&disk);
    let lens = reads(&disk, || assert_eq!(log.read(5).unwrap().value, values[5]));
    let end = closed.places[2 * PAGE_ENTRIES].bytes.end - HEADER_LEN;
    assert!(lens.iter().sum::<u64>() < end, "{lens:?}");
}

#[test]
fn a_damaged_page_is_rebuilt_though_later_records_cannot_be_read() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &LogOptions::new()).unwrap();
    let values = (0..PAGE_ENTRIES + 9).map(|number| "v".repeat(233 + usize::from(number < 642)));
    let values = values.collect::<Vec<_>>();
    log.append_batch(values.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    let [closed, _] = killed_and_closed(&disk, &log, &values, 0, &[]);
    let end = closed.places[PAGE_ENTRIES - 1].bytes.end - HEADER_LEN;
    assert_eq!(end, 256 << 10, "just as much as is read at once");
    let disk = closed.disk.deep_clone();
    disk.flip(&index(0), 77, 0);
    fail_reads(&closed, &disk, PAGE_ENTRIES);
    assert_eq!(open(&disk).read(5).unwrap().value, values[5]);
}

#[test]
fn damaged_records_that_are_read_again_fail_at_once() {
    let [closed, _] = pages::both();
    let disk = closed.disk.deep_clone();
    let damaged = [3, 5, 1500];
    for record in damaged {
        flip(&closed, &disk, record);
    }
    let log = open(&disk);
    let read_all = || {
        for record in damaged {
            let error = log.read(record as u64).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    };
    read_all();
    assert_eq!(reads(&disk, read_all).len(), damaged.len());
}

#[test]
fn no_index_has_more_read_than_a_record_can_take() {
    let disk = SimDisk::new();
    let options = LogOptions::new().record_bytes_max(40).preallocate_max(0);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    let values = (0..100).map(|number| format!("{number:40}"));
    let values = values.collect::<Vec<_>>();
    log.append_batch(values.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    let [closed, _] = killed_and_closed(&disk, &log, &values, 0, &[]);
    let mut entries = positions(&closed, 0);
    entries[1] = u32::MAX;
    let disk = closed.disk;
    disk.write_file(&index(0), &forged_page(&disk, 0, 0, &entries));
    let log = open(&disk);
    let lens = reads(&disk, || assert_eq!(log.read(0).unwrap().value, values[0]));
    // What the log adds to a record, with a producer and the frame, is at most 168 bytes.
    assert!(lens.len() == 1 && lens[0] <= 40 + 168, "{lens:?}");
}

#[test]
fn a_record_takes_one_read_however_near_it_is_to_the_limit_of_its_segment() {
    let disk = SimDisk::new();
    // A segment keeps the limit that it was made with.
    for (limit, lens) in [(40, 40..=40), (1000, 170..=200)] {
        let options = LogOptions::new().record_bytes_max(limit);
        let log = Log::open_in(disk.directory(), &options).unwrap();
        for len in lens {
            log.append("v".repeat(len)).unwrap();
        }
    }
    assert_eq!(fixture::bases(&disk).len(), 2, "some were too large for it");
    let log = Log::open_in(disk.directory(), &LogOptions::new()).unwrap();
    for offset in 0..log.end_offset().get() {
        let reads = reads(&disk, || drop(log.read(offset).unwrap()));
        assert_eq!(reads.len(), 1, "record {offset}: {reads:?}");
    }
}

#[test]
fn a_log_is_truncated_where_its_records_are_whatever_an_index_says() {
    for fixture in fixture::both("writer") {
        let (base, end) = (fixture.bases[1], fixture.bases[2]);
        let right = positions(&fixture, base);
        let wrong = [
            right[1..].to_vec(),
            right[..1].repeat(right.len()),
            right.iter().map(|position| position + 1).collect(),
            right.iter().rev().copied().collect(),
        ];
        for entries in wrong {
            let disk = fixture.disk.deep_clone();
            disk.write_file(&index(base), &forged_page(&disk, base, 0, &entries));
            let log = open(&disk);
            log.truncate(end - 2).unwrap();
            log.close().unwrap();
            let log = open(&disk);
            let values = log.records(0..).map(|record| record.unwrap().value);
            let places = &fixture.places[..usize::try_from(end - 2).unwrap()];
            let expected = places.iter().map(|place| place.value.clone());
            let values = values.collect::<Vec<_>>();
            assert_eq!(values, expected.collect::<Vec<_>>(), "{entries:?}");
        }
    }
}

#[test]
fn a_log_can_be_truncated_after_an_unreadable_record() {
    let [closed, _] = fixture::both("writer");
    let (base, end) = (closed.bases[1], closed.bases[2]);
    let disk = closed.disk.deep_clone();
    fail_reads(&closed, &disk, usize::try_from(base + 1).unwrap());
    let log = open(&disk);
    log.truncate(end - 2).unwrap();
    assert_eq!(log.append("more").unwrap().get(), end - 2);
    assert_eq!(log.read(base + 1).unwrap_err().kind(), ErrorKind::Corrupt);
    let last = usize::try_from(end - 3).unwrap();
    assert_eq!(log.read(end - 3).unwrap().value, closed.places[last].value);
}

#[test]
fn an_old_index_that_cannot_be_removed_is_an_error() {
    for fixture in fixture::both("writer") {
        let disk = fixture.disk.deep_clone();
        disk.truncate_file(&index(0), 100);
        disk.inject(When::Next(CallKind::Remove, 0), Fault::os_error(13));
        let error = Log::open_in(disk.directory(), &fixture::options()).unwrap_err();
        let is_named = matches!(&error.reason,
            Reason::Io { operation: proglog_store::Operation::Remove, file, .. }
                if **file == *index(0)
        );
        assert!(is_named, "{error:?}");
        assert_eq!(
            fixture.assert_whole(&disk, "tried again").indexes_rebuilt,
            1
        );
    }
}

#[test]
fn records_cut_off_a_segment_are_each_missing_and_the_index_is_kept() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &fixture::options()).unwrap();
    let values = (0..PAGE_ENTRIES + 9).map(|number| number.to_string());
    let mut values = values.collect::<Vec<_>>();
    log.append_batch(values.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    values.push("of the next segment".to_owned());
    log.append("of the next segment").unwrap();
    let last = values.len() as u64 - 1;
    for fixture in killed_and_closed(&disk, &log, &values, last, &[]) {
        let disk = fixture.disk.deep_clone();
        let left = PAGE_ENTRIES - 9;
        disk.truncate_file(&store(0), fixture.places[left].bytes.start);
        disk.remove_file(&index(0));
        let seen = fixture.opened(&disk, Depth::Append, "cut, and no index");
        assert_eq!(seen.recovery.indexes_rebuilt, 1);
        assert_eq!(seen.unreadable, (left as u64..last).collect::<Vec<_>>());
        assert_eq!(open(&disk).recovery().indexes_rebuilt, 0);
    }
}

#[test]
fn a_segment_is_refused_once_it_is_too_short_for_the_headers_of_its_records() {
    for fixture in fixture::both("writer") {
        let count = fixture.bases[1];
        let cut = |len: u64| {
            let disk = fixture.disk.deep_clone();
            disk.truncate_file(&store(0), HEADER_LEN + len);
            disk.remove_file(&index(0));
            disk
        };
        let disk = cut(8 * count);
        let seen = fixture.opened(&disk, Depth::Append, "all records cut off");
        assert_eq!(seen.unreadable, (0..count).collect::<Vec<_>>());
        let disk = cut(8 * count - 1);
        let error = fixture.open(&disk, Depth::Read, "shorter").unwrap_err();
        assert_eq!(named_file(&error), Some(store(0)), "{error:?}");
    }
}

/// A closed log in whose first segment the records say that they have these offsets, and that has no index
/// there.
fn with_offsets(offsets: &[u64]) -> (SimDisk, u64) {
    let [closed, _] = fixture::both("writer");
    let disk = closed.disk.deep_clone();
    let directory = disk.directory();
    let label = proglog_store::segment::open_sealed(&*directory, &store(0)).unwrap();
    let label = label.label().to_vec();
    disk.remove_file(&store(0));
    disk.remove_file(&index(0));
    let options = StoreOptions::new().label(label);
    let made = Store::open_in(&*directory, &store(0), &options).unwrap();
    for offset in offsets {
        let record = proglog_api::v1::Record {
            offset: *offset,
            appended_at: 1,
            ..proglog_api::v1::Record::new(offset.to_string())
        };
        made.append(&record.encode_to_vec()).unwrap();
    }
    made.close().unwrap();
    (disk, closed.bases[1])
}

#[test]
fn a_record_that_says_it_is_of_another_segment_leads_to_no_entries() {
    let (disk, end) = with_offsets(&[0, 1, 1 << 20, 2]);
    let log = open(&disk);
    assert_eq!(disk.read_file(&index(0)).len(), PAGE_LEN);
    for offset in 0..2 {
        assert_eq!(log.read(offset).unwrap().value, offset.to_string());
    }
    for offset in 3..end {
        assert_eq!(log.read(offset).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    log.read(end).unwrap();
}

#[test]
fn a_duplicate_record_hides_no_later_one() {
    let (disk, end) = with_offsets(&[0, 1, 0, 2, 3]);
    let log = open(&disk);
    for offset in 0..4 {
        assert_eq!(log.read(offset).unwrap().value, offset.to_string());
    }
    for offset in 4..end {
        assert_eq!(log.read(offset).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
