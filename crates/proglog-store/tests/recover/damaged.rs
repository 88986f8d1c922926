//! Damage to what a mark, or the owner, claims to be synced: it is reported, and takes nothing with it.

use proglog_store::testing::SimDisk;
use proglog_store::{Boundary, Error, ErrorKind, Position, StoreOptions};

use crate::fixture::{
    HEADER_LEN, MARK_LEN, NAME, THREE, assert_lends_the_same, at, closed, frames, killed, open,
    open_with, overwrite, payloads, refused,
};

/// Opens the store, whose frame at `damaged` is found unreadable; all others are intact.
fn opens_but_for(disk: &SimDisk, pristine: &SimDisk, damaged: Position) {
    let before = disk.read_file(NAME);
    let store = open(disk).unwrap();
    assert_eq!(store.recovery().damaged, Some(damaged));
    assert_eq!(store.recovery().set_aside, None);
    assert!(
        disk.read_file(NAME) == before,
        "nothing was removed or changed"
    );
    assert_lends_the_same(&store);
    let frames = frames(pristine);
    assert_eq!(store.end().frames, frames.len() as u64);
    for frame in &frames {
        match store.read(frame.position) {
            Ok(payload) => assert_eq!(payload, frame.payload),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert_eq!(frame.position, damaged);
            }
        }
    }
    let appended = store.append(b"more").unwrap();
    store.close().unwrap();
    let store = open(disk).unwrap();
    assert_eq!(store.read(appended.position).unwrap(), "more");
    assert_eq!(store.end().frames, frames.len() as u64 + 1);
}

#[test]
fn a_damaged_frame_below_a_mark_is_reported_and_takes_no_other() {
    let pristine = killed(&THREE);
    for frame in &frames(&pristine)[..2] {
        for byte in 0..8 + frame.payload.len() {
            let disk = pristine.deep_clone();
            disk.flip(NAME, (at(frame) + byte) as u64, 3);
            opens_but_for(&disk, &pristine, frame.position);
        }
    }
}

#[test]
fn a_mark_is_found_however_far_after_the_damage_it_is() {
    let payload = vec![7; 100_000];
    let pristine = killed(&[&[&payload[..]; 12], &[b"last"]]);
    let first = &frames(&pristine)[0];
    let disk = pristine.deep_clone();
    disk.flip(NAME, at(first) as u64 + 8, 0);
    opens_but_for(&disk, &pristine, first.position);
}

#[test]
fn a_damaged_frame_of_a_batch_below_a_mark_takes_no_other_of_the_batch() {
    let pristine = killed(&[&[b"one", b"two", b"three"], &[b"four"]]);
    for frame in &frames(&pristine)[..3] {
        let disk = pristine.deep_clone();
        disk.flip(NAME, at(frame) as u64 + 8, 0);
        opens_but_for(&disk, &pristine, frame.position);
    }
}

#[test]
fn a_damaged_mark_below_a_mark_takes_no_data() {
    let pristine = killed(&THREE);
    let mark = at(&frames(&pristine)[1]) - MARK_LEN;
    for byte in 0..MARK_LEN {
        let disk = pristine.deep_clone();
        disk.flip(NAME, (mark + byte) as u64, 0);
        let store = open(&disk).unwrap();
        let place = Position::new((mark - HEADER_LEN) as u64);
        assert_eq!(store.recovery().damaged, Some(place));
        for frame in frames(&pristine) {
            assert_eq!(store.read(frame.position).unwrap(), frame.payload);
        }
        assert_eq!(store.end().frames, 3);
    }
}

#[test]
fn a_length_that_points_past_the_end_is_damage_like_any_other() {
    let pristine = killed(&THREE);
    for frame in &frames(&pristine)[..2] {
        for word in [0_u32, 0x7fff_ffff, 0xbfff_ffff, 0xffff_ffff, 0x4000_0100] {
            let disk = pristine.deep_clone();
            overwrite(&disk, at(frame), &word.to_be_bytes());
            opens_but_for(&disk, &pristine, frame.position);
        }
    }
}

