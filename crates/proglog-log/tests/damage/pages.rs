//! Damage to an index of several pages and to a record: that record alone is unreadable.

use proglog_log::{Log, LogOptions};
use proglog_store::segment::StoreExt;
use proglog_store::testing::SimDisk;

use proglog_harness::damage::fixture::{self, Depth, Fixture, index, killed_and_closed, store};

const PAGE_LEN: usize = 4096;
const RECORDS: usize = 2500;
const BATCH: usize = 50;

/// A log of one segment, whose index has two full pages and, once it is closed, a third.
pub(crate) fn both() -> [Fixture; 2] {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &LogOptions::new().preallocate_max(0)).unwrap();
    let values = (0..RECORDS).map(|number| number.to_string());
    let values = values.collect::<Vec<_>>();
    for batch in values.chunks(BATCH) {
        let batch = batch.iter().map(String::as_str).collect::<Vec<_>>();
        log.append_batch(batch).unwrap();
    }
    killed_and_closed(&disk, &log, &values, (RECORDS - BATCH) as u64, &[])
}

/// Defects of an index, as the bytes that are left of it.
fn damaged_indexes(bytes: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut indexes = vec![
        ("whole".to_owned(), Some(bytes.to_vec())),
        ("missing".to_owned(), None),
        ("zeros".to_owned(), Some(vec![0; bytes.len()])),
        ("longer".to_owned(), Some([bytes, &[7; 100]].concat())),
        ("twice".to_owned(), Some(bytes.repeat(2))),
    ];
    for page in 0..bytes.len() / PAGE_LEN {
        let mut flipped = bytes.to_vec();
        flipped[page * PAGE_LEN + 77] ^= 1;
        indexes.push((format!("page {page} damaged"), Some(flipped)));
        let len = page * PAGE_LEN;
        indexes.push((format!("cut to {len}"), Some(bytes[..len].to_vec())));
        let torn = len + PAGE_LEN / 2;
        indexes.push((format!("cut to {torn}"), Some(bytes[..torn].to_vec())));
    }
    let (first, second) = (0..PAGE_LEN, PAGE_LEN..2 * PAGE_LEN);
    let mut swapped = bytes.to_vec();
    swapped[first.clone()].copy_from_slice(&bytes[second.clone()]);
    swapped[second].copy_from_slice(&bytes[first]);
    indexes.push(("swapped pages".to_owned(), Some(swapped)));
    indexes
}

/// Records at the edges of pages and batches, and none.
const DAMAGED: [Option<usize>; 11] = [
    None,
    Some(0),
    Some(1),
    Some(1021),
    Some(1022),
    Some(1023),
    Some(2043),
    Some(2044),
    Some(2100),
    Some(RECORDS - BATCH - 1),
    Some(RECORDS - 1),
];

#[test]
fn a_damaged_record_is_the_only_one_lost_whatever_became_of_the_index() {
    let mut tried = 0;
    for fixture in both() {
        let bytes = fixture.disk.read_file(&index(0));
        assert_eq!(bytes.len(), (2 + usize::from(fixture.closed)) * PAGE_LEN);
        for (kind, bytes) in damaged_indexes(&bytes) {
            for damaged in DAMAGED {
                let disk = fixture.disk.deep_clone();
                match &bytes {
                    Some(bytes) => disk.write_file(&index(0), bytes),
                    None => disk.remove_file(&index(0)),
                }
                damage(&fixture, &disk, damaged, &kind);
                tried += 1;
            }
        }
    }
    println!("{tried} damaged indexes tried");
}

fn damage(fixture: &Fixture, disk: &SimDisk, damaged: Option<usize>, kind: &str) {
    if let Some(record) = damaged {
        let place = &fixture.places[record];
        disk.flip(&place.file, place.bytes.start + 9, 2);
    }
    let what = &format!("record {damaged:?} damaged, index {kind}");
    let seen = fixture.opened(disk, Depth::Append, what);
    let damaged = damaged.map(|record| record as u64);
    if damaged.is_some_and(|record| record >= fixture.sure) {
        assert_eq!(
            (seen.end, &seen.unreadable[..]),
            (fixture.sure, &[][..]),
            "{what}"
        );
        assert!(seen.recovery.set_aside.is_some(), "{what}");
    } else {
        assert_eq!(seen.end, fixture.end(), "{what}");
        assert_eq!(seen.unreadable, Vec::from_iter(damaged), "{what}");
    }
}

#[test]
fn neighbouring_records_that_are_damaged_are_each_named_and_no_other() {
    for fixture in both() {
        for with_index in [true, false] {
            let disk = fixture.disk.deep_clone();
            let damaged = [5..8, 1020..1025, 2044..2046, 2200..2400]
                .map(Vec::from_iter)
                .concat();
            for record in &damaged {
                let place = &fixture.places[*record];
                disk.flip(&place.file, place.bytes.start, 0);
            }
            if !with_index {
                disk.remove_file(&index(0));
            }
            let what = &format!("many damaged, index kept: {with_index}");
            let seen = fixture.opened(&disk, Depth::Append, what);
            assert_eq!(seen.end, fixture.end(), "{what}");
            let damaged = damaged.iter().map(|record| *record as u64);
            assert_eq!(seen.unreadable, damaged.collect::<Vec<_>>(), "{what}");
        }
    }
}

/// Has the first page of the index of the segment with this base offset say of each record where the next
/// one is, and makes its check right.
fn shift(disk: &SimDisk, base: u64) {
    let sealed = proglog_store::segment::open_sealed(&*disk.directory(), &store(base)).unwrap();
    let [high, low] = [sealed.salt() >> 32, sealed.salt() & 0xffff_ffff];
    let mut page = disk.read_file(&index(base));
    page.copy_within(8..PAGE_LEN - 4, 4);
    let check = u64::from(crc_fast::crc32_iscsi(&page[..PAGE_LEN - 4])) ^ high ^ low;
    page[PAGE_LEN - 4..].copy_from_slice(&check.to_be_bytes()[4..]);
    disk.write_file(&index(base), &page);
}

#[test]
fn a_page_that_is_whole_and_wrong_never_leads_to_another_record() {
    let [closed, _] = fixture::both("writer");
    for (base, from) in [(0, 0), (0, 1), (closed.bases[1], closed.bases[1])] {
        // A read that finds a wrong page rebuilds it, so each way opens the log again.
        for lend in [true, false] {
            let disk = closed.disk.deep_clone();
            shift(&disk, base);
            let log = Log::open_in(disk.directory(), &fixture::options()).unwrap();
            assert_eq!(log.recovery().indexes_rebuilt, 0);
            let mut records = log.records(from..);
            for place in &closed.places[usize::try_from(from).unwrap()..] {
                let value = if lend {
                    records.next_ref().unwrap().unwrap().to_record().value
                } else {
                    records.next().unwrap().unwrap().value
                };
                assert_eq!(value, place.value);
            }
        }
    }
}
