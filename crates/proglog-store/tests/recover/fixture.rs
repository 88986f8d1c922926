//! A small store on a simulated disk, and a second encoder of its format, written from the drawing.

use proglog_store::testing::{SimDisk, Survivors};
use proglog_store::{Frame, Result, Store, StoreOptions};

pub(crate) const NAME: &str = "a.store";
/// The offset of position 0.
pub(crate) const HEADER_LEN: usize = 8192;
/// The length of a sync mark in the file.
pub(crate) const MARK_LEN: usize = 32;

pub(crate) fn open(disk: &SimDisk) -> Result<Store> {
    open_with(disk, &StoreOptions::new())
}

pub(crate) fn open_with(disk: &SimDisk, options: &StoreOptions) -> Result<Store> {
    Store::open_in(&*disk.directory(), NAME, options)
}

/// A store that was killed after each of `groups` was appended as a batch and synced. Each but the first
/// begins with a mark that claims the ones before.
pub(crate) fn killed(groups: &[&[&[u8]]]) -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    for group in groups {
        store.append_batch(group).unwrap();
        store.sync().unwrap();
    }
    disk.crash(Survivors::KeepAll)
}

/// As [`killed`], but closed.
pub(crate) fn closed(groups: &[&[&[u8]]]) -> SimDisk {
    let disk = killed(groups);
    open(&disk).unwrap().close().unwrap();
    disk
}

/// Three groups of one payload each.
pub(crate) const THREE: [&[&[u8]]; 3] = [&[b"first"], &[b"second"], &[b"third"]];

/// The frames of an undamaged store, in the order of the file.
pub(crate) fn frames(disk: &SimDisk) -> Vec<Frame> {
    let store = proglog_store::segment::open_sealed(&*disk.directory(), NAME).unwrap();
    store.frames(..).map(Result::unwrap).collect()
}

/// The offset of a frame in the file.
pub(crate) fn at(frame: &Frame) -> usize {
    HEADER_LEN + usize::try_from(frame.position.get()).unwrap()
}

/// The payloads up to the first error.
pub(crate) fn payloads(store: &Store) -> Vec<String> {
    assert_lends_the_same(store);
    store
        .frames(..)
        .map(|frame| String::from_utf8(frame.unwrap().payload.to_vec()).unwrap())
        .collect()
}

/// Checks that borrowed frames, and the error that ends them, are equal to those of the iterator.
pub(crate) fn assert_lends_the_same(store: &Store) {
    let mut lent = store.frames(..);
    for frame in store.frames(..) {
        let other = lent.next_ref().unwrap();
        let other = other.map(|other| {
            let payload = other.payload.to_vec();
            (other.position, other.end, other.ends_batch, payload)
        });
        let repeated = lent.lent().map(<[u8]>::to_vec);
        assert_eq!(repeated, other.as_ref().ok().map(|other| other.3.clone()));
        match (&frame, other) {
            (Ok(frame), Ok(other)) => {
                let frame = (
                    frame.position,
                    frame.end,
                    frame.ends_batch,
                    frame.payload.to_vec(),
                );
                assert_eq!(frame, other);
            }
            (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
            different => panic!("{different:?}"),
        }
        assert!(
            frame.is_ok() || lent.next_ref().is_none(),
            "it ends after an error"
        );
    }
    assert!(lent.next_ref().is_none());
    assert_eq!(lent.lent(), None, "there is none at the end");
}

/// Overwrites bytes of the store's file.
pub(crate) fn overwrite(disk: &SimDisk, at: usize, bytes: &[u8]) {
    let mut file = disk.read_file(NAME);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    disk.write_file(NAME, &file);
}

/// Appends bytes to the store's file.
pub(crate) fn extend(disk: &SimDisk, bytes: &[u8]) {
    disk.write_file(NAME, &[&disk.read_file(NAME)[..], bytes].concat());
}

/// The error of opening the store, which leaves its file, the only one, unchanged.
pub(crate) fn refused(disk: &SimDisk, options: &StoreOptions) -> proglog_store::Error {
    let before = disk.read_file(NAME);
    let error = open_with(disk, options).unwrap_err();
    assert_eq!(disk.file_names(), [NAME], "{error:?}");
    assert!(disk.read_file(NAME) == before, "{error:?}");
    error
}

/// A frame whose check is valid at this position of this file.
pub(crate) fn frame(disk: &SimDisk, position: u64, kind: u32, payload: &[u8]) -> Vec<u8> {
    let salt = u64::from_be_bytes(disk.read_file(NAME)[16..24].try_into().unwrap());
    let word = kind << 30 | u32::try_from(payload.len()).unwrap();
    let mut hash = salt ^ position ^ (u64::from(word) << 32);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let folded = u32::try_from((hash ^ (hash >> 32)) & 0xffff_ffff).unwrap();
    let check = folded ^ crc_fast::crc32_iscsi(payload);
    [&word.to_be_bytes()[..], &check.to_be_bytes(), payload].concat()
}

/// A sync mark at `position` with the given claim.
pub(crate) fn mark(disk: &SimDisk, position: u64, claim: u64, frames: u64) -> Vec<u8> {
    let words = [1 << 56, claim, frames].map(u64::to_be_bytes);
    frame(disk, position, 0b11, &words.concat())
}
