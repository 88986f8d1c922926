//! Doublewrite: bytes that no mark claims to be synced are rewritten, to newly allocated blocks, before they
//! are shown.
//!
//! Overwriting in place is not enough: after an earlier failed sync, ext4 reported such bytes as synced, and
//! returned zeros after a power failure.

use std::io;

use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{Boundary, Error, Store, StoreOptions};

use crate::fixture::{HEADER_LEN, MARK_LEN, NAME, THREE, at, frames, killed, open, payloads};

const ALL: [&str; 3] = ["first", "second", "third"];

/// The store as left by a recovery that was stopped when it had truncated the file.
fn cut_off() -> SimDisk {
    truncated_on(&killed(&THREE))
}

fn truncated_on(disk: &SimDisk) -> SimDisk {
    // Nothing is done after the store was truncated.
    disk.inject(When::Next(CallKind::SetLen, 1), Fault::crash());
    open(disk).unwrap_err();
    let left = disk.crash(Survivors::KeepAll);
    let copy = format!("{NAME}.again");
    assert!(left.file_names().contains(&copy), "{left:?}");
    left
}

/// The end at which the recovery that left the copy was to truncate the file.
fn cut_at(disk: &SimDisk) -> u64 {
    let copy = disk.read_file(&format!("{NAME}.again"));
    HEADER_LEN as u64 + u64::from_be_bytes(copy[16..24].try_into().unwrap())
}

#[test]
fn the_file_is_truncated_before_it_is_rewritten_and_synced() {
    let disk = killed(&THREE);
    let len = disk.read_file(NAME).len() as u64;
    disk.start_trace();
    let store = open(&disk).unwrap();
    let from = HEADER_LEN as u64 + store.recovery().recovery_point.position.get();
    assert!(from < len);
    let calls = disk.trace().into_iter().filter(|call| *call.name == *NAME);
    let calls: Vec<_> = calls
        .filter(|call| call.kind.is_change())
        .map(|call| (call.kind, call.offset, call.len))
        .collect();
    let expected = [
        (CallKind::SetLen, 0, from),
        (CallKind::Write, from, len - from),
        (CallKind::Sync, 0, 0),
    ];
    assert_eq!(calls, expected);
    assert_eq!(payloads(&store), ALL);
    assert!(!disk.file_names().contains(&format!("{NAME}.again")));
}

#[test]
fn a_recovery_that_was_stopped_when_it_had_truncated_the_file_is_finished() {
    let disk = cut_off();
    let len = killed(&THREE).read_file(NAME).len() as u64;
    // As its own truncation may have.
    disk.truncate_file(NAME, len - 20);
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ALL);
    assert!(!disk.file_names().contains(&format!("{NAME}.again")));
}

#[test]
fn a_store_that_was_to_be_rewritten_from_its_start_is_not_created_again() {
    let disk = truncated_on(&killed(&[&[b"only"]]));
    // As its own truncation may have.
    disk.truncate_file(NAME, HEADER_LEN as u64);
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ["only"]);
    assert!(!disk.file_names().contains(&format!("{NAME}.again")));
}

#[test]
fn a_copy_of_another_store_is_left_out_of_account() {
    let disk = killed(&THREE);
    let name = &format!("{NAME}.again");
    disk.write_file(name, &cut_off().read_file(name));
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ALL);
    assert!(!disk.file_names().contains(name));
}

#[test]
fn a_copy_that_was_damaged_is_left_out_of_account() {
    let disk = killed(&THREE);
    let name = &format!("{NAME}.again");
    let stopped = disk.deep_clone();
    stopped.inject(When::Next(CallKind::SetLen, 1), Fault::crash());
    open(&stopped).unwrap_err();
    let mut copy = stopped.crash(Survivors::KeepAll).read_file(name);
    *copy.last_mut().unwrap() ^= 1;
    disk.write_file(name, &copy);
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ALL);
    assert!(!disk.file_names().contains(name));
}

