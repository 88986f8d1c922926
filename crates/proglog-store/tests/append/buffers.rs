//! The buffers between an append and the file: what is read from them, what bypasses them, and when their
//! memory is freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proglog_store::io::FsDirectory;
use proglog_store::segment::StoreExt;
use proglog_store::testing::{CallKind, Fault, SimDisk, When};
use proglog_store::{Error, ErrorKind, Outcome, Position, Store, StoreOptions};

use super::append_with;

const NAME: &str = "a.store";

fn open(disk: &SimDisk, buffer_len: usize) -> Store {
    let options = StoreOptions::new().buffer_len(buffer_len);
    Store::open_in(&*disk.directory(), NAME, &options).unwrap()
}

fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(len.max(8), number.to_be_bytes()[7]);
    payload
}

fn reads(disk: &SimDisk) -> usize {
    let trace = disk.trace();
    trace
        .iter()
        .filter(|call| call.kind == CallKind::Read)
        .count()
}

#[test]
fn a_reader_close_to_the_writer_is_served_from_memory() {
    const BUFFER_LEN: usize = 10_000;
    let disk = SimDisk::new();
    let store = open(&disk, BUFFER_LEN);
    disk.start_trace();
    // By this many records it lags by less than a buffer.
    for lag in [0, 1, 20] {
        let mut places = Vec::new();
        for number in 0..1000 {
            places.push(store.append(&payload(number, 200)).unwrap().position);
            let Some(read) = places.len().checked_sub(lag + 1) else {
                continue;
            };
            let expected = payload(read as u64, 200);
            assert_eq!(store.read(places[read]).unwrap(), expected);
            let frame = store.frames(places[read]..).next().unwrap().unwrap();
            assert_eq!(frame.payload, expected);
        }
    }
    assert_eq!(reads(&disk), 0);
    assert!(
        disk.trace().len() < 3000 / 10,
        "one write a buffer, no more"
    );
    // One that lags more reads the file.
    assert_eq!(store.read(Position::ZERO).unwrap(), payload(0, 200));
    assert_eq!(reads(&disk), 1);
}

#[test]
fn the_first_read_of_a_short_frame_is_one_call() {
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    let position = store.append(&payload(1, 2000)).unwrap().position;
    store.close().unwrap();
    let store = open(&disk, 1000);
    disk.start_trace();
    assert_eq!(store.read(position).unwrap(), payload(1, 2000));
    assert_eq!(reads(&disk), 1);
}

#[test]
fn a_payload_that_is_longer_than_the_buffer_is_written_from_where_it_lies() {
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    store.append(b"small").unwrap();
    disk.start_trace();
    let long = store.append(&payload(7, 100_000)).unwrap();
    let lens = disk.trace().iter().map(|call| call.len).collect::<Vec<_>>();
    assert_eq!(lens, [5 + 8, 8, 100_000]);
    assert_eq!(store.read(long.position).unwrap(), payload(7, 100_000));
    // So is a batch, whose short payloads are gathered.
    let payloads = [payload(1, 300), payload(2, 5000), payload(3, 300)];
    let slices = payloads.each_ref().map(Vec::as_slice);
    disk.start_trace();
    let batch = store.append_batch(&slices).unwrap();
    let lens = disk.trace().iter().map(|call| call.len).collect::<Vec<_>>();
    assert_eq!(lens, [308 + 8, 5000, 308]);
    let read = store
        .frames(batch.position..)
        .map(|frame| frame.unwrap().payload);
    assert!(read.eq(payloads));
}

/// The lengths of the writes that `action` makes.
fn writes(disk: &SimDisk, action: impl FnOnce()) -> Vec<u64> {
    disk.start_trace();
    action();
    let mut trace = disk.trace();
    trace.retain(|call| call.kind == CallKind::Write);
    trace.iter().map(|call| call.len).collect()
}

