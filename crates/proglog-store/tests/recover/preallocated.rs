//! Preallocated zeros, and opening a store that was killed with them.

use proglog_store::segment::StoreExt;
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{Boundary, ErrorKind, Position, StoreOptions};

use crate::fixture::{HEADER_LEN, MARK_LEN, NAME, open, open_with, payloads};

const AHEAD: u64 = 50_000;

fn filling() -> StoreOptions {
    StoreOptions::new().preallocate(AHEAD, Position::new(1 << 20))
}

fn file_len(disk: &SimDisk) -> u64 {
    disk.read_file(NAME).len() as u64
}

#[test]
fn a_sync_preallocates_and_a_seal_or_a_mark_frees_and_nothing_else_does() {
    let disk = SimDisk::new();
    let store = open_with(&disk, &filling()).unwrap();
    store.append(b"one").unwrap();
    store.flush().unwrap();
    store.write_sync_mark().unwrap();
    assert_eq!(file_len(&disk), HEADER_LEN as u64 + store.len());
    store.sync().unwrap();
    assert_eq!(file_len(&disk), HEADER_LEN as u64 + store.len());
    // The first sync preallocates nothing.
    store.append(b"two").unwrap();
    store.sync().unwrap();
    let preallocated = file_len(&disk);
    assert!(
        preallocated > HEADER_LEN as u64 + AHEAD / 2,
        "{preallocated} bytes"
    );
    assert_eq!(
        disk.crash(Survivors::LoseAll).read_file(NAME).len() as u64,
        preallocated
    );
    disk.start_trace();
    for _ in 0..100 {
        store.append(&[7; 100]).unwrap();
        store.sync().unwrap();
    }
    let kinds = disk
        .trace()
        .iter()
        .map(|call| call.kind)
        .collect::<Vec<_>>();
    assert_eq!(kinds, [CallKind::Write, CallKind::Sync].repeat(100));
    assert_eq!(file_len(&disk), preallocated);
    store.write_sync_mark().unwrap();
    assert_eq!(file_len(&disk), HEADER_LEN as u64 + store.len());
    for _ in 0..2 {
        store.append(b"more").unwrap();
        store.sync().unwrap();
    }
    assert!(file_len(&disk) > HEADER_LEN as u64 + store.len());
    store.seal().unwrap();
    let sealed = disk.crash(Survivors::LoseAll);
    assert_eq!(file_len(&sealed), HEADER_LEN as u64 + store.len());
    let reader = proglog_store::segment::open_sealed(&*sealed.directory(), NAME).unwrap();
    assert_eq!(reader.frames(..).count(), 104);
}

#[test]
fn a_mark_that_zeros_follow_closes_a_store_whatever_it_ends_with() {
    let store_disk = SimDisk::new();
    let store = open_with(&store_disk, &filling()).unwrap();
    // Counts that end with one zero byte or two, and every length of the last frame.
    for number in 1..=600 {
        store.append(&vec![1; number % 50]).unwrap();
        store.sync().unwrap();
        store.write_sync_mark().unwrap();
        let disk = store_disk.crash(Survivors::KeepAll);
        // As after a crash that loses the truncation by the mark.
        let zeros = number as u64 * 7 % AHEAD;
        disk.truncate_file(NAME, HEADER_LEN as u64 + store.len() + zeros);
        for known in [Boundary::START, store.recovery_point(), store.end()] {
            let disk = disk.deep_clone();
            let opened = open_with(&disk, &filling().recovery_point(known)).unwrap();
            let recovery = opened.recovery();
            assert!(recovery.clean, "{number} frames, {known:?} known");
            assert_eq!(recovery.zeros_removed, zeros);
            assert_eq!(recovery.set_aside, None);
            assert_eq!(opened.end(), store.end());
            assert_eq!(file_len(&disk), HEADER_LEN as u64 + store.len());
        }
    }
}

#[test]
fn zeros_after_unmarked_data_are_removed_too() {
    let disk = SimDisk::new();
    let store = open_with(&disk, &filling()).unwrap();
    store.append(b"one").unwrap();
    store.sync().unwrap();
    store.append(b"two").unwrap();
    store.sync().unwrap();
    let disk = disk.crash(Survivors::LoseAll);
    let opened = open(&disk).unwrap();
    assert!(!opened.recovery().clean);
    assert!(opened.recovery().zeros_removed > AHEAD / 2);
    assert_eq!(opened.recovery().set_aside, None);
    assert_eq!(payloads(&opened), ["one", "two"]);
    assert_eq!(opened.len(), (3 + 8) * 2 + MARK_LEN as u64);
}

#[test]
fn where_zeros_cannot_be_written_a_store_does_without() {
    for after in [0, 1000] {
        let disk = SimDisk::new();
        let store = open_with(&disk, &filling()).unwrap();
        store.append(b"one").unwrap();
        store.sync().unwrap();
        store.append(b"and").unwrap();
        // The first write is the data.
        let no_room = Fault::error(std::io::ErrorKind::StorageFull).after_writing(after);
        disk.inject(When::Next(CallKind::Write, 1), no_room);
        store.sync().unwrap();
        assert_eq!(file_len(&disk), HEADER_LEN as u64 + store.len());
        store.append(b"two").unwrap();
        store.sync().unwrap();
        store.close().unwrap();
        assert_eq!(payloads(&open(&disk).unwrap()), ["one", "and", "two"]);
    }
}

#[test]
fn a_full_disk_is_as_full_as_it_was_without_zeros() {
    let disk = SimDisk::new();
    let store = open_with(&disk, &filling()).unwrap();
    disk.set_capacity(Some(HEADER_LEN as u64 + 2000));
    let mut frames = 0;
    let error = loop {
        match store.append(&[1; 92]).and_then(|_| store.sync()) {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    // Each after a mark, but the first.
    assert_eq!(frames, (2000 + MARK_LEN) / (100 + MARK_LEN));
    disk.set_capacity(None);
    store.sync().unwrap();
    store.close().unwrap();
    assert_eq!(open(&disk).unwrap().end().frames, frames as u64 + 1);
}

#[test]
fn a_write_that_fails_over_zeros_leaves_nothing_and_a_rewind_neither() {
    let disk = SimDisk::new();
    let store = open_with(&disk, &filling()).unwrap();
    store.append(b"one").unwrap();
    let synced = store.sync().unwrap();
    store.append(b"two").unwrap();
    let torn = Fault::error(std::io::ErrorKind::Other).after_writing(20);
    disk.inject(When::Next(CallKind::Write, 0), torn);
    store.sync().unwrap_err();
    assert_eq!(file_len(&disk), HEADER_LEN as u64 + synced.position.get());
    store.sync().unwrap();
    assert!(
        file_len(&disk) > HEADER_LEN as u64 + AHEAD / 2,
        "preallocated again"
    );
    let synced = store.recovery_point();
    store.append(b"three").unwrap();
    store.flush().unwrap();
    store.rewind(synced).unwrap();
    store.append(b"four").unwrap();
    store.sync().unwrap();
    let opened = open(&disk.crash(Survivors::LoseAll)).unwrap();
    assert_eq!(payloads(&opened), ["one", "two", "four"]);
    assert_eq!(opened.recovery().set_aside, None);
}
