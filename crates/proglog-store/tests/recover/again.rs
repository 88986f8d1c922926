//! What no mark says to be synced is written again before it is shown, to blocks that are new to the file.
//!
//! It once was written in its place. Where an earlier sync had failed, ext4 took it, said that it was
//! synced, and gave zeros back after a power cut.

use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::fixture::{HEADER_LEN, NAME, THREE, killed, open, payloads};

const ALL: [&str; 3] = ["first", "second", "third"];

/// The store as a recovery left it that was stopped when it had cut the file.
fn cut_off() -> SimDisk {
    let disk = killed(&THREE);
    // From the store's being cut on, nothing is done any more.
    disk.inject(When::Next(CallKind::SetLen, 1), Fault::crash());
    open(&disk).unwrap_err();
    let left = disk.crash(Survivors::KeepAll);
    let copy = format!("{NAME}.again");
    assert!(left.file_names().contains(&copy), "{left:?}");
    left
}

#[test]
fn the_file_is_cut_before_it_is_written_again_and_synced() {
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
fn a_recovery_that_was_stopped_when_it_had_cut_the_file_is_finished() {
    let disk = cut_off();
    let len = killed(&THREE).read_file(NAME).len() as u64;
    // As its own cut may have.
    disk.truncate_file(NAME, len - 20);
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ALL);
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
fn without_room_for_a_copy_a_store_opens_all_the_same() {
    let disk = killed(&THREE);
    disk.set_capacity(Some(disk.read_file(NAME).len() as u64));
    let store = open(&disk).unwrap();
    assert_eq!(payloads(&store), ALL);
}