#[test]
fn a_batch_that_goes_past_the_buffer_is_gathered_in_pieces_as_long_as_that() {
    let lens = [392, 592, 0, 484, 492, 492, 1];
    let pieces = [1000, 1000, 509];
    let payloads = lens.map(|len| vec![7; len]);
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    let written = writes(&disk, || {
        let slices = payloads.each_ref().map(Vec::as_slice);
        store.append_batch(&slices).unwrap();
    });
    assert_eq!(written, pieces);
    let written = writes(&disk, || {
        append_with(&store, &lens, |_, slot| slot.fill(7)).unwrap();
    });
    assert_eq!(written, pieces);
    assert_eq!(store.end().frames, 2 * lens.len() as u64);
    let read = store.frames(..).map(|frame| frame.unwrap().payload);
    assert!(read.eq([payloads.clone(), payloads].concat()));
}

#[test]
fn a_frame_that_is_as_long_as_the_buffer_is_written_in_one_piece() {
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    for (len, pieces) in [(1000, &[1000][..]), (1001, &[8, 993])] {
        let written = writes(&disk, || _ = store.append(&payload(1, len - 8)).unwrap());
        assert_eq!(written, pieces);
    }
}

#[test]
fn short_payloads_are_gathered_as_long_as_a_mark_has_room_after_them() {
    const MARK_LEN: usize = 32;
    for (len, count) in [(88, 11), (8, 121), (242, 4)] {
        assert_eq!(len * count, 1000 - MARK_LEN);
        let disk = SimDisk::new();
        let store = open(&disk, 1000);
        let written = writes(&disk, || {
            for _ in 0..=2 * count {
                store.append(&vec![7; len - 8]).unwrap();
            }
        });
        assert_eq!(written, [1000 - MARK_LEN as u64; 2]);
        assert_eq!(store.frames(..).count(), 2 * count + 1);
    }
}

#[test]
fn a_rewind_of_what_is_only_buffered_leaves_the_file_alone() {
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    store.append(b"written").unwrap();
    let written = store.flush().unwrap();
    store.append(b"buffered").unwrap();
    disk.start_trace();
    store.rewind(written).unwrap();
    assert_eq!(disk.trace(), []);
    assert_eq!(store.end(), written);
}

#[test]
fn a_long_payload_after_a_sync_brings_one_mark() {
    const MARK_LEN: u64 = 32;
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    store.append(b"small").unwrap();
    let end = store.sync().unwrap().position;
    let first = store.append(&payload(1, 5000)).unwrap().position;
    let second = store.append(&payload(2, 5000)).unwrap().position;
    assert_eq!(first, end.plus(MARK_LEN));
    assert_eq!(second, first.plus(5008));
    let error = store.read(end).unwrap_err();
    assert!(matches!(error, Error::ControlFrame { .. }), "{error}");
}

#[test]
fn what_was_rewound_is_not_read_from_memory_where_something_else_is_now() {
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    let start = store.end();
    for number in 0..8 {
        store.append(&payload(number, 92)).unwrap();
    }
    store.flush().unwrap();
    store.rewind(start).unwrap();
    store.append(&payload(9, 5000)).unwrap();
    assert_eq!(store.read(start.position).unwrap(), payload(9, 5000));
    assert_eq!(store.frames(..).count(), 1);
}

