//! Shared helpers: a log of small segments on a simulated disk, whose records say their offsets.

use std::ops::Range;
use std::time::Duration;

use proglog_log::{
    Durability, ErrorKind, Log, LogOptions, Offset, ReadOnlyLog, Records, Result, StoredRecord,
};
use proglog_store::testing::{SimDisk, Survivors};

pub(crate) const ALL_DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::MAX),
    Durability::Buffered,
];

pub(crate) fn options() -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(1 << 10)
        .idle_after(Duration::MAX)
}

pub(crate) fn open_with(disk: &SimDisk, options: &LogOptions) -> Log {
    Log::open_in(disk.directory(), options).unwrap()
}

pub(crate) fn open(disk: &SimDisk) -> Log {
    open_with(disk, &options())
}

/// The disk after a sync and a kill of the process.
pub(crate) fn killed(disk: &SimDisk, log: &Log) -> SimDisk {
    log.sync().unwrap();
    disk.crash(Survivors::KeepAll)
}

/// The disk after a sync and a power cut.
pub(crate) fn cut_off(disk: &SimDisk, log: &Log) -> SimDisk {
    log.sync().unwrap();
    disk.crash(Survivors::LoseAll)
}

pub(crate) fn value(offset: u64) -> String {
    format!("{offset:>100}")
}

/// Appends the records with these offsets.
pub(crate) fn append(log: &Log, offsets: Range<u64>) {
    for offset in offsets {
        assert_eq!(log.append(value(offset)).unwrap(), Offset::new(offset));
    }
}

pub(crate) fn segments(disk: &SimDisk) -> Vec<u64> {
    let names = disk.file_names();
    let bases = names.iter().filter_map(|name| name.strip_suffix(".log"));
    bases.map(|base| base.parse().unwrap()).collect()
}

/// A log that can be read.
pub(crate) trait Shows {
    fn offsets(&self) -> Range<u64>;
    fn records_from(&self, offset: u64) -> Records;
    fn read_at(&self, offset: u64) -> Result<StoredRecord>;
}

impl Shows for Log {
    fn offsets(&self) -> Range<u64> {
        self.start_offset().get()..self.end_offset().get()
    }
    fn records_from(&self, offset: u64) -> Records {
        self.records(offset..)
    }
    fn read_at(&self, offset: u64) -> Result<StoredRecord> {
        self.read(offset)
    }
}

impl Shows for ReadOnlyLog {
    fn offsets(&self) -> Range<u64> {
        self.start_offset().get()..self.end_offset().get()
    }
    fn records_from(&self, offset: u64) -> Records {
        self.records(offset..)
    }
    fn read_at(&self, offset: u64) -> Result<StoredRecord> {
        self.read(offset)
    }
}

/// The log has just the records with these offsets, and everything that reads says so.
pub(crate) fn holds(log: &impl Shows, offsets: Range<u64>) {
    assert_eq!(log.offsets(), offsets);
    let found = log
        .records_from(offsets.start)
        .map(|record| record.unwrap());
    let found = found.map(|record| (record.offset.get(), record.value));
    let expected = offsets.clone().map(|offset| (offset, value(offset).into()));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for offset in offsets.clone() {
        assert_eq!(log.read_at(offset).unwrap().value, value(offset));
    }
    if let Some(below) = offsets.start.checked_sub(1) {
        assert_eq!(log.read_at(below).unwrap_err().kind(), ErrorKind::Trimmed);
        let first = log.records_from(below).next().unwrap();
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Trimmed);
    }
    let past = log.read_at(offsets.end).unwrap_err().kind();
    assert_eq!(past, ErrorKind::OutOfRange);
}

/// Flips a bit of the record at `offset`.
pub(crate) fn damage(disk: &SimDisk, offset: u64) {
    let names = disk.file_names();
    let damaged = names.iter().any(|name| {
        let bytes = disk.read_file(name);
        let value = value(offset).into_bytes();
        let place = bytes.windows(100).position(|window| window == value);
        if let Some(place) = place {
            disk.flip(name, place as u64, 0);
        }
        place.is_some()
    });
    assert!(damaged);
}

/// The files of `directory` that this process has open, and the directory itself, once for each descriptor.
#[cfg(target_os = "linux")]
pub(crate) fn open_in(directory: &std::path::Path) -> Vec<String> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let names = targets.map(|target| target.to_string_lossy().into_owned());
    let directory = &*directory.to_string_lossy();
    names.filter(|name| name.starts_with(directory)).collect()
}

/// The removed files of `directory` that this process has open.
#[cfg(target_os = "linux")]
pub(crate) fn deleted_but_open(directory: &std::path::Path) -> Vec<String> {
    let mut open = open_in(directory);
    open.retain(|name| name.ends_with("(deleted)"));
    open
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}
