//! Following a store that another process writes, and truncating one that is not open.

use std::sync::atomic::{AtomicBool, Ordering};

use proglog_store::io::{Directory, FsDirectory};
use proglog_store::segment::StoreExt;
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{Boundary, Error, ErrorKind, Position, Store, StoreOptions};

const NAME: &str = "a.store";
const HEADER_LEN: u64 = 8192;

fn filling() -> StoreOptions {
    StoreOptions::new().preallocate(8 << 20, Position::new(1 << 30))
}

fn open(disk: &SimDisk) -> Store {
    Store::open_in(&*disk.directory(), NAME, &filling()).unwrap()
}

fn follow(disk: &SimDisk) -> Store {
    proglog_store::segment::open_following(&*disk.directory(), NAME, Boundary::START).unwrap()
}

fn shown(follower: &Store) -> Vec<String> {
    let end = follower.refresh().unwrap();
    let shown = follower
        .frames(..)
        .map(|frame| String::from_utf8(frame.unwrap().payload.to_vec()).unwrap())
        .collect::<Vec<_>>();
    assert_eq!(end.frames, shown.len() as u64);
    assert_eq!(end, follower.end());
    shown
}

#[test]
fn a_follower_shows_what_a_mark_claims_and_no_more() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let follower = follow(&disk);
    assert!(shown(&follower).is_empty());
    store.append(b"one").unwrap();
    let synced = store.sync().unwrap();
    assert!(shown(&follower).is_empty(), "no mark says so yet");
    store.append(b"two").unwrap();
    store.flush().unwrap();
    assert_eq!(shown(&follower), ["one"], "the write brought a mark");
    assert_eq!(follower.end(), synced);
    store.sync().unwrap();
    store.write_sync_mark().unwrap();
    assert_eq!(shown(&follower), ["one", "two"]);
    store.append(b"three").unwrap();
    store.seal().unwrap();
    assert_eq!(shown(&follower), ["one", "two", "three"]);
    assert_eq!(shown(&follow(&disk)), ["one", "two", "three"]);
    let error = follower.append(b"mine").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    follower.close().unwrap();
    assert_eq!(follower.refresh().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_follower_locks_nothing_writes_nothing_and_starts_at_the_given_boundary() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.append(b"one").unwrap();
    let known = store.sync().unwrap();
    disk.start_trace();
    let directory = disk.directory();
    let follower = proglog_store::segment::open_following(&*directory, NAME, known).unwrap();
    assert_eq!(shown(&follower), ["one"]);
    let trace = disk.trace();
    let may = [CallKind::Open, CallKind::Len, CallKind::Read];
    assert!(
        trace.iter().all(|call| may.contains(&call.kind)),
        "{trace:?}"
    );
    let past = Boundary {
        position: known.position.plus(100 << 20),
        frames: 9,
    };
    let error = proglog_store::segment::open_following(&*directory, NAME, past).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    let error = proglog_store::segment::open_following(&*directory, "none", known).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_refresh_with_nothing_new_reads_a_few_bytes_however_far_the_zeros_reach() {
    let disk = SimDisk::new();
    let store = open(&disk);
    for _ in 0..12 {
        store.append(&vec![1; 900_000]).unwrap();
        store.sync().unwrap();
    }
    store.write_sync_mark().unwrap();
    // As after a crash that loses the truncation by the mark.
    let zeros = 2 << 20;
    disk.truncate_file(NAME, HEADER_LEN + store.len() + zeros);
    let follower = follow(&disk);
    assert_eq!(follower.end(), store.recovery_point());
    for _ in 0..2 {
        follower.refresh().unwrap();
        disk.start_trace();
        follower.refresh().unwrap();
        let trace = disk.trace();
        let read = trace.iter().map(|call| call.len).sum::<u64>();
        assert!(trace.len() <= 3 && read <= 16, "{trace:?}");
        // Data that no mark covers yet is read once.
        store.append(&vec![1; 100_000]).unwrap();
        store.flush().unwrap();
    }
}

#[test]
fn a_follower_scans_again_what_was_rewound_and_replaced() {
    for replacement in ["two", "other", "a much longer one", ""] {
        let disk = SimDisk::new();
        let store = open(&disk);
        store.append(b"one").unwrap();
        let synced = store.sync().unwrap();
        store.append(b"two").unwrap();
        store.append(b"last").unwrap();
        store.flush().unwrap();
        let follower = follow(&disk);
        assert_eq!(shown(&follower), ["one"]);
        store.rewind(synced).unwrap();
        if replacement.len() % 2 == 1 {
            assert_eq!(shown(&follower), ["one"]);
        }
        store.append(replacement.as_bytes()).unwrap();
        store.append(b"end").unwrap();
        store.sync().unwrap();
        store.write_sync_mark().unwrap();
        assert_eq!(shown(&follower), ["one", replacement, "end"]);
    }
}

#[test]
fn a_follower_goes_back_to_a_mark_that_lies_below_what_it_walked_over() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.append(b"one").unwrap();
    let synced = store.sync().unwrap();
    store.append(&[b'x'; 5000]).unwrap();
    store.flush().unwrap();
    let follower = follow(&disk);
    assert_eq!(shown(&follower), ["one"]);
    store.rewind(synced).unwrap();
    store.append(b"two").unwrap();
    store.sync().unwrap();
    // Brings the mark, and the file is longer again than it was.
    store.append(&[b'y'; 9000]).unwrap();
    store.flush().unwrap();
    assert_eq!(shown(&follower), ["one", "two"]);
}

