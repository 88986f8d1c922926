//! Compatibility: logs that earlier builds wrote open with the same records.
//!
//! The files lie in `tests/data`. Version 2 has more copies of the checkpoint than version 1.
//! `PROGLOG_REGENERATE=1 cargo test -p proglog-log --test log compat` writes those of version 2 again, which is
//! right only before it is released. Those of version 1 stay. Those in `tests/data/v1/operated` are of a build
//! before the code was reorganised, were trimmed, truncated and given application data, and were then
//!
//! - `closed`,
//! - `killed` by a signal with an unsynced end,
//! - `torn` by a crash in the middle of writing a batch,
//! - `truncating`: stopped by a crash once the checkpoint said that the log is being truncated.
//!
//! Beside each directory a text file lists what that build read, or in the last case was to leave.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use std::time::{Duration, SystemTime};

use proglog_api::v1;
use proglog_log::{Batch, Log, LogOptions, Offset, ReadOnlyLog, Record, Records, StoredRecord};
use proglog_store::testing::{SimDisk, Survivors};

const NAMES: [&str; 2] = ["closed", "killed"];
/// Time before any such log was written: the start of 2020.
const LONG_AGO: Duration = Duration::from_hours(438_288);

fn data(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(version)
}

fn options() -> LogOptions {
    LogOptions::new().segment_bytes_max(1 << 10)
}

/// The records, batch by batch. They take three segments.
fn batches() -> Vec<Vec<Record>> {
    let mut batches = vec![
        vec![Record::new("")],
        vec![
            Record::new("value")
                .with_key("key")
                .with_timestamp(SystemTime::UNIX_EPOCH - Duration::from_micros(1)),
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
    let directory = data("v2").join(name);
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
fn logs_of_each_version_open_and_hold_what_they_held() {
    if std::env::var_os("PROGLOG_REGENERATE").is_some() {
        regenerate();
    }
    for (version, name) in ["v1", "v2"]
        .into_iter()
        .flat_map(|version| NAMES.map(|name| (version, name)))
    {
        let directory = tempfile::tempdir().unwrap();
        copy(&data(version).join(name), directory.path());
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
                assert!(read.appended_at() > SystemTime::UNIX_EPOCH + LONG_AGO);
                let record = StoredRecord::new(number, read.appended_at(), record.clone());
                assert_eq!(read, record);
            }
            let end = Offset::new(expected.len() as u64);
            assert_eq!(log.end_offset(), end);
            assert_eq!(log.records(0..).count(), expected.len());
            assert_eq!(log.append("new").unwrap(), end);
            expected.push("new".into());
            log.close().unwrap();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn line(record: &StoredRecord) -> String {
    let record = v1::Record::from(record.clone());
    let key = record.key.as_ref();
    let mut line = format!(
        "{} {} {} {} v{}",
        record.offset,
        record.appended_at,
        record.timestamp.map_or("-".into(), |at| at.to_string()),
        key.map_or("-".into(), |key| format!("k{}", hex(key))),
        hex(&record.value)
    );
    for header in &record.headers {
        let (name, value) = (hex(header.name.as_bytes()), hex(&header.value));
        write!(line, " {name}={value}").unwrap();
    }
    line
}

fn lines(records: Records) -> String {
    records.fold(String::new(), |text, record| {
        text + &line(&record.unwrap()) + "\n"
    })
}

/// Everything that is read of the log, as the text files list it.
fn content(log: &Log) -> String {
    let (start, end) = (log.start_offset(), log.end_offset());
    let data = hex(&log.application_data());
    let records = lines(log.records(start..));
    format!("start {start}\nend {end}\ndata {data}\n{records}")
}

#[test]
fn operated_logs_of_version_1_open_with_exactly_what_they_held() {
    // Of 150 bytes that were written the first 32 are a sync mark, which is whole.
    const TORN_BYTES: u64 = 118;
    for name in ["closed", "killed", "torn", "truncating"] {
        let written = data("v1").join("operated").join(name);
        let expected = std::fs::read_to_string(written.with_extension("txt")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        copy(&written, directory.path());
        let reader = ReadOnlyLog::open(directory.path()).unwrap();
        let synced = lines(reader.records(reader.start_offset()..));
        assert!(!synced.is_empty() && expected.contains(&synced), "{name}");
        let log = Log::open(directory.path(), &options()).unwrap();
        let recovery = log.recovery();
        assert_eq!(recovery.clean, name == "closed" || name == "truncating");
        assert_eq!(recovery.damaged, None, "{name}");
        assert_eq!(recovery.indexes_rebuilt, 0, "{name}");
        let torn = recovery.set_aside.as_ref().map(|set_aside| set_aside.bytes);
        assert_eq!(torn, (name == "torn").then_some(TORN_BYTES), "{name}");
        assert_eq!(content(&log), expected, "{name}");
        let end = log.end_offset();
        assert_eq!(log.append("new").unwrap(), end);
        log.close().unwrap();

        let log = Log::open(directory.path(), &options()).unwrap();
        assert!(log.recovery().clean);
        let with_new = content(&log);
        let (before, new) = with_new.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(new, line(&log.read(end).unwrap()));
        let body = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(body(before), body(&expected), "{name}");
        log.close().unwrap();
    }
}
