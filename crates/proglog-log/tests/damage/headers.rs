//! Valid headers and checkpoints with impossible contents: of another time, or forged.

use proglog_log::{Error, ErrorKind, Log, Reason};
use proglog_store::testing::SimDisk;

use proglog_harness::damage::fixture::{
    CHECKPOINT, Depth, Fixture, both, index, named_file, options, store,
};

/// The distance of the copies of a header, and of those of a checkpoint.
const COPY_LEN: usize = 4096;
/// Place of the label in a header: magic, log id, base offset, previous base offset.
const LABEL_AT: usize = 28;
const BASE_AT: usize = LABEL_AT + 20;

/// All copies of a checkpoint.
pub(crate) const CHECKPOINT_COPIES: [usize; 4] = [0, 1, 2, 3];

/// Place of the checksum in a copy of a header or of a checkpoint.
fn crc_at(file: &str) -> usize {
    if file == CHECKPOINT { 1096 } else { 92 }
}

/// Changes bytes of these copies of a header or a checkpoint, and makes their checksums right.
pub(crate) fn forge(disk: &SimDisk, file: &str, copies: &[usize], at: usize, value: &[u8]) {
    let mut bytes = disk.read_file(file);
    for number in copies {
        let copy = &mut bytes[number * COPY_LEN..];
        copy[at..at + value.len()].copy_from_slice(value);
        let end = crc_at(file);
        let crc = crc_fast::crc32_iscsi(&copy[..end]);
        copy[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    }
    disk.write_file(file, &bytes);
}

const ONE_OR_BOTH: [&[usize]; 3] = [&[0], &[1], &[0, 1]];

#[test]
fn a_segment_of_a_later_version_is_refused_whichever_header_says_so() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            for copies in ONE_OR_BOTH {
                // Version, kind of checksum, features.
                for at in [9, 10, 15] {
                    let disk = fixture.disk.deep_clone();
                    forge(&disk, &store(*base), copies, at, &[9]);
                    let what = &format!("byte {at} of copies {copies:?} of segment {base}");
                    let error = fixture.open(&disk, Depth::Read, what).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error:?}");
                    assert_eq!(named_file(&error), Some(store(*base)), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_checkpoint_of_a_later_version_is_refused_whichever_copy_says_so() {
    for fixture in both("writer") {
        for copies in [&[0], &[1], &[2], &[3], &CHECKPOINT_COPIES[..]] {
            let disk = fixture.disk.deep_clone();
            forge(&disk, CHECKPOINT, copies, 9, &[3]);
            let what = &format!("copies {copies:?}");
            let error = fixture.open(&disk, Depth::Read, what).unwrap_err();
            let is_named = matches!(
                error.reason,
                Reason::UnsupportedCheckpoint { got: 3, known: 2 }
            );
            assert!(is_named, "{what}: {error:?}");
        }
    }
}

#[test]
fn a_store_that_is_no_segment_is_named() {
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        forge(&disk, &store(0), &[0, 1], LABEL_AT, b"mine");
        let error = fixture.open(&disk, Depth::Read, "no segment").unwrap_err();
        assert!(
            matches!(error.reason, Reason::NotASegment { .. }),
            "{error:?}"
        );
        assert_eq!(named_file(&error), Some(store(0)));
    }
}

#[test]
fn a_segment_whose_headers_differ_is_named() {
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        forge(&disk, &store(0), &[1], BASE_AT + 7, &[1]);
        let error = fixture.open(&disk, Depth::Read, "differ").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert_eq!(named_file(&error), Some(store(0)));
    }
}

/// Runs `action` and returns the most memory that it held, in bytes.
fn memory(action: impl FnOnce()) -> u64 {
    allocation_counter::measure(action).bytes_max
}

/// More than any small log needs, a store's buffer included.
const MEMORY_MAX: u64 = 4 << 20;

/// Opens the log: it is whole, or opening fails, and no claim makes memory or time grow.
fn open_forged(fixture: &Fixture, disk: &SimDisk, what: &str) -> Option<Error> {
    let mut error = None;
    let memory = memory(|| error = fixture.open(disk, Depth::Append, what).err());
    assert!(memory < MEMORY_MAX, "{what}: {memory} bytes");
    error
}

const HUGE: [u64; 7] = [
    1 << 20,
    1 << 32,
    1 << 60,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

#[test]
fn a_segment_that_claims_a_huge_base_offset_costs_no_memory() {
    for fixture in both("writer") {
        let [_, second, last] = fixture.bases[..] else {
            panic!("there are three segments");
        };
        // Or more records than there are bytes for in the segment before it.
        for claim in HUGE.into_iter().chain([last + 2000]) {
            let disk = fixture.disk.deep_clone();
            forge(&disk, &store(last), &[0, 1], BASE_AT, &claim.to_be_bytes());
            disk.copy_file(&store(last), &store(claim));
            disk.remove_file(&store(last));
            // A checkpoint that knows no segment yet forbids none.
            forge(&disk, CHECKPOINT, &CHECKPOINT_COPIES, 12, &[0; 4]);
            forge(&disk, CHECKPOINT, &CHECKPOINT_COPIES, 48, &[0; 24]);
            let what = &format!("base offset {claim}");
            let mut error = None;
            let memory = memory(|| error = Log::open_in(disk.directory(), &options()).err());
            assert!(memory < MEMORY_MAX, "{what}: {memory} bytes");
            // What lies between is missing at the end of the second segment.
            let named = error.as_ref().and_then(named_file);
            assert_eq!(named, Some(store(second)), "{what}: {error:?}");
        }
    }
}

#[test]
fn a_checkpoint_that_claims_huge_numbers_costs_no_memory() {
    for fixture in both("writer") {
        // Start, segment base, position, frames; and the position with the frames.
        for (at, words) in [(40, 1), (48, 1), (56, 1), (64, 1), (56, 2)] {
            for claim in HUGE {
                let disk = fixture.disk.deep_clone();
                let value = claim.to_be_bytes().repeat(words);
                forge(&disk, CHECKPOINT, &CHECKPOINT_COPIES, at, &value);
                let what = &format!("{claim} at {at} of the checkpoint, {words} times");
                let mut error = None;
                let memory = memory(|| error = Log::open_in(disk.directory(), &options()).err());
                assert!(memory < MEMORY_MAX, "{what}: {memory} bytes");
                assert!(error.is_some(), "{what}");
            }
        }
    }
}

#[test]
fn an_index_that_claims_many_entries_costs_no_memory() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            for claim in [1023, 1 << 20, u32::MAX] {
                let disk = fixture.disk.deep_clone();
                let mut page = vec![0; 4096];
                page[..4].copy_from_slice(&u32::to_be_bytes(claim));
                disk.write_file(&index(*base), &page.repeat(3));
                let what = &format!("{claim} entries in index {base}");
                assert!(open_forged(&fixture, &disk, what).is_none(), "{what}");
            }
        }
    }
}