#[test]
fn a_follower_gets_past_damage_that_a_later_mark_covers() {
    for zeroed in [false, true] {
        let disk = SimDisk::new();
        let store = open(&disk);
        store.append(b"one").unwrap();
        store.sync().unwrap();
        store.write_sync_mark().unwrap();
        let follower = follow(&disk);
        let place = store.append(&vec![7; 9000]).unwrap().position;
        store.append(b"three").unwrap();
        store.sync().unwrap();
        // Brings the mark, and preallocated zeros.
        store.append(b"four").unwrap();
        store.sync().unwrap();
        let mut bytes = disk.read_file(NAME);
        let at = usize::try_from(HEADER_LEN + place.get()).unwrap();
        if zeroed {
            bytes[at..at + 4096].fill(0);
        } else {
            bytes[at + 20] ^= 1;
        }
        disk.write_file(NAME, &bytes);
        if zeroed {
            // It could be preallocated: the end of the store shows that it is not.
            assert_eq!(follower.refresh().unwrap().frames, 1);
            store.seal().unwrap();
        }
        let frames = if zeroed { 4 } else { 3 };
        assert_eq!(follower.refresh().unwrap().frames, frames);
        let error = follower.read(place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_torn_write_that_is_removed_is_never_shown() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.append(b"one").unwrap();
    store.sync().unwrap();
    store.append(&vec![b'x'; 5000]).unwrap();
    let torn = Fault::error(std::io::ErrorKind::Other).after_writing(700);
    disk.inject(When::Next(CallKind::Write, 0), torn);
    // The truncation fails too, for now, so that what was torn is seen.
    disk.inject(
        When::Next(CallKind::SetLen, 0),
        Fault::error(std::io::ErrorKind::Other),
    );
    store.flush().unwrap_err();
    let follower = follow(&disk);
    let before = follower.end();
    drop(store);
    let store = open(&disk);
    assert!(before <= store.recovery_point());
    store.append(b"two").unwrap();
    store.sync().unwrap();
    store.write_sync_mark().unwrap();
    assert_eq!(shown(&follower), ["one", "two"]);
}

#[test]
fn a_follower_in_step_with_a_busy_writer_sees_every_frame_once() {
    let directory = tempfile::tempdir().unwrap();
    let directory = FsDirectory::open(directory.path()).unwrap();
    let options = filling().buffer_len(2000);
    let store = Store::open_in(&directory, NAME, &options).unwrap();
    let follower =
        proglog_store::segment::open_following(&directory, NAME, Boundary::START).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..1000_u32 {
                let len = [4, 40, 400, 4000][number as usize % 4];
                let payload = number.to_be_bytes().repeat(len / 4);
                store.append(&payload).unwrap();
                if number % 10 == 3 {
                    store.sync().unwrap();
                } else if number % 10 == 7 {
                    // Dropped appends are not seen.
                    store.append(&[0xff; 100]).unwrap();
                    store.flush().unwrap();
                    let synced = store.recovery_point();
                    let again = store
                        .frames(synced.position..)
                        .map(|frame| frame.unwrap().payload);
                    let again = again.collect::<Vec<_>>();
                    store.rewind(synced).unwrap();
                    for payload in &again[..again.len() - 1] {
                        store.append(payload).unwrap();
                    }
                }
            }
            store.seal().unwrap();
            done.store(true, Ordering::Release);
        });
        let mut next = 0_u32;
        let mut place = Position::ZERO;
        loop {
            let last_round = done.load(Ordering::Acquire);
            follower.refresh().unwrap();
            for frame in follower.frames(place..) {
                let frame = frame.unwrap();
                assert_eq!(frame.payload[..4], next.to_be_bytes());
                next += 1;
                place = frame.end;
            }
            if last_round {
                break;
            }
        }
        assert_eq!(next, 1000);
    });
}

