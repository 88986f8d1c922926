//! Application data that is stored with a change of the log.

use proglog_log::{ErrorKind, Log, Result};
use proglog_store::testing::{Fault, SimDisk, Survivors, When};

use crate::support::{append, holds, open};

/// A change of a log of 20 records, with the data for it, and the offsets that are left.
type Change = (&'static str, fn(&Log, &[u8]) -> Result<()>, (u64, u64));

const CHANGES: [Change; 7] = [
    ("trim", |log, data| log.trim_with(13, data), (13, 20)),
    ("trim all", |log, data| log.trim_with(20, data), (20, 20)),
    ("trim none", |log, data| log.trim_with(0, data), (0, 20)),
    ("truncate", |log, data| log.truncate_with(13, data), (0, 13)),
    (
        "truncate all",
        |log, data| log.truncate_with(0, data),
        (0, 0),
    ),
    (
        "truncate none",
        |log, data| log.truncate_with(20, data),
        (0, 20),
    ),
    ("reset", |log, data| log.reset_with(50, data), (50, 50)),
];

/// A log of 20 records that has the data "old".
fn log() -> (SimDisk, Log) {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    log.set_application_data(b"old").unwrap();
    (disk, log)
}

/// The offsets and the data of a log.
fn state(log: &Log) -> ((u64, u64), Vec<u8>) {
    let offsets = (log.start_offset().get(), log.end_offset().get());
    (offsets, log.application_data())
}

#[test]
fn data_is_stored_with_the_change_that_it_goes_with() {
    for (name, change, offsets) in CHANGES {
        let (disk, log) = log();
        change(&log, b"new").unwrap();
        assert_eq!(state(&log), (offsets, b"new".to_vec()), "{name}");
        let log = open(&disk.crash(Survivors::LoseAll));
        assert_eq!(state(&log), (offsets, b"new".to_vec()), "{name}");
        append(&log, offsets.1..offsets.1 + 3);
        holds(&log, offsets.0..offsets.1 + 3);
    }
}

#[test]
fn after_a_stop_at_any_call_both_have_happened_or_neither() {
    for (name, change, offsets) in CHANGES {
        for stop in 0.. {
            let (disk, log) = log();
            disk.inject(When::Call(disk.calls() + stop), Fault::crash());
            let done = change(&log, b"new").is_ok();
            for survivors in [
                Survivors::LoseAll,
                Survivors::KeepAll,
                Survivors::Seeded(stop),
            ] {
                let log = open(&disk.crash(survivors));
                let after = (offsets, b"new".to_vec());
                let before = ((0, 20), b"old".to_vec());
                let is_one = state(&log) == after || (!done && state(&log) == before);
                assert!(is_one, "{name}, call {stop}: {:?}", state(&log));
                holds(&log, log.start_offset().get()..log.end_offset().get());
            }
            if !disk.has_crashed() {
                assert!(done);
                break;
            }
        }
    }
}

#[test]
fn data_that_is_too_long_changes_nothing() {
    for (name, change, _) in CHANGES {
        let (_disk, log) = log();
        let error = change(&log, &[0; 1025]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{name}");
        assert_eq!(state(&log), ((0, 20), b"old".to_vec()), "{name}");
        append(&log, 20..21);
    }
}
