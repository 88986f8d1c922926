//! Sectors that the device cannot read: they are damage of their place, as flipped bits are, where it is known to have been
//! synced. Elsewhere they keep the store from being opened, and so from being changed.

use std::error::Error as _;
use std::ops::Range;

use proglog_store::segment::{open_following, read_header};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{Boundary, Error, ErrorKind, Frame, Position, Store, StoreOptions};

use crate::fixture::{
    HEADER_LEN, MARK_LEN, NAME, THREE, at, closed, extend, frames, killed, open, open_with,
    overwrite, payloads, refused,
};

const SECTOR: u64 = 512;

/// Payloads of this length lie in one sector or two.
const LEN: usize = 300;

/// A store that was killed after it had synced `count` payloads, each with its number.
fn numbered(count: usize) -> SimDisk {
    let payloads: Vec<_> = (0..count)
        .map(|number| vec![u8::try_from(number).unwrap() + 1; LEN])
        .collect();
    let groups: Vec<_> = payloads.chunks(5).collect();
    let groups: Vec<Vec<&[u8]>> = groups
        .iter()
        .map(|group| group.iter().map(Vec::as_slice).collect())
        .collect();
    killed(&groups.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The sectors of a frame.
fn sectors_of(frame: &Frame) -> Range<u64> {
    let start = at(frame) as u64;
    let end = start + 8 + frame.payload.len() as u64;
    start / SECTOR * SECTOR..end.div_ceil(SECTOR) * SECTOR
}

fn overlaps(frame: &Frame, range: &Range<u64>) -> bool {
    let start = at(frame) as u64;
    start < range.end && range.start < start + 8 + frame.payload.len() as u64
}

/// Checks that exactly the frames of `all` outside of `range` can be read, one by one and by a scan.
fn reads_all_but(store: &Store, all: &[Frame], range: &Range<u64>) {
    let whole: Vec<_> = all
        .iter()
        .filter(|frame| !overlaps(frame, range))
        .cloned()
        .collect();
    assert!(whole.len() < all.len());
    for frame in all {
        match store.read(frame.position) {
            Ok(payload) => assert_eq!(
                (payload, overlaps(frame, range)),
                (frame.payload.clone(), false)
            ),
            Err(error) => {
                let Error::Unreadable { file, byte, source } = &error else {
                    panic!("{error:?}")
                };
                assert_eq!((&**file, source.raw_os_error()), (NAME, Some(5)));
                assert!(range.contains(byte), "{error}");
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.source().is_some());
            }
        }
    }
    let (mut scan, mut found, mut errors) = (store.frames(..), Vec::new(), 0);
    while let Some(frame) = scan.next() {
        match frame {
            Ok(frame) => found.push(frame),
            Err(error) => {
                assert!(matches!(error, Error::Unreadable { .. }), "{error:?}");
                errors += 1;
                if scan.resume().unwrap().is_none() {
                    break;
                }
            }
        }
    }
    assert_eq!((found, errors), (whole, 1));
}

#[test]
fn an_unreadable_sector_costs_the_frames_in_it_and_no_others() {
    let disk = numbered(40);
    open(&disk).unwrap().close().unwrap();
    let all = frames(&disk);
    for (number, frame) in all.iter().enumerate().take(38) {
        let bytes = at(frame) as u64 + 8..at(frame) as u64 + 20;
        for range in [sectors_of(frame), bytes] {
            let disk = disk.deep_clone();
            disk.fail_reads(NAME, range.clone());
            let store = open(&disk).unwrap();
            assert_eq!(store.end().frames, 40, "frame {number}");
            reads_all_but(&store, &all, &range);
        }
    }
}

#[test]
fn a_killed_store_opens_with_all_that_a_later_mark_claims_whatever_is_unreadable() {
    let disk = numbered(40);
    let all = frames(&disk);
    // The last mark is before the last five.
    for frame in &all[..33] {
        let disk = disk.deep_clone();
        let range = sectors_of(frame);
        disk.fail_reads(NAME, range.clone());
        let store = open(&disk).unwrap();
        let damaged = store.recovery().damaged.unwrap();
        assert!(damaged <= frame.position, "{:?}", store.recovery());
        assert_eq!(
            (store.end().frames, &store.recovery().set_aside),
            (40, &None)
        );
        reads_all_but(&store, &all, &range);
        let appended = store.append(b"more").unwrap();
        store.close().unwrap();
        assert_eq!(
            open(&disk).unwrap().read(appended.position).unwrap(),
            "more"
        );
    }
}

/// Checks that the store is refused for what cannot be read in `range`, with nothing changed.
fn refused_for(disk: &SimDisk, range: &Range<u64>) {
    match refused(disk, &StoreOptions::new()) {
        Error::EndUnreadable { file, byte, source } => {
            assert_eq!((&*file, source.raw_os_error()), (NAME, Some(5)));
            assert!(range.contains(&byte), "byte {byte} in {range:?}");
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_store_is_not_changed_while_what_may_be_synced_cannot_be_read() {
    let disk = numbered(40);
    let all = frames(&disk);
    // No mark claims the last five, which were synced.
    for frame in &all[35..] {
        let disk = disk.deep_clone();
        let range = sectors_of(frame);
        disk.fail_reads(NAME, range.clone());
        refused_for(&disk, &range);
        disk.mend_reads(NAME);
        let store = open(&disk).unwrap();
        assert_eq!(
            (store.end().frames, &store.recovery().set_aside),
            (40, &None)
        );
    }
}

#[test]
fn reads_that_fail_for_a_while_take_nothing_whenever_they_begin_and_end() {
    let (mut refusals, mut opened) = (0, 0);
    // With marks, and with none.
    for records in [40, 5] {
        let disk = numbered(records);
        for (first, count) in (0..30).flat_map(|first| (2..12).map(move |count| (first, count))) {
            let disk = disk.deep_clone();
            for read in first..first + count {
                disk.inject(When::Next(CallKind::Read, read), Fault::os_error(5));
            }
            match open(&disk) {
                Ok(store) => {
                    opened += 1;
                    let end = store.end().frames;
                    assert_eq!(end, records as u64, "{count} from read {first} on");
                    assert_eq!(store.recovery().set_aside, None);
                }
                Err(error) => {
                    refusals += 1;
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                }
            }
            // Faults that did not come yet are not of the next opening.
            let disk = disk.crash(Survivors::KeepAll);
            assert_eq!(open(&disk).unwrap().end().frames, records as u64);
        }
    }
    assert!(refusals > 10 && opened > 10, "{refusals} of {opened}");
}

#[test]
fn a_torn_end_that_cannot_be_read_is_neither_set_aside_nor_cleared() {
    let disk = killed(&THREE);
    let end = disk.read_file(NAME).len() as u64;
    extend(&disk, &[0x40; 3000]);
    let sector = (end / SECTOR + 2) * SECTOR;
    let range = sector..sector + SECTOR;
    disk.fail_reads(NAME, range.clone());
    refused_for(&disk, &range);
    disk.mend_reads(NAME);
    // A copy of the file, with zeros in the place.
    let start = usize::try_from(sector).unwrap();
    overwrite(&disk, start, &[0; 512]);
    let torn = disk
        .read_file(NAME)
        .split_off(usize::try_from(end).unwrap());
    let store = open(&disk).unwrap();
    let set_aside = store.recovery().set_aside.clone().unwrap();
    assert!(disk.read_file(&set_aside.file) == torn);
    assert_eq!(disk.read_file(NAME).len() as u64, end);
    assert_eq!(payloads(&store).len(), 3);
}

#[test]
fn a_closed_store_opens_though_its_closing_mark_cannot_be_read_if_its_end_is_known() {
    let disk = closed(&THREE);
    let len = disk.read_file(NAME).len() as u64;
    let end = open(&disk).unwrap().end();
    let range = len - MARK_LEN as u64..len;
    disk.fail_reads(NAME, range.clone());
    // Nothing else shows that it is no frame.
    refused_for(&disk, &range);
    let store = open_with(&disk, &StoreOptions::new().recovery_point(end)).unwrap();
    let whole: Vec<_> = store.frames(..).map_while(Result::ok).collect();
    assert_eq!(whole.len(), 3);
}

#[test]
fn one_copy_of_the_header_is_enough() {
    let disk = closed(&THREE);
    for copy in [0..512, 4096..4608] {
        let disk = disk.deep_clone();
        disk.fail_reads(NAME, copy.clone());
        assert!(read_header(&*disk.directory(), NAME).is_ok());
        let store = open(&disk).unwrap();
        assert!(store.recovery().header_restored);
        assert_eq!(store.end().frames, 3);
    }
    disk.fail_reads(NAME, 0..HEADER_LEN as u64);
    let error = open(&disk).unwrap_err();
    assert!(
        matches!(error, Error::Unreadable { byte: 0, .. }),
        "{error:?}"
    );
}

#[test]
fn a_follower_finds_marks_after_what_cannot_be_read() {
    let disk = numbered(40);
    let all = frames(&disk);
    for frame in &all[..30] {
        let disk = disk.deep_clone();
        let range = sectors_of(frame);
        disk.fail_reads(NAME, range.clone());
        let store = open_following(&*disk.directory(), NAME, Boundary::START).unwrap();
        assert_eq!(store.end().frames, 35);
        assert_eq!(store.read(all[34].position).unwrap(), all[34].payload);
    }
}

#[test]
fn a_long_unreadable_range_is_tried_in_ever_longer_steps() {
    let payload = vec![7; 4 << 20];
    let disk = SimDisk::new();
    let options = StoreOptions::new().payload_len_max(8 << 20);
    let store = open_with(&disk, &options).unwrap();
    for payload in [&payload[..], b"after"] {
        store.append(payload).unwrap();
    }
    store.close().unwrap();
    let store = open(&disk).unwrap();
    disk.fail_reads(NAME, 8192 + 4096..8192 + (3 << 20));
    let mut frames = store.frames(..);
    assert!(frames.next().unwrap().is_err());
    disk.start_trace();
    assert!(frames.resume().unwrap().is_some());
    let calls = disk.trace().len();
    assert!(calls < 150, "{calls} calls");
    assert_eq!(frames.next().unwrap().unwrap().payload, "after");
}

#[test]
fn recovery_tries_a_long_unreadable_range_once_in_all_its_passes() {
    let payload = vec![7; 4 << 20];
    let disk = SimDisk::new();
    let options = StoreOptions::new().payload_len_max(8 << 20);
    let store = open_with(&disk, &options).unwrap();
    for payload in [&payload[..], b"after", b"last"] {
        store.append(payload).unwrap();
        store.sync().unwrap();
    }
    let disk = disk.crash(Survivors::KeepAll);
    let range = 8192 + 4096..8192 + (3 << 20);
    disk.fail_reads(NAME, range);
    disk.start_trace();
    let store = open(&disk).unwrap();
    let trace = disk.trace();
    let reads = trace.iter().filter(|call| call.kind == CallKind::Read);
    let reads = reads.count();
    assert!(reads < 200, "{reads} reads");
    assert_eq!(store.end().frames, 3);
    assert_eq!(store.recovery().damaged, Some(Position::ZERO));
}

#[test]
fn a_failure_that_is_not_of_the_device_is_no_damage() {
    let disk = closed(&THREE);
    let store = open(&disk).unwrap();
    let position = frames(&disk)[1].position;
    disk.inject(When::Next(CallKind::Read, 0), Fault::os_error(13));
    let error = store.read(position).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(store.read(position).unwrap(), "second");
}

#[test]
fn a_read_that_fails_once_takes_nothing() {
    let disk = killed(&THREE);
    for read in 0..40 {
        let disk = disk.deep_clone();
        disk.inject(When::Next(CallKind::Read, read), Fault::os_error(5));
        let store = open(&disk).unwrap();
        assert_eq!(
            payloads(&store),
            ["first", "second", "third"],
            "read {read}"
        );
        assert_eq!(
            (&store.recovery().damaged, &store.recovery().set_aside),
            (&None, &None)
        );
    }
}
