//! Logs that earlier versions wrote open, and hold what they held.
//!
//! The files of format version 1 lie in `tests/data/v1`. `PROGLOG_REGENERATE=1 cargo test -p proglog-log
//! --test compat` writes them anew, which is right only before a version is released.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use proglog_log::{Batch, Log, Offset, Options, Record};
use proglog_store::testing::{SimDisk, Survivors};

const NAMES: [&str; 2] = ["closed", "killed"];
/// When no such log was written yet: the start of 2020, in microseconds.
const LONG_AGO: i64 = 1_577_836_800_000_000;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1")
}

fn options() -> Options {
    Options::new().segment_bytes_max(1 << 10)
}

/// The records, batch by batch. They take three segments.
fn batches() -> Vec<Vec<Record>> {
    let mut batches = vec![
        vec![Record::new("")],
        vec![
            Record::new("value").with_key("key").with_timestamp(-1),
            Record::new(vec![0xff; 300])
                .with_header("name", "value")
                .with_header("", ""),
        ],
    ];
    for number in 0..20 {
        batches.push(vec![Record::new(format!("record {number:50}"))]);
    }
    batches.push(vec!["one".into(), "two".into(), "three".into()]);
    batches
}

fn put(disk: &SimDisk, name: &str) {
    let directory = data().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    for entry in std::fs::read_dir(&directory).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for file in disk.file_names() {
        if file != "LOCK" {
            std::fs::write(directory.join(&file), disk.read_file(&file)).unwrap();
        }
    }
}

fn regenerate() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    for batch in batches() {
        log.append_batch(Batch::from(batch)).unwrap();
    }
    put(&disk.crash(Survivors::KeepAll), NAMES[1]);
    log.close().unwrap();
    put(&disk, NAMES[0]);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn logs_of_version_1_open_and_hold_what_they_held() {
    if std::env::var_os("PROGLOG_REGENERATE").is_some() {
        regenerate();
    }
    for name in NAMES {
        let directory = tempfile::tempdir().unwrap();
        copy(&data().join(name), directory.path());
        let mut expected = batches().concat();
        for round in 0..2 {
            let log = Log::open(directory.path(), &options()).unwrap();
            let recovery = log.recovery();
            assert_eq!(recovery.clean, round > 0 || name == "closed");
            assert_eq!((&recovery.set_aside, &recovery.damaged), (&None, &None));
            assert_eq!(
                (recovery.header_restored, recovery.indexes_rebuilt),
                (false, 0)
            );
            for (number, record) in (0..).zip(&expected) {
                let read = log.read(number).unwrap();
                assert!(read.appended_at > LONG_AGO);
                let record = Record {
                    offset: number,
                    appended_at: read.appended_at,
                    ..record.clone()
                };
                assert_eq!(read, record);
            }
            let end = Offset::new(expected.len() as u64);
            assert_eq!(log.end_offset(), end);
            assert_eq!(log.records(0).count(), expected.len());
            assert_eq!(log.append("new").unwrap(), end);
            expected.push("new".into());
            log.close().unwrap();
        }
    }
}
