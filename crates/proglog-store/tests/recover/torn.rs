//! Torn ends: unfinished writes that no mark claims to be synced.

use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{Boundary, Position};

use crate::fixture::{
    HEADER_LEN, MARK_LEN, NAME, THREE, at, extend, frame, frames, killed, mark, open, overwrite,
    payloads,
};

/// Opens the store: it has these payloads, this torn end was set aside, and it takes appends.
fn opens_with(disk: &SimDisk, expected: &[&str], torn: &[u8]) {
    let store = open(disk).unwrap();
    assert_eq!(payloads(&store), expected);
    assert_eq!(store.recovery().damaged, None);
    assert_eq!(store.recovery().end, store.end());
    assert_eq!(store.end().frames, expected.len() as u64);
    // Zeros at the end are counted, and not kept.
    let nonzero = torn.iter().rposition(|byte| *byte != 0);
    let (torn, zeros) = torn.split_at(nonzero.map_or(0, |last| last + 1));
    assert_eq!(store.recovery().zeros_removed, zeros.len() as u64);
    match &store.recovery().set_aside {
        Some(set_aside) => {
            assert_eq!(disk.read_file(&set_aside.file), torn);
            assert_eq!(set_aside.bytes, torn.len() as u64);
            assert_eq!(set_aside.position, store.end().position);
        }
        None => assert_eq!(torn, b""),
    }
    let end = HEADER_LEN as u64 + store.len();
    assert_eq!(disk.read_file(NAME).len() as u64, end, "it was truncated");
    let appended = store.append(b"more").unwrap();
    assert_eq!(store.read(appended.position).unwrap(), "more");
    store.close().unwrap();
    let store = open(disk).unwrap();
    assert!(store.recovery().clean);
    assert_eq!(payloads(&store), [expected, &["more"]].concat());
}

#[test]
fn a_store_that_was_killed_after_a_sync_has_all() {
    let disk = killed(&THREE);
    let expected = ["first", "second", "third"];
    let recovery = open(&disk.deep_clone()).unwrap().recovery().clone();
    assert!(!recovery.clean);
    assert_eq!(
        recovery.recovery_point.frames, 2,
        "the last group has no mark yet"
    );
    opens_with(&disk, &expected, b"");
}

#[test]
fn a_store_that_was_killed_before_its_first_append_is_empty() {
    opens_with(&killed(&[]), &[], b"");
}

#[test]
fn what_was_flushed_and_not_synced_survives_the_end_of_the_process() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    store.append(b"flushed").unwrap();
    store.flush().unwrap();
    store.append(b"only buffered").unwrap();
    let disk = disk.crash(Survivors::KeepAll);
    let recovery = open(&disk.deep_clone()).unwrap().recovery().clone();
    assert_eq!(recovery.recovery_point, Boundary::START);
    opens_with(&disk, &["flushed"], b"");
}

#[test]
fn a_torn_header_is_set_aside() {
    let disk = killed(&THREE);
    let start = at(&frames(&disk)[2]);
    for len in 1..8 {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, (start + len) as u64);
        let torn = disk.read_file(NAME)[start..].to_vec();
        opens_with(&disk, &["first", "second"], &torn);
    }
}

#[test]
fn a_torn_payload_is_set_aside() {
    let disk = killed(&THREE);
    let start = at(&frames(&disk)[2]);
    for len in 8..8 + "third".len() {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, (start + len) as u64);
        let torn = disk.read_file(NAME)[start..].to_vec();
        opens_with(&disk, &["first", "second"], &torn);
    }
}

#[test]
fn a_torn_mark_is_set_aside() {
    let disk = killed(&THREE);
    let start = at(&frames(&disk)[2]) - MARK_LEN;
    for len in 1..MARK_LEN {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, (start + len) as u64);
        let torn = disk.read_file(NAME)[start..].to_vec();
        opens_with(&disk, &["first", "second"], &torn);
    }
}

#[test]
fn a_file_that_ends_between_two_frames_is_not_torn() {
    let disk = killed(&THREE);
    let start = at(&frames(&disk)[2]);
    for end in [start, start - MARK_LEN] {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, end as u64);
        opens_with(&disk, &["first", "second"], b"");
    }
}

#[test]
fn a_torn_first_frame_leaves_an_empty_store() {
    let disk = killed(&[&[b"only"]]);
    disk.truncate_file(NAME, (HEADER_LEN + 9) as u64);
    let torn = disk.read_file(NAME)[HEADER_LEN..].to_vec();
    opens_with(&disk, &[], &torn);
}

#[test]
fn a_payload_that_was_damaged_in_the_last_group_is_set_aside() {
    let disk = killed(&THREE);
    let start = at(&frames(&disk)[2]);
    overwrite(&disk, start + 8, b"x");
    let torn = disk.read_file(NAME)[start..].to_vec();
    opens_with(&disk, &["first", "second"], &torn);
}