#[test]
fn a_copy_of_nothing_is_left_out_of_account() {
    let disk = killed(&THREE);
    // It lies after the end of the file, and its checksum is valid.
    let words: [&[u8]; 3] = [
        b"plAgain1",
        &disk.read_file(NAME)[16..24],
        &u64::to_be_bytes(1 << 20),
    ];
    let fields = words.concat();
    let crc = crc_fast::crc32_iscsi(&fields).to_be_bytes();
    let name = &format!("{NAME}.again");
    disk.write_file(name, &[&fields[..], &crc, &[0; 4]].concat());
    proglog_store::segment::finish_recovery(&*disk.directory(), NAME).unwrap();
    assert_eq!(payloads(&open(&disk).unwrap()), ALL);
    assert!(!disk.file_names().contains(name));
}

#[test]
fn a_copy_whose_name_may_be_lost_is_made_again_before_the_file_is_truncated() {
    let disk = killed(&THREE);
    disk.inject(When::Next(CallKind::SyncDirectory, 0), Fault::crash());
    open(&disk).unwrap_err();
    let left = disk.crash(Survivors::KeepAll);
    assert!(left.file_names().contains(&format!("{NAME}.again")));
    assert_stops_take_nothing(&left, &ALL);
}

#[test]
fn a_last_group_that_is_as_long_as_a_mark_is_copied_like_any_other() {
    let payload = "as long as a mark, whole";
    assert_eq!(8 + payload.len(), MARK_LEN);
    assert_stops_take_nothing(&killed(&[&[payload.as_bytes()]]), &[payload]);
}

/// Checks that the store has these payloads wherever its opening is stopped, and whatever survives.
fn assert_stops_take_nothing(left: &SimDisk, expected: &[&str]) {
    for call in left.calls().. {
        let disk = left.deep_clone();
        let stop = Fault::crash().after_writing(usize::MAX);
        disk.inject(When::Call(call), stop);
        let is_over = open(&disk).is_ok();
        for kept in 0..1 << disk.pending() {
            let disk = disk.crash(Survivors::Ops(kept));
            let store = open(&disk).unwrap();
            assert_eq!(payloads(&store), expected, "stopped at {call}, {kept:b}");
        }
        if is_over {
            return;
        }
    }
}

#[test]
fn without_room_for_a_copy_a_store_opens_all_the_same() {
    let disk = killed(&THREE);
    let before = disk.read_file(NAME);
    disk.set_capacity(Some(before.len() as u64));
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ALL);
    assert!(
        disk.read_file(NAME) == before,
        "the same bytes were written"
    );
    assert_eq!(disk.file_names(), [NAME], "what was copied takes no room");
}

#[test]
fn a_device_that_is_found_full_by_a_sync_is_full() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let disk = killed(&THREE);
        disk.inject(When::Next(CallKind::Sync, 0), Fault::error(kind));
        let store = open(&disk).unwrap();
        assert_eq!(payloads(&store), ALL);
        assert_eq!(disk.file_names(), [NAME]);
    }
}

#[test]
fn a_file_that_is_no_copy_is_left_alone() {
    let disk = killed(&THREE);
    let name = &format!("{NAME}.again");
    let other = Store::open_in(&*disk.directory(), name, &StoreOptions::new()).unwrap();
    other.append(b"somebody else's").unwrap();
    other.close().unwrap();
    let bytes = disk.read_file(name);
    let error = open(&disk).unwrap_err();
    let Error::Io { file, source, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (&**file, source.kind()),
        (&**name, io::ErrorKind::AlreadyExists)
    );
    assert!(disk.read_file(name) == bytes);
    disk.remove_file(name);
    assert_eq!(payloads(&open(&disk).unwrap()), ALL);
}

