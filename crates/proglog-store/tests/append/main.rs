//! Appends, reads, iteration, sealing and closing, on the operating system's files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod buffers;
mod debug_output;
mod directories;
mod errors;
mod follow;
mod reads;
mod scans;
mod slow_io;

use proglog_store::io::FsDirectory;
use proglog_store::segment::StoreExt;
use proglog_store::{
    Appended, Boundary, Error, ErrorKind, Outcome, Position, Result, Store, StoreOptions,
};
use tempfile::TempDir;

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path().join("a.store"), &StoreOptions::new()).unwrap()
}

/// Appends a batch of payloads that `fill` writes.
fn append_with(
    store: &Store,
    lens: &[usize],
    fill: impl FnMut(usize, &mut [u8]),
) -> Result<Appended> {
    let appended = store.append_within(Position::new(u64::MAX), lens, fill)?;
    Ok(appended.expect("there is no limit"))
}

fn payloads(store: &Store) -> Vec<Vec<u8>> {
    store
        .frames(..)
        .map(|frame| frame.unwrap().payload.to_vec())
        .collect()
}

#[test]
fn an_append_is_read_back_before_and_after_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let first = store.append(b"first").unwrap();
    let second = store.append(b"").unwrap();
    assert_eq!((first.position.get(), first.bytes_written), (0, 13));
    assert_eq!((second.position.get(), second.bytes_written), (13, 8));
    for _ in 0..2 {
        assert_eq!(store.read(first.position).unwrap(), "first");
        assert_eq!(store.read(second.position).unwrap(), "");
        assert_eq!(payloads(&store), [&b"first"[..], b""]);
        store.flush().unwrap();
    }
    assert_eq!(store.len(), 21);
}

#[test]
fn a_closed_store_is_reopened_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let big = vec![7; 1 << 20];
    let store = open(&directory);
    let batch = store.append_batch(&[b"one", b"two", &big]).unwrap();
    store.append(b"four").unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert_eq!(store.append(b"five").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        store.read(batch.position).unwrap_err().kind(),
        ErrorKind::Closed
    );

    for _ in 0..3 {
        let store = open(&directory);
        assert!(store.recovery().clean);
        assert_eq!(store.recovery().set_aside, None);
        assert_eq!(payloads(&store), [&b"one"[..], b"two", &big, b"four"]);
        assert_eq!(store.end().frames, 4);
        store.close().unwrap();
    }
    let bytes = std::fs::metadata(directory.path().join("a.store"))
        .unwrap()
        .len();
    assert_eq!(
        bytes,
        8192 + (4 * 8 + 3 + 3 + (1 << 20) + 4) + 32,
        "one closing mark, however often"
    );
}

#[test]
fn a_store_that_was_dropped_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).append(b"kept").unwrap();
    let store = open(&directory);
    assert!(store.recovery().clean);
    assert_eq!(payloads(&store), [b"kept"]);
}

#[test]
fn batches_are_separated_by_their_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.append_batch(&[b"a", b"b"]).unwrap();
    store.append(b"c").unwrap();
    store.sync().unwrap();
    let len = store.len();
    let empty = store.append_batch(&[]).unwrap();
    assert_eq!((empty.bytes_written, store.len()), (0, len));
    let ends = store
        .frames(..)
        .map(|frame| frame.unwrap().ends_batch)
        .collect::<Vec<_>>();
    assert_eq!(ends, [false, true, true]);
}

#[test]
fn a_payload_over_the_limit_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions::new().payload_len_max(10);
    let store = Store::open(directory.path().join("a.store"), &options).unwrap();
    let error = store.append_batch(&[b"fits", b"is too long"]).unwrap_err();
    assert!(
        matches!(error, Error::PayloadTooLarge { len: 11, max: 10 }),
        "{error}"
    );
    assert_eq!(error.outcome(), Outcome::NotAppended);
    assert!(store.is_empty());
    store.append(b"0123456789").unwrap();
    store.close().unwrap();
    // The limit is the file's, whatever the options of a later open.
    let store = Store::open(directory.path().join("a.store"), &StoreOptions::new()).unwrap();
    assert_eq!(store.payload_len_max(), 10);
    store.append(b"is too long").unwrap_err();
}

#[test]
fn a_read_where_no_frame_starts_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.append(b"0123456789").unwrap();
    store.sync().unwrap();
    store.append(b"more").unwrap();
    for position in 1..18 {
        let error = store.read(Position::new(position)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let error = store.read(Position::new(18)).unwrap_err();
    assert!(
        matches!(error, Error::ControlFrame { .. }),
        "the mark after a sync: {error}"
    );
    for position in [store.len(), store.len() + 1, u64::MAX] {
        let error = store.read(Position::new(position)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}");
    }
}

#[test]
fn a_second_handle_to_an_open_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let path = directory.path().join("a.store");
    let error = Store::open(&path, &StoreOptions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    #[cfg(unix)]
    {
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(
            Store::open(&link, &StoreOptions::new()).unwrap_err().kind(),
            ErrorKind::Locked
        );
    }
    let frames = store.frames(..);
    store.close().unwrap();
    open(&directory).append(b"mine now").unwrap();
    drop(frames);
}

#[test]
fn a_sealed_store_can_be_read_but_not_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let appended = store.append(b"last").unwrap();
    store.seal().unwrap();
    store.seal().unwrap();
    assert!(matches!(
        store.append(b"more").unwrap_err(),
        Error::Sealed { .. }
    ));
    assert_eq!(store.read(appended.position).unwrap(), "last");
    assert_eq!(store.recovery_point(), store.end());

    let path = FsDirectory::open(directory.path()).unwrap();
    let reader = proglog_store::segment::open_sealed(&path, "a.store").unwrap();
    assert_eq!(payloads(&reader), [b"last"]);
    assert!(matches!(
        reader.append(b"more").unwrap_err(),
        Error::Sealed { .. }
    ));
}