#[test]
fn a_store_that_is_not_open_can_be_truncated() {
    let disk = SimDisk::new();
    let directory = disk.directory();
    let store = open(&disk);
    store.append(b"one").unwrap();
    let to = store.end();
    store.append(b"two").unwrap();
    let error = proglog_store::segment::truncate(&*directory, NAME, to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    store.close().unwrap();
    let past = Boundary {
        position: store.end().position.plus(1),
        frames: 3,
    };
    let error = proglog_store::segment::truncate(&*directory, NAME, past).unwrap_err();
    let Error::Truncated { end, expected, .. } = error else {
        panic!("{error:?}");
    };
    let file_end = disk.read_file(NAME).len() as u64 - HEADER_LEN;
    assert_eq!((end.get(), expected), (file_end, past.position));
    let error = proglog_store::segment::truncate(&*directory, "none", to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for _ in 0..2 {
        proglog_store::segment::truncate(&*directory, NAME, to).unwrap();
        let disk = disk.crash(Survivors::LoseAll);
        let len = disk.read_file(NAME).len() as u64;
        assert_eq!(len, HEADER_LEN + to.position.get());
        let options = filling().recovery_point(to);
        let store = Store::open_in(&*disk.directory(), NAME, &options).unwrap();
        assert_eq!(store.end(), to);
        store.append(b"other").unwrap();
        store.close().unwrap();
        assert_eq!(shown(&open(&disk)), ["one", "other"]);
    }
}

#[test]
fn a_store_whose_writer_is_detached_can_be_truncated_under_its_readers_and_writes_nothing_more() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.append(b"one").unwrap();
    store.sync().unwrap();
    let to = store.end();
    store.append(b"two").unwrap();
    store.flush().unwrap();
    store.append(b"three").unwrap();
    store.detach_writer().unwrap();
    let error = store.append(b"four").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    proglog_store::segment::truncate(&*disk.directory(), NAME, to).unwrap();
    assert_eq!(store.read(Position::ZERO).unwrap(), "one");
    drop(store);
    let len = disk.read_file(NAME).len() as u64;
    assert_eq!(len, HEADER_LEN + to.position.get());
    assert_eq!(shown(&open(&disk)), ["one"]);
}

#[test]
fn a_truncation_that_fails_or_is_interrupted_can_be_repeated() {
    let whole = {
        let disk = SimDisk::new();
        let store = open(&disk);
        store.append(b"one").unwrap();
        let to = store.end();
        store.append(b"two").unwrap();
        store.close().unwrap();
        (disk, to)
    };
    let calls = {
        let disk = whole.0.crash(Survivors::KeepAll);
        proglog_store::segment::truncate(&*disk.directory(), NAME, whole.1).unwrap();
        disk.calls()
    };
    for call in 0..calls {
        for fault in [Fault::crash(), Fault::error(std::io::ErrorKind::Other)] {
            let disk = whole.0.crash(Survivors::KeepAll);
            disk.inject(When::Call(call), fault);
            proglog_store::segment::truncate(&*disk.directory(), NAME, whole.1).unwrap_err();
            for survivors in [Survivors::KeepAll, Survivors::LoseAll] {
                let disk = disk.crash(survivors);
                let found = shown(&open(&disk.deep_clone()));
                assert!(found == ["one"] || found == ["one", "two"], "{found:?}");
                let directory: &dyn Directory = &*disk.directory();
                proglog_store::segment::truncate(directory, NAME, whole.1).unwrap();
                assert_eq!(shown(&open(&disk.crash(Survivors::LoseAll))), ["one"]);
            }
        }
    }
}