#[test]
fn all_that_lies_below_the_newest_mark_may_be_gone_and_the_rest_is_right() {
    let pristine = killed(&THREE);
    let frames = frames(&pristine);
    let disk = pristine.deep_clone();
    overwrite(
        &disk,
        HEADER_LEN,
        &vec![0; at(&frames[1]) + 14 - HEADER_LEN],
    );
    let store = open(&disk).unwrap();
    assert_eq!(store.recovery().damaged, Some(Position::ZERO));
    assert_eq!(store.end().frames, 3, "the mark counts what it covers");
    assert_eq!(store.read(frames[2].position).unwrap(), "third");
    store.read(frames[1].position).unwrap_err();
}

#[test]
fn a_damaged_frame_of_a_closed_store_is_reported_when_it_is_read() {
    let disk = closed(&THREE);
    let frames = frames(&disk);
    overwrite(&disk, at(&frames[1]) + 8, b"S");
    let store = open(&disk).unwrap();
    assert!(store.recovery().clean);
    assert_eq!(store.recovery().bytes_scanned, MARK_LEN as u64);
    assert_eq!(store.read(frames[0].position).unwrap(), "first");
    let error = store.read(frames[1].position).unwrap_err();
    assert!(
        matches!(error, Error::ChecksumMismatch { position, .. } if position == frames[1].position)
    );
    assert_eq!(store.read(frames[2].position).unwrap(), "third");
}

#[test]
fn a_damaged_closing_mark_takes_no_data() {
    let pristine = closed(&THREE);
    let mark = pristine.read_file(NAME).len() - MARK_LEN;
    for byte in 0..MARK_LEN {
        let disk = pristine.deep_clone();
        disk.flip(NAME, (mark + byte) as u64, 7);
        let store = open(&disk).unwrap();
        assert!(!store.recovery().clean);
        assert_eq!(payloads(&store), ["first", "second", "third"]);
        assert!(store.recovery().set_aside.is_some());
    }
}

#[test]
fn a_file_shorter_than_its_owner_knows_is_refused_and_left_alone() {
    let disk = closed(&THREE);
    let known = open(&disk).unwrap().recovery_point();
    let options = StoreOptions::new().recovery_point(known);
    open_with(&disk, &options).unwrap();
    for len in HEADER_LEN as u64..HEADER_LEN as u64 + known.position.get() {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, len);
        match refused(&disk, &options) {
            Error::Truncated {
                file,
                end,
                expected,
            } => {
                assert_eq!(&*file, NAME);
                assert_eq!(end.get(), len - HEADER_LEN as u64);
                assert_eq!(expected, known.position);
            }
            error => panic!("{len} bytes: {error:?}"),
        }
    }
}

#[test]
fn what_the_owner_knows_to_be_synced_is_not_scanned_and_never_set_aside() {
    let disk = killed(&THREE);
    let frames = frames(&disk);
    let known = Boundary {
        position: frames[2].end,
        frames: 3,
    };
    overwrite(&disk, at(&frames[2]) + 8, b"T");
    let store = open_with(&disk, &StoreOptions::new().recovery_point(known)).unwrap();
    assert_eq!(store.recovery().set_aside, None);
    assert_eq!(store.recovery().bytes_scanned, 0);
    assert_eq!(store.recovery().recovery_point, known);
    assert_eq!(store.end(), known);
    let error = store.read(frames[2].position).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_sealed_store_that_was_truncated_has_what_is_left() {
    let disk = closed(&THREE);
    let frames = frames(&disk);
    disk.truncate_file(NAME, at(&frames[1]) as u64 + 3);
    let before = disk.read_file(NAME);
    let store = proglog_store::segment::open_sealed(&*disk.directory(), NAME).unwrap();
    assert_eq!(store.read(frames[0].position).unwrap(), "first");
    let error = store.read(frames[1].position).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = store.read(frames[2].position).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    assert_eq!(store.frames(..).filter(Result::is_err).count(), 1);
    drop(store);
    assert!(disk.read_file(NAME) == before, "it was only read");
}