#[test]
fn what_is_truncated_stays_so_wherever_a_recovery_was_stopped_before() {
    let whole = killed(&THREE);
    let end = frames(&whole.deep_clone())[1].end;
    assert_eq!(whole.calls(), 0, "each call of the recovery is reached");
    for call in 0.. {
        let disk = whole.deep_clone();
        disk.inject(When::Call(call), Fault::crash());
        let is_over = open(&disk).is_ok();
        let disk = disk.crash(Survivors::KeepAll);
        let to = Boundary {
            position: end,
            frames: 2,
        };
        proglog_store::segment::truncate(&*disk.directory(), NAME, to).unwrap();
        let disk = disk.crash(Survivors::LoseAll);
        assert_eq!(
            payloads(&open(&disk).unwrap()),
            ALL[..2],
            "stopped at {call}"
        );
        if is_over {
            return;
        }
    }
}

#[test]
fn a_recovery_that_was_stopped_is_finished_without_opening_the_store() {
    let disk = cut_off();
    disk.truncate_file(NAME, cut_at(&disk));
    let in_file = |disk: &SimDisk| {
        payloads(&proglog_store::segment::open_sealed(&*disk.directory(), NAME).unwrap())
    };
    assert_ne!(in_file(&disk), ALL);
    proglog_store::segment::finish_recovery(&*disk.directory(), NAME).unwrap();
    let disk = disk.crash(Survivors::LoseAll);
    assert_eq!(in_file(&disk), ALL);
    let bytes = disk.read_file(NAME);
    proglog_store::segment::finish_recovery(&*disk.directory(), NAME).unwrap();
    assert!(disk.read_file(NAME) == bytes, "there is nothing to do");
    let store = open(&disk).unwrap();
    let error = proglog_store::segment::finish_recovery(&*disk.directory(), NAME).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    assert_eq!(payloads(&store), ALL);
    let error = proglog_store::segment::finish_recovery(&*disk.directory(), "another").unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound),
        "{error:?}"
    );
}

#[test]
fn a_copy_is_not_restored_into_a_file_that_continues_after_it() {
    let disk = killed(&THREE);
    let copy = truncated_on(&disk.deep_clone()).read_file(&format!("{NAME}.again"));
    let store = open(&disk).unwrap();
    for payload in ["fourth", "fifth"] {
        store.append(payload.as_bytes()).unwrap();
        store.sync().unwrap();
    }
    let disk = disk.crash(Survivors::KeepAll);
    disk.flip(NAME, at(&frames(&disk)[2]) as u64 + 8, 0);
    disk.write_file(&format!("{NAME}.again"), &copy);
    let store = open(&disk).unwrap();
    assert_eq!(store.end().frames, 5);
    let mut frames = store.frames(..);
    assert!(frames.by_ref().any(|frame| frame.is_err()));
    frames.resume().unwrap().unwrap();
    assert_eq!(
        frames.map(|frame| frame.unwrap().payload).last().unwrap(),
        "fifth"
    );
}

#[test]
fn a_file_that_ends_before_what_was_copied_is_left_as_it_is() {
    let disk = cut_off();
    disk.truncate_file(NAME, cut_at(&disk) - 1);
    let (names, bytes) = (disk.file_names(), disk.read_file(NAME));
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error:?}");
    assert!(disk.file_names() == names && disk.read_file(NAME) == bytes);
}

#[test]
fn a_mark_that_closed_the_store_is_rewritten_without_a_copy() {
    let disk = killed(&THREE);
    drop(open(&disk).unwrap());
    let mark_at = (disk.read_file(NAME).len() - MARK_LEN) as u64;
    disk.start_trace();
    drop(open(&disk).unwrap());
    let changes = disk
        .trace()
        .into_iter()
        .filter(|call| call.kind.is_change());
    let expected = [
        (CallKind::SetLen, 0, mark_at),
        (CallKind::Write, mark_at, MARK_LEN as u64),
        (CallKind::Sync, 0, 0),
    ];
    let changes: Vec<_> = changes
        .map(|call| (call.kind, call.offset, call.len))
        .collect();
    assert_eq!(changes, expected);
    assert_eq!(payloads(&open(&disk).unwrap()), ALL);
}