#[test]
fn a_long_payload_that_cannot_be_written_is_refused_alone_and_leaves_nothing() {
    for failing in 0..3 {
        let disk = SimDisk::new();
        let store = open(&disk, 1000);
        store.append(b"before").unwrap();
        let end = store.end();
        let no_room = Fault::error(std::io::ErrorKind::StorageFull).after_writing(500);
        disk.inject(When::Next(CallKind::Write, failing), no_room);
        let error = store.append(&payload(1, 5000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull);
        assert_eq!(error.outcome(), Outcome::NotAppended);
        assert_eq!(store.end(), end);
        store.append(b"after").unwrap();
        store.append(&payload(2, 5000)).unwrap();
        store.close().unwrap();
        let store = open(&disk, 1000);
        assert!(store.recovery().clean);
        let read = store.frames(..).map(|frame| frame.unwrap().payload);
        let expected = [b"before".to_vec(), b"after".to_vec(), payload(2, 5000)];
        assert!(read.eq(expected), "write {failing} failed");
    }
}

#[test]
fn a_fill_that_panics_on_the_way_past_the_buffer_leaves_nothing() {
    let disk = SimDisk::new();
    let store = open(&disk, 1000);
    store.append(b"before").unwrap();
    let fill = |index: usize, slot: &mut [u8]| {
        slot.fill(1);
        assert_ne!(index, 1, "a panic that the test wants");
    };
    let append = std::panic::AssertUnwindSafe(|| append_with(&store, &[5000, 5], fill));
    std::panic::catch_unwind(append).unwrap_err();
    assert_eq!(store.end().frames, 1);
    store.append(b"after").unwrap();
    store.close().unwrap();
    let store = open(&disk, 1000);
    assert!(store.recovery().clean);
    let read = store.frames(..).map(|frame| frame.unwrap().payload);
    assert!(read.eq([&b"before"[..], b"after"]));
}

#[test]
fn a_store_that_is_not_appended_to_holds_no_buffer() {
    let directory = tempfile::tempdir().unwrap();
    let directory = FsDirectory::open(directory.path()).unwrap();
    let mut store = None;
    let held = |run: &mut dyn FnMut()| allocation_counter::measure(run).bytes_current;
    let opened = held(&mut || {
        store = Some(Store::open_in(&directory, NAME, &StoreOptions::new()).unwrap());
    });
    assert!(opened < 4 << 10, "{opened} bytes");
    let store = store.unwrap();
    let busy = held(&mut || {
        store.append(b"one").unwrap();
        store.flush().unwrap();
        store.append(b"two").unwrap();
    });
    assert!(busy > 512 << 10, "two buffers in turn: {busy} bytes");
    let given_back = held(&mut || store.write_sync_mark().unwrap());
    assert!(busy + given_back < 4 << 10, "{given_back} of {busy} bytes");
    assert_eq!(store.frames(..).count(), 2);
    let sealed = held(&mut || {
        store.append(b"three").unwrap();
        store.seal().unwrap();
    });
    assert!(sealed < 4 << 10, "{sealed} bytes");
}

#[test]
fn the_memory_of_a_buffer_is_reused() {
    const BUFFER_LEN: usize = 100_000;
    let directory = tempfile::tempdir().unwrap();
    let directory = FsDirectory::open(directory.path()).unwrap();
    let options = StoreOptions::new().buffer_len(BUFFER_LEN);
    let store = Store::open_in(&directory, NAME, &options).unwrap();
    let long = vec![7; 2 * BUFFER_LEN];
    let appended = allocation_counter::measure(|| {
        for _ in 0..20 {
            store.append(&long[..1000]).unwrap();
            store.flush().unwrap();
        }
    });
    assert!(appended.bytes_total < 3 * BUFFER_LEN as u64, "{appended:?}");
    let past_it = allocation_counter::measure(|| {
        for _ in 0..20 {
            store.append(&long).unwrap();
        }
    });
    assert!(past_it.bytes_total < BUFFER_LEN as u64, "{past_it:?}");
}

#[test]
fn the_memory_that_a_very_long_payload_took_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let directory = FsDirectory::open(directory.path()).unwrap();
    let options = StoreOptions::new().payload_len_max(8 << 20);
    let store = Store::open_in(&directory, NAME, &options).unwrap();
    let appended = allocation_counter::measure(|| {
        append_with(&store, &[5 << 20], |_, slot| slot.fill(7)).unwrap();
    });
    assert!(appended.bytes_max > 5 << 20, "{appended:?}");
    assert!(appended.bytes_current < 3 << 20, "{appended:?}");
}