/// Page `number` of an index, with a check that holds for the store of its segment.
pub(crate) fn forged_page(disk: &SimDisk, base: u64, number: u32, entries: &[u32]) -> Vec<u8> {
    let store = disk.read_file(&store(base));
    let salt = u64::from_be_bytes(store[16..24].try_into().unwrap());
    let mixed = u32::try_from((salt ^ (salt >> 32)) & 0xffff_ffff).unwrap();
    let mixed = mixed ^ number.wrapping_mul(0x9e37_79b9);
    let mut page = u32::try_from(entries.len()).unwrap().to_be_bytes().to_vec();
    page.extend(entries.iter().flat_map(|entry| entry.to_be_bytes()));
    page.resize(4092, 0);
    let check = crc_fast::crc32_iscsi(&page) ^ mixed;
    page.extend(check.to_be_bytes());
    page
}

#[test]
fn an_index_that_verifies_and_is_wrong_makes_no_record_wrong() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            let own = fixture.places.iter();
            let own = own.filter(|place| place.file == store(*base));
            let right = own.map(|place| u32::try_from(place.bytes.start - 8192).unwrap());
            let right = right.collect::<Vec<_>>();
            let page = forged_page(&fixture.disk, *base, 0, &right);
            if fixture.closed || *base != fixture.active() {
                assert_eq!(
                    page,
                    fixture.disk.read_file(&index(*base)),
                    "it can be forged"
                );
            }
            let changed = |change: fn(u32) -> u32| right.iter().copied().map(change).collect();
            let wrong: [Vec<u32>; 8] = [
                right.iter().rev().copied().collect(),
                changed(|_| 0),
                changed(|_| u32::MAX),
                changed(|position| position + 1),
                changed(|position| position.saturating_sub(32)),
                changed(|position| position | 1 << 31),
                right[1..].to_vec(),
                right[..1].repeat(1022),
            ];
            for entries in wrong {
                let disk = fixture.disk.deep_clone();
                disk.write_file(&index(*base), &forged_page(&disk, *base, 0, &entries));
                let what = &format!("entries {entries:?} of segment {base}");
                assert!(open_forged(&fixture, &disk, what).is_none(), "{what}");
                let disk = fixture.disk.deep_clone();
                disk.write_file(&index(*base), &forged_page(&disk, *base, 0, &entries));
                fixture.assert_whole(&disk, what);
            }
        }
    }
}
