//! Damage to a killed log with preallocated zeros after its data: to a zero, a record, or both.

use std::ops::Range;

use proglog_log::Log;
use proglog_store::testing::SimDisk;

use proglog_harness::damage::fixture::{
    Depth, Fixture, HEADER_LEN, Seen, killed_and_closed, options, store,
};

const RECORDS: usize = 18;
/// Length of the segments, and end of the zeros.
const SEGMENT_LEN: u64 = 2 << 10;
/// Bytes that overwrite some places.
const LENS: [u64; 4] = [1, 8, 40, 512];

/// A killed log of two segments, in whose newest one zeros follow the data.
fn killed_with_zeros() -> Fixture {
    let disk = SimDisk::new();
    let options = options()
        .segment_bytes_max(SEGMENT_LEN)
        .preallocate_max(SEGMENT_LEN);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    let values = (0..RECORDS).map(|number| format!("record {number:90}"));
    let values = values.collect::<Vec<_>>();
    for value in &values {
        log.append(value.as_str()).unwrap();
    }
    let last = RECORDS as u64 - 1;
    let [_, killed] = killed_and_closed(&disk, &log, &values, last, &[]);
    assert_eq!(killed.bases.len(), 2);
    let zeros = zeros(&killed);
    assert!(zeros.end - zeros.start > 700, "{zeros:?}");
    killed
}

/// Ends of the data and of the zeros in the file of the newest segment.
fn zeros(fixture: &Fixture) -> Range<u64> {
    let bytes = fixture.disk.read_file(&store(fixture.active()));
    let start = fixture.places[RECORDS - 1].bytes.end;
    let zeros = &bytes[usize::try_from(start).unwrap()..];
    assert!(zeros.iter().all(|byte| *byte == 0));
    start..bytes.len() as u64
}

/// Writes `bytes` over what is in the newest segment from `at` on, as far as the file goes.
fn overwrite(fixture: &Fixture, disk: &SimDisk, at: u64, bytes: impl Iterator<Item = u8>) {
    let file = store(fixture.active());
    let mut content = disk.read_file(&file);
    let at = usize::try_from(at).unwrap();
    for (old, new) in content[at..].iter_mut().zip(bytes) {
        *old = new;
    }
    disk.write_file(&file, &content);
}

/// All records are there, and what stands in the place of the zeros was set aside.
fn assert_zeros_set_aside(fixture: &Fixture, seen: &Seen, what: &str) {
    assert_eq!(seen.end, fixture.end(), "{what}");
    assert_eq!(seen.unreadable, [0; 0], "{what}");
    let set_aside = seen.recovery.set_aside.as_ref();
    let at = set_aside.map(|set_aside| set_aside.byte);
    assert_eq!(at, Some(zeros(fixture).start), "{what}");
}

/// What the newest mark that is left covers is there, but that a damaged record is named; the groups above
/// it, of a mark and a record each, are there down to the first that is damaged.
fn assert_told(fixture: &Fixture, seen: &Seen, damaged: &Range<u64>, what: &str) {
    let is_hit = |bytes: &Range<u64>| bytes.start < damaged.end && damaged.start < bytes.end;
    let base = usize::try_from(fixture.active()).unwrap();
    let marks = |offset: usize| match offset.checked_sub(1).filter(|_| offset > base) {
        Some(before) => fixture.places[before].bytes.end..fixture.places[offset].bytes.start,
        None => HEADER_LEN..HEADER_LEN,
    };
    let whole_mark = |offset: &usize| !is_hit(&marks(*offset));
    let sure = (base..RECORDS).rev().find(whole_mark).unwrap();
    let is_torn =
        |offset: &usize| is_hit(&(marks(*offset).start..fixture.places[*offset].bytes.end));
    let end = (sure..RECORDS).find(is_torn).unwrap_or(RECORDS);
    assert_eq!(seen.end, end as u64, "{what}");
    let unreadable = (base..sure).filter(|offset| is_hit(&fixture.places[*offset].bytes));
    let unreadable = unreadable.map(|offset| offset as u64);
    assert_eq!(seen.unreadable, unreadable.collect::<Vec<_>>(), "{what}");
}

