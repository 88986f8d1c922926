//! The bytes, calls and memory that a read takes.

use std::io;

use proglog_store::io::FsDirectory;
use proglog_store::segment::StoreExt;
use proglog_store::testing::{Call, CallKind, SimDisk};
use proglog_store::{Error, Position, Store, StoreOptions};

const NAME: &str = "a.store";
const HEADER_LEN: u64 = 8192;
const KIB: u64 = 1 << 10;

fn open(disk: &SimDisk) -> Store {
    Store::open_in(&*disk.directory(), NAME, &StoreOptions::new()).unwrap()
}

/// A store of payloads of these lengths, closed and opened again, and their positions.
fn store_with(disk: &SimDisk, lens: impl IntoIterator<Item = usize>) -> (Store, Vec<Position>) {
    let store = open(disk);
    let places = lens
        .into_iter()
        .map(|len| store.append(&vec![7; len]).unwrap().position)
        .collect();
    store.close().unwrap();
    (open(disk), places)
}

/// The reads that `action` makes.
fn reads(disk: &SimDisk, action: impl FnOnce()) -> Vec<Call> {
    disk.start_trace();
    action();
    let mut trace = disk.trace();
    trace.retain(|call| call.kind == CallKind::Read);
    trace
}

#[test]
fn a_read_fetches_as_much_as_those_before_it_would_have_needed() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, [20_000, 100, 9000, 100_000]);
    let lens = |place: usize| {
        let read = reads(&disk, || drop(store.read(places[place]).unwrap()));
        read.iter().map(|call| call.len).collect::<Vec<_>>()
    };
    assert_eq!(lens(0), [4 * KIB, 20_008 - 4 * KIB]);
    assert_eq!(lens(0), [20_008]);
    // A short one from time to time changes little.
    assert_eq!(lens(1), [20_008]);
    assert_eq!(lens(2).len(), 1);
    for _ in 0..200 {
        assert_eq!(lens(1).len(), 1);
    }
    assert_eq!(lens(1), [108]);
    assert_eq!(lens(3), [108, 100_008 - 108]);
    assert_eq!(lens(1), [64 * KIB]);
}

#[test]
fn a_scan_of_a_part_reads_nothing_after_it() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, (0..100).map(|number| 10 * number));
    let read = reads(&disk, || {
        assert_eq!(store.frames(places[30]..places[60]).count(), 30);
    });
    let places = [places[30].get(), places[60].get() - places[30].get()];
    let read: Vec<_> = read.iter().map(|call| [call.offset, call.len]).collect();
    assert_eq!(read, [[HEADER_LEN + places[0], places[1]]]);
}

#[test]
fn a_scan_that_lends_reads_a_small_block_and_then_large_ones() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, vec![1000; 8000]);
    let read = reads(&disk, || {
        let mut frames = store.frames(..);
        while let Some(frame) = frames.next_ref() {
            frame.unwrap();
        }
    });
    let end = places[places.len() - 1].get() + 1008;
    assert_eq!(read[0].len, 256 * KIB);
    assert!(
        read.len() as u64 <= 2 + end.div_ceil(KIB * KIB),
        "{} reads",
        read.len()
    );
}

#[test]
fn blocks_are_no_longer_than_a_payload_may_keep_in_memory_unless_a_frame_is() {
    const BLOCK_LEN: u64 = 256 * KIB;
    for len in [40_000, 250_000, 600_000] {
        let disk = SimDisk::new();
        let (store, _) = store_with(&disk, [len; 10]);
        let read = reads(&disk, || {
            assert_eq!(store.frames(..).count(), 10);
        });
        // With the header of the next one.
        let max = BLOCK_LEN.max(len as u64 + 2 * 8);
        assert!(read.iter().all(|call| call.len <= max), "{read:?}");
    }
}

#[test]
fn the_memory_of_a_block_that_is_not_kept_is_reused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = FsDirectory::open(directory.path()).unwrap();
    let store = Store::open_in(&directory, NAME, &StoreOptions::new()).unwrap();
    for _ in 0..8000 {
        store.append(&[7; 1000]).unwrap();
    }
    store.flush().unwrap();
    let lent = allocation_counter::measure(|| {
        let mut frames = store.frames(..);
        while let Some(frame) = frames.next_ref() {
            frame.unwrap();
        }
    });
    let handed_out = allocation_counter::measure(|| {
        assert_eq!(store.frames(..).flatten().count(), 8000);
    });
    let total = lent.bytes_total + handed_out.bytes_total;
    assert!(total < 2 << 20, "{lent:?} {handed_out:?}");
}

#[test]
fn a_length_that_points_past_the_end_is_reported_with_what_is_left() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, [500, 50, 5]);
    let left = store.len() - places[1].get();
    let word = 0x4000_0000 | u32::try_from(left).unwrap();
    let mut bytes = disk.read_file(NAME);
    let at = usize::try_from(HEADER_LEN + places[1].get()).unwrap();
    bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
    disk.write_file(NAME, &bytes);
    let scanned = store.frames(places[1]..).next().unwrap().map(drop);
    for found in [store.read(places[1]).map(drop), scanned] {
        let error = found.unwrap_err();
        let reported = match error {
            Error::InvalidFrame {
                position,
                word,
                left,
                ..
            } => (position, word, left),
            error => panic!("{error:?}"),
        };
        assert_eq!(reported, (places[1], word, left));
    }
}

