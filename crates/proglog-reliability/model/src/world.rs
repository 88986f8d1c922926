//! A log that threads use, with their results, which are compared with those of all others and
//! what the device has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use proglog_log::{Error, ErrorKind, Log, LogOptions, Offset, Outcome, Record, StoredRecord};
use proglog_store::testing::{SimDisk, Survivors};
use shuttle::thread::{JoinHandle, spawn};

use crate::tasks::NEVER;

/// The disk of a log that nothing was appended to, made by the first execution: all of them begin with it.
static EMPTY: LazyLock<SimDisk> = LazyLock::new(|| {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options()).expect("an empty disk is a log");
    log.close().expect("nothing fails");
    disk
});

/// Small segments, so that a few records fill them, and no work that waits for a time.
pub(crate) fn options() -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(1 << 10)
        .idle_after(NEVER)
}

/// A log, and what is known of it.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) log: Log,
    options: LogOptions,
    results: Mutex<Results>,
}

/// The results of threads.
#[derive(Default)]
struct Results {
    /// Which value is at an offset.
    values: BTreeMap<u64, String>,
    /// Records that stay, or stay until they are trimmed.
    acknowledged: BTreeSet<u64>,
    /// Values that are nowhere.
    nowhere: BTreeSet<String>,
    /// Below this offset all may be gone.
    trimmed: u64,
    /// The number of records that readers found.
    found: Vec<u64>,
}

impl World {
    pub(crate) fn open(options: LogOptions) -> Arc<Self> {
        let disk = EMPTY.deep_clone();
        let log = open(&disk, &options);
        Arc::new(Self {
            disk,
            log,
            options,
            results: Mutex::default(),
        })
    }

    /// Does `work` on a thread.
    pub(crate) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let world = Arc::clone(self);
        spawn(move || work(&world))
    }

    /// Reads everything in two ways, on a thread.
    pub(crate) fn spawn_reader(self: &Arc<Self>) -> JoinHandle<()> {
        self.spawn(|world| {
            world.read_all();
            world.walk_all();
        })
    }

    /// No thread is stopped while it holds it.
    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a value, and checks what comes of it.
    pub(crate) fn append(&self, value: &str) -> Result<u64, Error> {
        let appended = self.log.append(Record::new(value.to_owned()));
        self.outcome(value, appended.map(Offset::get))
    }

    /// Checks what became of an append.
    pub(crate) fn outcome(&self, value: &str, appended: Result<u64, Error>) -> Result<u64, Error> {
        match &appended {
            Ok(offset) => self.acknowledged(*offset, value),
            Err(error) if error.outcome() == Outcome::NotAppended => {
                let mut results = self.results();
                assert!(
                    results.values.values().all(|other| other != value),
                    "{value} was refused and is there"
                );
                results.nowhere.insert(value.to_owned());
            }
            Err(_) => {}
        }
        appended
    }

    /// An append came back: readers see it, and the device has it.
    fn acknowledged(&self, offset: u64, value: &str) {
        let end = self.log.end_offset().get();
        assert!(
            offset < end,
            "offset {offset} came back, the end is {end}: {value}"
        );
        self.saw(offset, value);
        self.results().acknowledged.insert(offset);
    }

    /// Notes that `value` is at `offset`, for good and on the device.
    pub(crate) fn saw(&self, offset: u64, value: &str) {
        self.saw_in_memory(offset, value);
        if offset >= self.results().trimmed {
            assert!(
                self.is_on_device(value),
                "offset {offset} is not synced: {value}"
            );
        }
    }

    /// As [`World::saw`], where the device need not have it yet.
    pub(crate) fn saw_in_memory(&self, offset: u64, value: &str) {
        let mut results = self.results();
        let known = results
            .values
            .entry(offset)
            .or_insert_with(|| value.to_owned());
        assert_eq!(known, value, "two values at {offset}");
        let places = results.values.values().filter(|other| *other == value);
        assert_eq!(places.count(), 1, "{value} is there twice");
        assert!(
            !results.nowhere.contains(value),
            "{value} was refused and is there"
        );
    }

    /// Records below `start` are about to be dropped.
    pub(crate) fn trims(&self, start: u64) {
        let mut results = self.results();
        results.trimmed = results.trimmed.max(start);
    }

    /// Checks that everything noted is there.
    pub(crate) fn all_is_acknowledged(&self) {
        let results = &mut *self.results();
        results.acknowledged.extend(results.values.keys());
    }

    fn is_on_device(&self, value: &str) -> bool {
        let left = self.disk.crash(Survivors::LoseAll);
        let segments = left.file_names().into_iter();
        segments
            .filter(|name| name.ends_with(".log"))
            .any(|name| contains(&left.read_file(&name), value.as_bytes()))
    }

    /// Reads all there is now, one record after the other; others may trim meanwhile.
    pub(crate) fn read_all(&self) {
        let (start, end) = (self.log.start_offset().get(), self.log.end_offset().get());
        self.results().found.extend([start, end]);
        for offset in start..end {
            match self.log.read(offset) {
                Ok(record) => self.saw(offset, text(&record)),
                Err(error) if error.kind() == ErrorKind::Trimmed => {
                    assert!(offset < self.results().trimmed, "{offset} was not trimmed");
                }
                Err(error) => panic!("the record at {offset} is below the end {end}: {error:?}"),
            }
        }
    }

    /// Reads all there is as one run; others may trim meanwhile.
    pub(crate) fn walk_all(&self) {
        let start = self.log.start_offset().get();
        let mut next = start;
        for (offset, record) in (start..).zip(self.log.records(start..)) {
            match record {
                Ok(record) => {
                    assert_eq!(record.offset, offset, "a record is missing, or doubled");
                    self.saw(offset, text(&record));
                    next += 1;
                }
                Err(error) if error.kind() == ErrorKind::Trimmed => {
                    assert!(offset < self.results().trimmed, "{offset} was not trimmed");
                }
                Err(error) => panic!("the records from {start} on: {error:?}"),
            }
        }
        self.results().found.extend([start, next]);
    }

    /// Closes the log, and opens what is left of it when the power fails; returns what there is.
    pub(crate) fn end(&self) -> String {
        // A stopped log has an error, which a thread has seen before.
        drop(self.log.close());
        let left = self.disk.crash(Survivors::LoseAll);
        let log = open(&left, &self.options);
        let mut values = BTreeMap::new();
        for record in log.records(log.start_offset()..) {
            let record = record.expect("all can be read");
            values.insert(record.offset.get(), text(&record).to_owned());
        }
        let results = self.results();
        assert!(
            log.start_offset().get() <= results.trimmed,
            "too much was trimmed"
        );
        for (offset, value) in &values {
            let known = results.values.get(offset).unwrap_or(value);
            assert_eq!(known, value, "{offset} has another value after all");
            assert!(
                !results.nowhere.contains(value),
                "{value} was refused and is there"
            );
        }
        for offset in results.acknowledged.range(log.start_offset().get()..) {
            assert!(values.contains_key(offset), "{offset} is lost");
        }
        let end = format!("{} {values:?} {:?}", log.start_offset(), results.found);
        drop(results);
        drop(log.close());
        end
    }
}

fn open(disk: &SimDisk, options: &LogOptions) -> Log {
    Log::open_in(disk.directory(), options).expect("it can be opened")
}

pub(crate) fn text(record: &StoredRecord) -> &str {
    std::str::from_utf8(&record.value).expect("what was appended is text")
}

/// A value that no other is part of, of about a third of a segment.
pub(crate) fn long(name: &str) -> String {
    format!("{name:.<300}")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