#[test]
fn any_bit_of_the_zeros_is_set_aside_and_takes_no_record() {
    let fixture = killed_with_zeros();
    let whole = fixture.assert_whole(&fixture.disk.deep_clone(), "nothing damaged");
    let zeros = zeros(&fixture);
    assert_eq!(whole.zeros_removed, zeros.end - zeros.start);
    assert_eq!(whole.set_aside, None);
    for byte in zeros {
        for bit in 0..8 {
            let disk = fixture.disk.deep_clone();
            disk.flip(&store(fixture.active()), byte, bit);
            let what = &format!("bit {bit} of the zero at {byte}");
            let deep = u64::from(bit) == byte % 8;
            let depth = if deep { Depth::Append } else { Depth::Read };
            let seen = fixture.opened(&disk, depth, what);
            assert_zeros_set_aside(&fixture, &seen, what);
        }
    }
}

#[test]
fn frames_and_marks_that_stand_in_the_zeros_are_none() {
    let fixture = killed_with_zeros();
    let file = fixture.disk.read_file(&store(fixture.active()));
    let zeros = zeros(&fixture);
    let first = fixture
        .places
        .iter()
        .find(|place| place.bytes.start == HEADER_LEN);
    let first = usize::try_from(first.unwrap().bytes.start).unwrap();
    // From each place of the data on: so from each frame and each mark.
    let end = usize::try_from(zeros.start).unwrap();
    for from in first..end {
        let at = zeros.start + from as u64 % 64;
        let disk = fixture.disk.deep_clone();
        overwrite(&fixture, &disk, at, file[from..end].iter().copied());
        let what = &format!("the bytes from {from} on copied to {at}");
        let seen = fixture.opened(&disk, Depth::Append, what);
        assert_zeros_set_aside(&fixture, &seen, what);
    }
}

#[test]
fn any_bit_of_the_data_before_zeros_takes_its_record_or_the_last_group() {
    let fixture = killed_with_zeros();
    let zeros = zeros(&fixture);
    for byte in HEADER_LEN..zeros.start {
        for bit in 0..8 {
            let disk = fixture.disk.deep_clone();
            disk.flip(&store(fixture.active()), byte, bit);
            let what = &format!("bit {bit} of byte {byte}, with zeros behind");
            let deep = u64::from(bit) == byte % 8;
            let depth = if deep { Depth::Append } else { Depth::Read };
            let seen = fixture.opened(&disk, depth, what);
            assert_told(&fixture, &seen, &(byte..byte + 1), what);
            let is_last = seen.end < fixture.end();
            assert_eq!(seen.recovery.set_aside.is_some(), is_last, "{what}");
        }
    }
}

#[test]
fn data_that_reads_as_zeros_or_ones_takes_its_records_or_the_last_group() {
    let fixture = killed_with_zeros();
    let zeros = zeros(&fixture);
    for byte in HEADER_LEN..zeros.start {
        for (len, with) in LENS.into_iter().zip([0, 0xff, 0, 0]) {
            let damaged = byte..(byte + len).min(zeros.end);
            let disk = fixture.disk.deep_clone();
            let bytes = std::iter::repeat_n(with, usize::try_from(len).unwrap());
            overwrite(&fixture, &disk, byte, bytes);
            let what = &format!("{with} over {damaged:?}");
            if disk.read_file(&store(fixture.active()))
                == fixture.disk.read_file(&store(fixture.active()))
            {
                continue;
            }
            let seen = fixture.opened(&disk, Depth::Append, what);
            assert_told(&fixture, &seen, &damaged, what);
        }
    }
}

#[test]
fn a_damaged_record_is_reported_whatever_stands_in_the_zeros() {
    let fixture = killed_with_zeros();
    let zeros = zeros(&fixture);
    for byte in (HEADER_LEN..zeros.start).step_by(5) {
        for len in LENS {
            let disk = fixture.disk.deep_clone();
            disk.flip(&store(fixture.active()), byte, (byte % 8) as u8);
            let at = zeros.start + byte % (zeros.end - zeros.start);
            overwrite(
                &fixture,
                &disk,
                at,
                (0..len).map(|number| (number % 255) as u8 + 1),
            );
            let what = &format!("byte {byte}, and {len} bytes at {at} in the zeros");
            let seen = fixture.opened(&disk, Depth::Append, what);
            assert_told(&fixture, &seen, &(byte..byte + 1), what);
            assert!(seen.recovery.set_aside.is_some(), "{what}");
        }
    }
}
