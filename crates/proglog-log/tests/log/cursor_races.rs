//! Cursors that look for a record while the log is truncated below it and appended to.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use proglog_log::{Log, Reason, Records, StoredRecord};
use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::testing::SimDisk;

use crate::support::{append, options, segments};

/// An action that runs before a store is opened, or before one is read.
#[derive(Clone, Default)]
struct Meanwhile(Arc<Mutex<Option<(Moment, Event)>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Open,
    Read,
    TryRead,
}

type Event = Box<dyn FnOnce() + Send>;

impl Meanwhile {
    fn plan(&self, moment: Moment, event: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some((moment, Box::new(event)));
    }

    fn has_happened(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }

    fn reach(&self, moment: Moment, name: &str) {
        let comes = |planned: &mut (Moment, Event)| planned.0 == moment && name.ends_with(".log");
        let event = self.0.lock().unwrap().take_if(comes);
        if let Some((_, event)) = event {
            event();
        }
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meanwhile").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct BusyDirectory(Arc<dyn Directory>, Meanwhile);

#[derive(Debug)]
struct BusyFile(Arc<dyn Storage>, String, Meanwhile);

impl Directory for BusyDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        self.1.reach(Moment::Open, name);
        let file = self.0.open(name, mode)?;
        Ok(Arc::new(BusyFile(file, name.to_owned(), self.1.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Storage for BusyFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.2.reach(Moment::Read, &self.1);
        self.0.read_at(buffer, offset)
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.2.reach(Moment::TryRead, &self.1);
        self.0.try_read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

/// A log of several segments with 30 records, on a disk that reports each access to a file.
fn busy() -> (SimDisk, Log, Meanwhile) {
    let (disk, meanwhile) = (SimDisk::new(), Meanwhile::default());
    let directory = BusyDirectory(disk.directory(), meanwhile.clone());
    let log = Log::open_in(Arc::new(directory), &options()).unwrap();
    append(&log, 0..30);
    (disk, log, meanwhile)
}

/// Cuts the log at `end`, and appends as many other records as it has lost.
fn replace(log: &Log, end: u64) {
    log.truncate(end).unwrap();
    for _ in end..30 {
        log.append("another").unwrap();
    }
}

type Next = fn(&mut Records) -> StoredRecord;

const NEXT: [Next; 2] = [
    |records| records.next().unwrap().unwrap(),
    |records| records.next_ref().unwrap().unwrap().to_record(),
];

#[test]
fn a_cursor_whose_segment_is_removed_before_it_is_opened_finds_its_replacement() {
    for next in NEXT {
        let (disk, log, meanwhile) = busy();
        let bases = segments(&disk);
        let (base, log_too) = (bases[bases.len() - 2], log.clone());
        meanwhile.plan(Moment::Open, move || replace(&log_too, base - 2));
        let record = next(&mut log.records(base + 1..));
        assert!(meanwhile.has_happened());
        assert!(!segments(&disk).contains(&base), "it has gone");
        assert_eq!(record.offset, base + 1);
        assert_eq!(record.value, "another");
    }
}

#[test]
fn a_cursor_whose_segment_is_truncated_before_it_is_read_finds_its_replacement() {
    for next in NEXT {
        let (disk, log, meanwhile) = busy();
        let bases = segments(&disk);
        let (base, log_too) = (bases[bases.len() - 2], log.clone());
        // It is open then, and its index known.
        log.read(base).unwrap();
        meanwhile.plan(Moment::Read, move || replace(&log_too, base + 1));
        let record = next(&mut log.records(base + 2..));
        assert!(meanwhile.has_happened());
        assert_eq!(record.offset, base + 2);
        assert_eq!(record.value, "another");
    }
}

#[test]
fn a_read_whose_file_loses_its_room_finds_that_the_record_was_trimmed() {
    let (disk, meanwhile) = (SimDisk::new(), Meanwhile::default());
    let directory = BusyDirectory(disk.directory(), meanwhile.clone());
    let options = options().segment_bytes_max(64 << 10).preallocate_max(0);
    let log = Log::open_in(Arc::new(directory), &options).unwrap();
    append(&log, 0..30);
    // Nothing is left in memory.
    log.close().unwrap();
    let directory = BusyDirectory(disk.directory(), meanwhile.clone());
    let log = Log::open_in(Arc::new(directory), &options).unwrap();
    let names = disk.file_names();
    let taken = names.iter().map(|name| disk.read_file(name).len() as u64);
    disk.set_capacity(Some(taken.sum()));
    let log_too = log.clone();
    meanwhile.plan(Moment::Read, move || log_too.trim(30).unwrap());
    let told = log.read(7).unwrap_err();
    assert!(meanwhile.has_happened());
    assert!(matches!(told.reason, Reason::Trimmed { .. }), "{told:?}");
    append(&log, 30..31);
}

#[test]
fn records_from_before_a_truncation_and_from_after_it_are_in_no_batch_together() {
    let (disk, meanwhile) = (SimDisk::new(), Meanwhile::default());
    let directory = BusyDirectory(disk.directory(), meanwhile.clone());
    let options = options().segment_bytes_max(64 << 20);
    let open = || Log::open_in(Arc::new(directory.clone()), &options).unwrap();
    let log = open();
    let values = |text: &str| vec![format!("{text:>1000}"); 1000];
    append(&log, 0..3);
    log.append_batch(values("old")).unwrap();
    // The file is known by its name then.
    log.close().unwrap();
    let log = open();
    // It happens once the first block was read, before the second is.
    let (log_too, then) = (log.clone(), meanwhile.clone());
    meanwhile.plan(Moment::TryRead, move || {
        then.plan(Moment::TryRead, move || {
            log_too.truncate(3).unwrap();
            log_too.append_batch(values("new")).unwrap();
        });
    });
    let read = log.try_read_batch(0, usize::MAX, 16 << 20).unwrap();
    assert!(meanwhile.has_happened());
    assert_eq!(read, None);
    let read = log.try_read_batch(0, usize::MAX, 16 << 20).unwrap();
    assert!(
        read.unwrap()
            .iter()
            .skip(3)
            .all(|record| record.value.ends_with(b"new"))
    );
}
