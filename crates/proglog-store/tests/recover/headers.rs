//! The header: one damaged copy is restored, and files that are no store of this version are left alone.

use proglog_store::io::OpenMode;
use proglog_store::testing::SimDisk;
use proglog_store::{Error, ErrorKind, StoreOptions};

use crate::fixture::{NAME, THREE, closed, killed, open, overwrite, payloads, refused};

const COPY_LEN: usize = 4096;
const ONE_OR_BOTH: [&[usize]; 3] = [&[0], &[1], &[0, 1]];

/// Changes bytes in these copies of the header, and corrects their checksums.
fn forge(disk: &SimDisk, copies: &[usize], at: usize, value: &[u8]) {
    let mut bytes = disk.read_file(NAME);
    for number in copies {
        let copy = &mut bytes[number * COPY_LEN..];
        copy[at..at + value.len()].copy_from_slice(value);
        let crc = crc_fast::crc32_iscsi(&copy[..92]);
        copy[92..96].copy_from_slice(&crc.to_be_bytes());
    }
    disk.write_file(NAME, &bytes);
}

#[test]
fn a_damaged_copy_of_the_header_is_restored_from_the_other() {
    for make in [killed, closed] {
        let pristine = make(&THREE);
        for at in [0, 20, 95, COPY_LEN, COPY_LEN + 20, COPY_LEN + 95] {
            let disk = pristine.deep_clone();
            disk.flip(NAME, at as u64, 5);
            let store = open(&disk).unwrap();
            assert!(store.recovery().header_restored);
            assert_eq!(payloads(&store), ["first", "second", "third"]);
            assert!(disk.read_file(NAME)[..8192] == pristine.read_file(NAME)[..8192]);
            store.close().unwrap();
            assert!(!open(&disk).unwrap().recovery().header_restored);
        }
    }
}

#[test]
fn a_lost_block_of_the_header_is_restored_from_the_other() {
    for number in 0..2 {
        let disk = closed(&THREE);
        overwrite(&disk, number * COPY_LEN, &[0; COPY_LEN]);
        assert!(open(&disk).unwrap().recovery().header_restored);
    }
}

#[test]
fn two_damaged_headers_are_an_error_with_the_files_name() {
    let disk = killed(&THREE);
    disk.flip(NAME, 20, 0);
    disk.flip(NAME, COPY_LEN as u64 + 40, 0);
    match refused(&disk, &StoreOptions::new()) {
        Error::NotAStore { file, len } => {
            assert_eq!(&*file, NAME);
            assert_eq!(len, disk.read_file(NAME).len() as u64);
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn two_headers_that_differ_are_an_error() {
    let disk = killed(&THREE);
    forge(&disk, &[1], 16, b"the salt");
    let error = refused(&disk, &StoreOptions::new());
    assert!(matches!(error, Error::HeadersDiffer { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_later_version_is_refused_whichever_copy_says_so() {
    for copies in ONE_OR_BOTH {
        let disk = killed(&THREE);
        forge(&disk, copies, 8, &[0, 2]);
        let error = refused(&disk, &StoreOptions::new());
        let is_named = matches!(
            error,
            Error::UnsupportedVersion {
                got: 2,
                known: 1,
                ..
            }
        );
        assert!(is_named, "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn an_unknown_checksum_is_refused_whichever_copy_says_so() {
    for copies in ONE_OR_BOTH {
        let disk = killed(&THREE);
        forge(&disk, copies, 10, &[7]);
        let error = refused(&disk, &StoreOptions::new());
        assert!(
            matches!(error, Error::UnsupportedChecksum { kind: 7, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn unknown_features_are_refused_whichever_copy_says_so() {
    for copies in ONE_OR_BOTH {
        let disk = killed(&THREE);
        forge(&disk, copies, 12, &[0, 0, 1, 0]);
        let error = refused(&disk, &StoreOptions::new());
        assert!(
            matches!(error, Error::UnsupportedFeatures { bits: 0x100, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn an_impossible_payload_limit_or_label_is_damage() {
    for (at, value) in [(24, &[0xff; 4][..]), (11, &[65])] {
        let disk = killed(&THREE);
        forge(&disk, &[0, 1], at, value);
        let error = refused(&disk, &StoreOptions::new());
        assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
    }
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_alone() {
    let long = vec![b'x'; 20_000];
    for bytes in [&b""[..], b"mine", &long[..8191], &long[..8192], &long] {
        let disk = SimDisk::new();
        disk.write_file(NAME, bytes);
        match refused(&disk, &StoreOptions::new()) {
            Error::NotAStore { len, .. } => assert_eq!(len, bytes.len() as u64),
            error => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_store_truncated_within_its_header_is_refused_and_left_alone() {
    let disk = killed(&THREE);
    for len in [0, 1, 95, 96, COPY_LEN, COPY_LEN + 96, 8191] {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, len as u64);
        let error = refused(&disk, &StoreOptions::new());
        assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
    }
}

#[test]
fn an_interrupted_creation_is_started_again() {
    for bytes in [&b""[..], b"half a header", &[0; 8192]] {
        let disk = SimDisk::new();
        disk.write_file("a.store.tmp", bytes);
        let store = open(&disk).unwrap();
        store.append(b"new").unwrap();
        assert_eq!(payloads(&store), ["new"]);
        assert_eq!(disk.file_names(), [NAME]);
    }
}

#[test]
fn a_creation_that_never_ended_does_no_harm_to_the_store_that_was_made_since() {
    let disk = closed(&THREE);
    disk.write_file("a.store.tmp", b"begun");
    assert_eq!(payloads(&open(&disk).unwrap()).len(), 3);
    assert_eq!(disk.read_file("a.store.tmp"), b"begun");
}

#[test]
fn a_creation_that_is_under_way_is_not_disturbed() {
    let disk = SimDisk::new();
    disk.write_file("a.store.tmp", b"");
    let other = disk
        .directory()
        .open("a.store.tmp", OpenMode::Write)
        .unwrap();
    assert!(other.try_lock().unwrap());
    let error = open(&disk).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(disk.file_names(), ["a.store.tmp"]);
}

#[test]
fn a_locked_store_is_refused_at_once_and_not_touched() {
    let disk = killed(&THREE);
    let store = open(&disk).unwrap();
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Locked);
    store.append(b"fourth").unwrap();
    store.close().unwrap();
    assert_eq!(payloads(&open(&disk).unwrap()).len(), 4);
}