#[test]
fn zeros_after_the_end_are_removed_counted_and_not_kept() {
    for len in [1, 7, 8, 31, 32, 33, 4096, 1 << 20] {
        let disk = killed(&THREE);
        let zeros = vec![0; len];
        extend(&disk, &zeros);
        opens_with(&disk, &["first", "second", "third"], &zeros);
    }
}

#[test]
fn garbage_after_the_end_is_set_aside_without_the_zeros_after_it() {
    for len in [1, 7, 8, 31, 32, 33, 4096, 300_000] {
        let disk = killed(&THREE);
        let garbage = [vec![0xff; len], vec![0; 100]].concat();
        extend(&disk, &garbage);
        opens_with(&disk, &["first", "second", "third"], &garbage);
    }
}

#[test]
fn a_mark_after_a_torn_frame_that_does_not_claim_it_does_not_make_it_corrupt() {
    let pristine = killed(&[&[b"first"], &[b"second"]]);
    let end = pristine.read_file(NAME).len() as u64 - HEADER_LEN as u64;
    let claims = [(end, 2), (frames(&pristine)[0].end.get(), 1), (0, 0)];
    for (claim, count) in claims {
        let disk = pristine.deep_clone();
        let torn = [&[0xff; 8][..], &mark(&disk, end + 8, claim, count), b"\x40"].concat();
        extend(&disk, &torn);
        opens_with(&disk, &["first", "second"], &torn);
    }
}

#[test]
fn what_is_torn_is_zeros_before_it_is_truncated() {
    let disk = killed(&THREE);
    let garbage = [0xff; 3000];
    let start = disk.read_file(NAME).len();
    extend(&disk, &garbage);
    // The first length that is set is that of the file with what is set aside.
    disk.inject(When::Next(CallKind::SetLen, 1), Fault::crash());
    open(&disk).unwrap_err();
    let disk = disk.crash(Survivors::LoseAll);
    assert_eq!(disk.read_file(NAME)[start..], [0; 3000]);
    let set_aside = format!("{NAME}.torn-{}", start - HEADER_LEN);
    assert_eq!(disk.read_file(&set_aside), garbage);
    opens_with(&disk, &["first", "second", "third"], &[0; 3000]);
}

#[test]
fn an_old_frame_after_the_end_is_set_aside() {
    let disk = killed(&THREE);
    for index in 0..3 {
        let disk = disk.deep_clone();
        let frames = frames(&disk);
        let start = at(&frames[index]);
        let copy = disk.read_file(NAME)[start..start + 8 + frames[index].payload.len()].to_vec();
        extend(&disk, &copy);
        opens_with(&disk, &["first", "second", "third"], &copy);
    }
}

#[test]
fn an_unfinished_batch_is_set_aside_as_a_whole() {
    let disk = killed(&[&[b"first"], &[b"one", b"two", b"three"]]);
    let frames = frames(&disk);
    let start = at(&frames[1]);
    for end in [at(&frames[2]), at(&frames[3]), at(&frames[3]) + 12] {
        let disk = disk.deep_clone();
        disk.truncate_file(NAME, end as u64);
        let torn = disk.read_file(NAME)[start..].to_vec();
        opens_with(&disk, &["first"], &torn);
    }
}

#[test]
fn whole_frames_after_a_hole_that_no_mark_covers_are_set_aside_with_it() {
    let disk = killed(&[&[b"first"], &[b"lost"], &[b"after"]]);
    // Without the last group's mark nothing claims that "lost" was synced.
    let frames = frames(&disk);
    let (lost, after) = (at(&frames[1]), at(&frames[2]));
    overwrite(&disk, lost, &[0; 12]);
    overwrite(&disk, after - MARK_LEN, &[0; MARK_LEN]);
    let torn = disk.read_file(NAME)[lost..].to_vec();
    opens_with(&disk, &["first"], &torn);
}

#[test]
fn a_frame_that_goes_on_and_is_never_ended_is_set_aside_however_whole() {
    let disk = killed(&[&[b"first"]]);
    let position = open(&disk.deep_clone()).unwrap().end().position.get();
    let unended = frame(&disk, position, 0b10, b"never ended");
    extend(&disk, &unended);
    opens_with(&disk, &["first"], &unended);
    assert!(Position::new(position) > Position::ZERO);
}

#[test]
fn what_recovery_shows_survives_a_power_loss_right_after_it() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    store.append(b"flushed").unwrap();
    store.flush().unwrap();
    let disk = disk.crash(Survivors::KeepAll);
    extend(&disk, b"torn");
    let recovered = open(&disk).unwrap();
    assert_eq!(payloads(&recovered), ["flushed"]);
    let after = disk.crash(Survivors::LoseAll);
    assert_eq!(payloads(&open(&after).unwrap()), ["flushed"]);
    assert_eq!(after.read_file("a.store.torn-15"), b"torn");
}