#[test]
fn readers_and_appenders_of_all_sizes_do_not_disturb_each_other() {
    const APPENDS: u64 = 300;
    let disk = SimDisk::new();
    let store = open(&disk, 5000);
    let done = Arc::new(AtomicU64::new(0));
    let append = |store: Store, writer: u64, done: Arc<AtomicU64>| {
        for number in 0..APPENDS {
            let len = [20, 300, 3000, 20_000][usize::try_from((number + writer) % 4).unwrap()];
            let appended = store.append(&payload(writer << 32 | number, len)).unwrap();
            assert_eq!(store.read(appended.position).unwrap().len(), len);
        }
        done.fetch_add(1, Ordering::Release);
    };
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (store, done) = (store.clone(), Arc::clone(&done));
            scope.spawn(move || append(store, writer, done));
        }
        for _ in 0..2 {
            scope.spawn(|| follow(&store, &done));
        }
        while done.load(Ordering::Acquire) < 2 {
            store.sync().unwrap();
            store.write_sync_mark().unwrap();
        }
    });
    assert_eq!(store.end().frames, 2 * APPENDS);
}

/// Reads everything as it is appended, until both writers are done.
fn follow(store: &Store, done: &AtomicU64) {
    let mut next = [0; 2];
    let mut place = Position::ZERO;
    loop {
        let last_round = done.load(Ordering::Acquire) == 2;
        for frame in store.frames(place..) {
            let frame = frame.unwrap();
            let number = u64::from_be_bytes(frame.payload[..8].try_into().unwrap());
            let writer = usize::try_from(number >> 32).unwrap();
            assert_eq!(number & 0xffff_ffff, next[writer]);
            assert_eq!(frame.payload, payload(number, frame.payload.len()));
            next[writer] += 1;
            place = frame.end;
        }
        if last_round {
            assert_eq!(next, [300; 2]);
            return;
        }
    }
}

#[test]
fn a_payload_of_parts_is_appended_whole_unless_it_would_end_past_a_limit() {
    const MARK_LEN: u64 = 32;
    // In the buffer, and past it.
    for value_len in [0, 90, 5000] {
        let disk = SimDisk::new();
        let store = open(&disk, 1000);
        let value = vec![7; value_len];
        let parts: [&[u8]; 4] = [b"head", &value, b"", b"end"];
        let payload = parts.concat();
        let frame_len = 8 + payload.len() as u64;
        for _ in 0..30 {
            let before = store.end();
            let fits = before.position.plus(MARK_LEN + frame_len);
            let append = |limit| {
                store
                    .append_parts_within(Position::new(limit), &parts)
                    .unwrap()
            };
            assert_eq!(append(fits.get() - 1), None);
            assert_eq!(store.end(), before);
            let appended = append(fits.get()).unwrap();
            assert_eq!(appended.position, before.position);
            assert_eq!(appended.bytes_written, frame_len);
        }
        store.sync().unwrap();
        assert!(
            store
                .frames(..)
                .all(|frame| frame.unwrap().payload == payload)
        );
        assert_eq!(store.end().frames, 30);
    }
}

#[test]
fn a_batch_that_would_end_past_a_limit_is_not_appended() {
    const MARK_LEN: u64 = 32;
    for (buffer_len, lens) in [(1000, [5, 0, 90]), (1000, [500, 700, 0])] {
        let disk = SimDisk::new();
        let store = open(&disk, buffer_len);
        let first = store.append(b"first").unwrap();
        let needed = lens.iter().map(|len| 8 + *len as u64).sum::<u64>();
        let fits = first.bytes_written + MARK_LEN + needed;
        let append = |limit| {
            let fill = |number: usize, slot: &mut [u8]| slot.fill(u8::try_from(number).unwrap());
            store.append_within(Position::new(limit), &lens, fill)
        };
        let before = store.end();
        assert_eq!(append(fits - 1).unwrap(), None);
        assert_eq!(store.end(), before);
        let appended = append(fits).unwrap().unwrap();
        assert_eq!(appended.position, before.position);
        assert_eq!(appended.bytes_written, needed);
        assert_eq!(store.end().position, before.position.plus(needed));
        let read = store.frames(..).skip(1).map(|frame| frame.unwrap().payload);
        let expected = (0_u8..).zip(lens).map(|(number, len)| vec![number; len]);
        assert!(read.eq(expected));
    }
}