#[test]
fn zeros_that_were_truncated_from_a_payload_are_not_made_up() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let place = store.append(&vec![0; 20_000]).unwrap().position;
    store.close().unwrap();
    let store = proglog_store::segment::open_sealed(&*disk.directory(), NAME).unwrap();
    disk.truncate_file(NAME, HEADER_LEN + 10_000);
    let error = store.read(place).unwrap_err();
    let is_short = matches!(error, Error::InvalidFrame { left: 10_000, .. });
    assert!(is_short, "{error:?}");
    assert!(store.frames(..).next().unwrap().is_err());
}

#[test]
fn a_scan_continues_from_the_file_to_memory_past_preallocated_zeros() {
    let disk = SimDisk::new();
    let options = StoreOptions::new().preallocate(64 * KIB, Position::new(1 << 20));
    let store = Store::open_in(&*disk.directory(), NAME, &options).unwrap();
    store.append(b"first").unwrap();
    let second = store.sync().unwrap().position;
    for payload in ["in the file", "written last"] {
        store.append(payload.as_bytes()).unwrap();
        store.sync().unwrap();
    }
    assert!(disk.read_file(NAME).len() as u64 > HEADER_LEN + store.len());
    store.append(b"in memory").unwrap();
    let payloads = store.frames(second..).map(|frame| frame.unwrap().payload);
    assert!(payloads.eq(["in the file", "written last", "in memory"]));
}

#[test]
fn a_part_has_the_frames_that_begin_in_it_wherever_in_a_frame_it_ends() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, [50, 5, 500]);
    let end = store.len();
    for stop in 0..end + 2 {
        let expected = places.iter().filter(|place| place.get() < stop);
        let frames = store.frames(..Position::new(stop)).map(Result::unwrap);
        assert!(frames.map(|frame| frame.position).eq(expected.copied()));
        let mut lent = store.frames(..Position::new(stop));
        while let Some(frame) = lent.next_ref() {
            frame.unwrap();
        }
        assert_eq!(store.frames(Position::new(stop)..Position::ZERO).count(), 0);
    }
    assert_eq!(store.frames(..=places[1]).flatten().count(), 2);
    assert_eq!(store.frames(places[1]..=places[1]).flatten().count(), 1);
}

#[test]
fn a_search_finds_no_frame_that_starts_after_the_part() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, [50, 5, 500]);
    disk.flip(NAME, HEADER_LEN + places[1].get() + 8, 0);
    for (stop, found) in [(places[2], None), (places[2].plus(1), Some(places[2]))] {
        let mut frames = store.frames(places[1]..stop);
        assert!(frames.next().unwrap().is_err());
        assert_eq!(frames.resume().unwrap(), found);
        assert_eq!(frames.flatten().count(), usize::from(found.is_some()));
    }
}

/// The frames that can be read without waiting, and the kind of the error that ended them, if any did.
fn cached(store: &Store, from: Position) -> (usize, Option<io::ErrorKind>) {
    let mut count = 0;
    for frame in store.cached_frames(from..) {
        match frame {
            Ok(frame) => assert!(frame.payload.iter().all(|byte| *byte == 7)),
            Err(Error::Io { source, .. }) => return (count, Some(source.kind())),
            Err(error) => panic!("{error}"),
        }
        count += 1;
    }
    (count, None)
}

#[test]
fn a_read_that_takes_no_waiting_finds_what_is_in_memory_alone() {
    let disk = SimDisk::new();
    let (store, places) = store_with(&disk, vec![1000; 1000]);
    let is_found = |place: usize| {
        let frame = store.try_read_frame(places[place], 1008).unwrap();
        frame.is_some_and(|frame| {
            assert_eq!(frame.len(), 1008);
            true
        })
    };
    let waited = reads(&disk, || {
        assert!((0..1000).all(is_found));
        assert_eq!(cached(&store, places[0]), (1000, None));
    });
    assert!(waited.is_empty());
    disk.evict(
        NAME,
        HEADER_LEN + places[600].get()..HEADER_LEN + places[700].get(),
    );
    let waited = reads(&disk, || {
        assert!((0..590).chain(710..1000).all(is_found));
        assert!(!(600..700).any(is_found));
        let (count, end) = cached(&store, places[0]);
        assert!((500..600).contains(&count), "{count} frames");
        assert_eq!(end, Some(io::ErrorKind::WouldBlock));
        assert_eq!(cached(&store, places[710]), (290, None));
    });
    assert!(waited.is_empty());
    assert_eq!(store.frames(..).count(), 1000);
    assert_eq!(cached(&store, places[0]), (1000, None));
    // What is appended is found before it is written.
    let appended = store.append(&[7; 1000]).unwrap();
    let frame = store.try_read_frame(appended.position, 1008).unwrap();
    assert_eq!(frame.map(|frame| frame.len()), Some(1008));
    assert_eq!(cached(&store, appended.position), (1, None));
    store.close().unwrap();
    let closed = store.try_read_frame(places[0], 1008);
    assert!(matches!(closed, Err(Error::Closed { .. })));
}