#[test]
fn a_rewound_append_is_gone_and_its_position_is_reused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.append(b"kept").unwrap();
    let kept = store.sync().unwrap();
    assert_eq!(
        kept,
        Boundary {
            position: Position::new(12),
            frames: 1
        }
    );
    store.append(b"written").unwrap();
    store.flush().unwrap();
    store.append(b"buffered").unwrap();
    store.rewind(kept).unwrap();
    assert_eq!(store.end(), kept);
    assert!(
        matches!(
            store.rewind(Boundary::START),
            Err(Error::BelowRecoveryPoint { .. })
        ),
        "below the recovery point"
    );
    store.append(b"other").unwrap();
    assert_eq!(payloads(&store), [&b"kept"[..], b"other"]);
    store.close().unwrap();
    assert_eq!(payloads(&open(&directory)), [&b"kept"[..], b"other"]);
}

#[test]
fn a_label_is_kept_and_a_long_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.store");
    let long = StoreOptions::new().label([b'x'; 65]);
    assert!(matches!(
        Store::open(&path, &long),
        Err(Error::LabelTooLong { len: 65, max: 64 })
    ));
    assert!(!path.exists());
    let store = Store::open(&path, &StoreOptions::new().label([b'x'; 64])).unwrap();
    store.close().unwrap();
    let store = Store::open(&path, &StoreOptions::new().label("another")).unwrap();
    assert_eq!(store.label(), [b'x'; 64]);
}

#[test]
fn iteration_covers_file_and_buffer_and_any_range_between() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions::new().buffer_len(1000);
    let store = Store::open(directory.path().join("a.store"), &options).unwrap();
    let places = (0..500_u32)
        .map(|number| {
            store
                .append(&number.to_be_bytes().repeat(number as usize % 50))
                .unwrap()
        })
        .map(|appended| appended.position)
        .collect::<Vec<_>>();
    assert_eq!(store.frames(..).count(), 500);
    let middle = store
        .frames(places[100]..places[400])
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    assert_eq!(middle.len(), 300);
    assert!(
        middle
            .iter()
            .zip(&places[100..])
            .all(|(frame, place)| frame.position == *place)
    );
}

#[test]
fn a_fill_that_panics_appends_nothing_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.append(b"before").unwrap();
    let fill = |index: usize, slot: &mut [u8]| {
        slot.fill(1);
        assert_ne!(index, 1, "a panic that the test wants");
    };
    let append = std::panic::AssertUnwindSafe(|| append_with(&store, &[5, 5, 5], fill));
    std::panic::catch_unwind(append).unwrap_err();
    assert_eq!(store.end().frames, 1);
    store.append(b"after").unwrap();
    assert_eq!(payloads(&store), [&b"before"[..], b"after"]);
    store.close().unwrap();
    assert_eq!(payloads(&open(&directory)), [&b"before"[..], b"after"]);
}

#[test]
fn a_sync_to_a_boundary_claims_nothing_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.append(b"kept").unwrap();
    let kept = store.end();
    store.append(b"given up").unwrap();
    assert_eq!(store.sync_to(kept).unwrap(), kept);
    assert_eq!(store.recovery_point(), kept);
    store.rewind(kept).unwrap();
    store.close().unwrap();
    assert_eq!(payloads(&open(&directory)), [b"kept"]);
}

#[test]
fn stores_differ_in_their_salts_which_stay() {
    let salts = [(); 2].map(|()| {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        store.append(b"one").unwrap();
        let salt = store.salt();
        store.close().unwrap();
        assert_eq!(open(&directory).salt(), salt);
        salt
    });
    assert_ne!(salts[0], salts[1]);
}

#[test]
fn a_store_is_empty_until_something_is_appended() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    assert!(store.is_empty());
    store.append(b"").unwrap();
    assert!(!store.is_empty());
}

#[test]
fn a_limit_on_payloads_is_at_most_what_a_frame_can_tell_and_at_least_nothing() {
    let max = (1 << 30) - 1;
    for limit in [0, 3, max] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.store");
        let options = StoreOptions::new().payload_len_max(limit);
        let longest = &b"abcd"[..4.min(limit as usize)];
        // Control frames are not subject to it.
        for count in 0..2 {
            let store = Store::open(&path, &options).unwrap();
            assert!(store.recovery().clean);
            assert_eq!(payloads(&store), vec![longest.to_vec(); count]);
            store.append(longest).unwrap();
            store.sync().unwrap();
            store.write_sync_mark().unwrap();
            let refused = store.append(&[0; 5]);
            assert_eq!(refused.is_err(), limit < 5);
            if refused.is_ok() {
                break;
            }
            store.close().unwrap();
        }
    }
    for limit in [max + 1, u32::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.store");
        let error = Store::open(&path, &StoreOptions::new().payload_len_max(limit)).unwrap_err();
        assert!(matches!(error, Error::PayloadLimitTooLarge { got, .. } if got == limit));
    }
}
