//! Checkpoints whose sync failed, which can be read until the power fails; then a copy is damaged.

use proglog_log::{Log, Offset};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use proglog_harness::damage::fixture::{CHECKPOINT, options};

/// The distance of the copies.
const COPY_LEN: u64 = 4096;

fn open(disk: &SimDisk) -> Log {
    Log::open_in(disk.directory(), &options()).unwrap()
}

/// The log as a power cut leaves it now, with each copy damaged in turn.
fn damaged(disk: &SimDisk) -> [Log; 4] {
    [0, 1, 2, 3].map(|copy| {
        let disk = disk.crash(Survivors::LoseAll);
        disk.flip(CHECKPOINT, copy * COPY_LEN + 50, 3);
        open(&disk)
    })
}

/// Number of syncs that trimming the log takes.
fn syncs(disk: &SimDisk) -> u64 {
    let disk = disk.crash(Survivors::KeepAll);
    let log = open(&disk);
    disk.start_trace();
    log.trim(1).unwrap();
    let syncs = disk.trace().into_iter();
    syncs.filter(|call| call.kind == CallKind::Sync).count() as u64
}

#[test]
fn what_an_opening_has_found_trimmed_stays_so() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.append_batch(["a", "b", "c"]).unwrap();
    log.close().unwrap();
    let last = syncs(&disk) - 1;
    let log = open(&disk);
    disk.inject(When::Next(CallKind::Sync, last), Fault::os_error(5));
    log.trim(1).unwrap_err();
    drop(log);
    let log = open(&disk);
    assert_eq!(log.start_offset(), Offset::new(1));
    for log in damaged(&disk) {
        assert_eq!(log.start_offset(), Offset::new(1));
    }
}

#[test]
fn what_was_stored_is_kept_though_a_copy_is_damaged() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.append_batch(["a", "b", "c"]).unwrap();
    for stored in ["one", "two"] {
        log.set_application_data(stored.as_bytes()).unwrap();
        for log in damaged(&disk.crash(Survivors::LoseAll)) {
            assert_eq!(log.application_data(), stored.as_bytes());
        }
    }
}

#[test]
fn what_was_stored_is_kept_though_the_copy_that_was_read_is_not_on_the_device() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.append_batch(["a", "b", "c"]).unwrap();
    log.close().unwrap();
    // Closing it has nothing to note then.
    let log = open(&disk);
    for stored in ["one", "two"] {
        log.set_application_data(stored.as_bytes()).unwrap();
    }
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    log.set_application_data(b"three").unwrap_err();
    drop(log);
    let log = open(&disk);
    assert_eq!(log.application_data(), b"three");
    log.set_application_data(b"four").unwrap();
    for log in damaged(&disk) {
        let data = log.application_data();
        assert!(data == b"three" || data == b"four", "{data:?}");
    }
}
