//! A full disk that writes nothing in place, where not even what a failed write left can be removed: the store goes on
//! once there is room, and no frame of a failed write ever stands beside a later one.

use proglog_store::segment::StoreExt;
use proglog_store::testing::{CallKind, SimDisk, Survivors};
use proglog_store::{ErrorKind, Outcome, Store, StoreOptions};

/// A store with one synced payload, on a disk that has `room` bytes left, where further appends are written by a flush.
fn on_a_disk_with(room: u64) -> (SimDisk, Store) {
    let disk = SimDisk::new();
    disk.write_copies();
    let store = open(&disk);
    store.append(b"kept").unwrap();
    store.sync().unwrap();
    disk.set_capacity(Some(disk.read_file("store").len() as u64 + room));
    (disk, store)
}

fn open(disk: &SimDisk) -> Store {
    Store::open_in(&*disk.directory(), "store", &StoreOptions::new()).unwrap()
}

fn payloads(store: &Store) -> Vec<String> {
    let payload = |frame: proglog_store::Result<proglog_store::Frame>| {
        String::from_utf8(frame.unwrap().payload.to_vec()).unwrap()
    };
    store.frames(..).map(payload).collect()
}

#[test]
fn appends_whose_write_was_refused_stay_and_are_written_once_there_is_room() {
    for room in 0..100 {
        let (disk, store) = on_a_disk_with(room);
        for _ in 0..3 {
            store.append(&[b'b'; 90]).unwrap();
            let refused = store.flush().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::DiskFull, "{room}: {refused:?}");
        }
        // What is not written yet does not keep the rest from being durable.
        assert!(store.recovery_point().frames == 1 && payloads(&store).len() == 4);
        disk.set_capacity(None);
        store.sync().unwrap();
        let kept = payloads(&open(&disk.crash(Survivors::LoseAll)));
        assert_eq!(kept, payloads(&store), "{room}");
    }
}

#[test]
fn a_rewind_says_whether_what_it_drops_may_be_back_and_the_next_write_removes_it_first() {
    let mut in_doubt = 0;
    for room in 0..200 {
        let (disk, store) = on_a_disk_with(room);
        let to = store.end();
        for refused in ["b".repeat(30), "c".repeat(30), "d".repeat(90)] {
            store.append(refused.as_bytes()).unwrap();
        }
        assert_eq!(store.flush().unwrap_err().kind(), ErrorKind::DiskFull);
        disk.start_trace();
        let rewound = store.rewind(to);
        assert_eq!(store.end(), to);
        let killed = payloads(&open(&with_room(&disk.crash(Survivors::KeepAll))));
        match &rewound {
            Ok(()) => assert_eq!(killed, ["kept"], "{room}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::DiskFull, "{room}: {error:?}");
                assert_eq!(error.outcome(), Outcome::Unknown, "{room}");
                in_doubt += 1;
            }
        }
        // Still without room nothing is written over it.
        store.append(b"e").unwrap();
        let refused = store.flush().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DiskFull, "{room}");
        assert_eq!(refused.outcome(), Outcome::NotAppended, "{room}");
        let writes = |call: &proglog_store::testing::Call| call.kind == CallKind::Write;
        assert!(rewound.is_ok() || !disk.trace().iter().any(writes));

        disk.set_capacity(None);
        store.sync().unwrap();
        for survivors in [
            Survivors::LoseAll,
            Survivors::KeepAll,
            Survivors::Seeded(room),
        ] {
            let reopened = open(&disk.crash(survivors));
            assert_eq!(payloads(&reopened), ["kept", "e"], "{room}");
        }
    }
    assert!((50..200).contains(&in_doubt), "{in_doubt}");
}

#[test]
fn a_payload_longer_than_the_buffer_is_refused_and_a_shorter_one_takes_its_place() {
    for room in 0..300 {
        let disk = SimDisk::new();
        disk.write_copies();
        let options = StoreOptions::new().buffer_len(100);
        let store = Store::open_in(&*disk.directory(), "store", &options).unwrap();
        store.append(b"kept").unwrap();
        store.sync().unwrap();
        disk.set_capacity(Some(disk.read_file("store").len() as u64 + room));
        let batch: [&[u8]; 2] = [&[b'b'; 150], &[b'c'; 150]];
        let refused = store.append_batch(&batch).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DiskFull, "{room}");
        assert_eq!(refused.outcome(), Outcome::NotAppended, "{room}");
        let killed = open(&with_room(&disk.crash(Survivors::KeepAll)));
        assert_eq!(payloads(&killed), ["kept"], "{room}");
        disk.set_capacity(None);
        // Its end is where a frame of the batch began.
        store.append(&[b'd'; 150]).unwrap();
        store.sync().unwrap();
        let reopened = open(&disk.crash(Survivors::LoseAll));
        assert_eq!(
            payloads(&reopened),
            ["kept".into(), "d".repeat(150)],
            "{room}"
        );
        let set_aside = &reopened.recovery().set_aside;
        assert!(set_aside.is_none(), "{room}: {set_aside:?}");
    }
}

fn with_room(disk: &SimDisk) -> SimDisk {
    disk.set_capacity(None);
    disk.clone()
}
