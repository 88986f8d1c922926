//! Looks of a follower at the files of a log that another process writes: what they cost, and what they see.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proglog_log::{
    Durability, Follow, Job, Log, LogOptions, Offset, ReadOnlyLog, ReadOnlyOptions, Runtime,
};
use proglog_store::testing::{Call, CallKind, Fault, SimDisk, When};

use crate::support::{append, holds, open, open_with, options, segments, value};

/// Keeps jobs until the test runs them.
#[derive(Default)]
struct Kept(Mutex<Vec<Job>>);

impl Kept {
    /// Runs the jobs that there are; returns their number.
    fn run(&self) -> usize {
        let due = std::mem::take(&mut *self.0.lock().unwrap());
        let count = due.len();
        for job in due {
            job();
        }
        count
    }
}

impl Runtime for Kept {
    fn spawn(&self, job: Job) {
        self.0.lock().unwrap().push(job);
    }
    fn spawn_after(&self, _delay: Duration, job: Job) {
        self.spawn(job);
    }
}

/// A read-only log with a follower, whose looks the test makes.
struct Looking {
    disk: SimDisk,
    reader: ReadOnlyLog,
    jobs: Arc<Kept>,
    _follower: Follow,
}

impl Looking {
    /// Looks at the log on `disk`, which has not changed since the last look.
    fn at(disk: &SimDisk) -> Self {
        let jobs = Arc::new(Kept::default());
        let options = ReadOnlyOptions::new().runtime(Arc::clone(&jobs) as _);
        let reader = ReadOnlyLog::open_in_with(disk.directory(), &options).unwrap();
        let looking = Self {
            disk: disk.clone(),
            _follower: reader.follow(reader.end_offset()),
            reader,
            jobs,
        };
        // The first one learns what to compare with.
        for _ in 0..LOOKS {
            looking.look();
        }
        looking
    }

    /// Looks once; returns the calls that this took.
    fn look(&self) -> Vec<Call> {
        self.disk.start_trace();
        assert_eq!(self.jobs.run(), 1);
        self.disk.trace()
    }

    /// Looks until the view is like this; returns the number of looks.
    #[track_caller]
    fn looks_until(&self, is_seen: impl Fn(&ReadOnlyLog) -> bool) -> usize {
        for looks in 1..=LOOKS {
            self.look();
            if is_seen(&self.reader) {
                return looks;
            }
        }
        panic!("not seen: {:?}", self.reader.offsets());
    }

    #[track_caller]
    fn ends_at(&self, end: u64) -> usize {
        self.looks_until(|reader| reader.end_offset() == end)
    }
}

/// Looks after which each sign was compared.
const LOOKS: usize = 12;

/// A log with large segments, which does not preallocate before the third append.
fn large(disk: &SimDisk) -> Log {
    open_with(disk, &options().segment_bytes_max(1 << 20))
}

#[test]
fn a_look_that_finds_nothing_new_takes_two_calls_however_many_segments_there_are() {
    for (records, at_least) in [(0, 1), (3, 1), (60, 8), (1000, 140)] {
        let disk = SimDisk::new();
        let log = open(&disk);
        append(&log, 0..records);
        assert!(segments(&disk).len() >= at_least);
        let looking = Looking::at(&disk);
        for _ in 0..3 * LOOKS {
            let calls = looking.look();
            let bytes = calls.iter().map(|call| call.len).sum::<u64>();
            assert!(calls.len() <= 2 && bytes < 10_000, "{calls:?}");
        }
        // After news it is the same.
        append(&log, records..records + 2);
        looking.look();
        for _ in 0..LOOKS {
            let calls = looking.look();
            assert!(calls.len() <= 2, "{calls:?}");
        }
    }
}

#[test]
fn news_of_a_log_are_read_without_its_directory_however_many_segments_there_are() {
    // Calls and bytes of memory for a roll and a trim.
    let costs = [10, 1000].map(|records| {
        let disk = SimDisk::new();
        let log = open(&disk);
        append(&log, 0..records);
        let looking = Looking::at(&disk);
        let start = log.trim(1).map(|()| 1).unwrap();
        log.roll().unwrap();
        append(&log, records..records + 2);
        let mut calls = Vec::new();
        let allocated = allocation_counter::measure(|| calls = looking.look());
        assert!(calls.iter().all(|call| call.kind != CallKind::List));
        holds(&looking.reader, start..records + 1);
        (calls.len(), allocated.bytes_total)
    });
    let [few, many] = costs;
    assert!(many.0 <= few.0 + 5, "{costs:?}");
    assert!(many.1 <= 2 * few.1, "{costs:?}");
}

#[test]
fn an_append_into_preallocated_space_is_seen_by_the_next_look() {
    let disk = SimDisk::new();
    let log = large(&disk);
    append(&log, 0..9);
    let looking = Looking::at(&disk);
    let len = || disk.read_file(&format!("{:020}.log", 0)).len();
    let before = len();
    for offset in 9..50 {
        append(&log, offset..offset + 1);
        assert_eq!(looking.ends_at(offset), 1);
    }
    assert_eq!(len(), before, "it was preallocated");
}

#[test]
fn rolls_and_what_is_appended_after_them_are_seen_soon() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    let looking = Looking::at(&disk);
    for round in 0..20 {
        let next = log.end_offset().get();
        log.roll().unwrap();
        assert!(looking.ends_at(next) <= 2);
        // Several segments at once.
        append(&log, next..next + 30 + round);
        let seen = looking.looks_until(|reader| reader.end_offset() >= next + 29 + round);
        assert!(seen <= 2, "{seen}");
        log.sync().unwrap();
        holds(&looking.reader, 0..looking.reader.end_offset().get());
    }
}

#[test]
fn a_roll_that_the_checkpoint_does_not_know_of_is_seen() {
    let disk = SimDisk::new();
    let log = large(&disk);
    append(&log, 0..3);
    log.close().unwrap();
    // It ends with a mark, so the roll writes nothing to the segment that it seals.
    let log = large(&disk);
    let looking = Looking::at(&disk);
    let checkpoint = disk.read_file("checkpoint");
    log.roll().unwrap();
    append(&log, 3..6);
    disk.write_file("checkpoint", &checkpoint);
    looking.ends_at(5);
    holds(&looking.reader, 0..5);
}

#[test]
fn trims_truncations_and_resets_are_seen_soon() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let looking = Looking::at(&disk);
    let starts_at = |start| looking.looks_until(|reader| reader.start_offset() == start);
    for start in [1, 2, 25, 26] {
        log.trim(start).unwrap();
        assert!(starts_at(start) <= 2, "{start}");
    }
    assert!(looking.reader.read(25).is_err());
    log.truncate(31).unwrap();
    assert!(looking.ends_at(31) <= 2);
    holds(&looking.reader, 26..31);
    append(&log, 31..60);
    log.truncate(27).unwrap();
    assert!(looking.ends_at(27) <= 2);
    append(&log, 27..33);
    assert!(looking.ends_at(32) <= 2);
    holds(&looking.reader, 26..32);
    log.reset(100).unwrap();
    assert!(looking.ends_at(100) <= 2);
    append(&log, 100..102);
    assert!(looking.ends_at(101) <= 2);
    holds(&looking.reader, 100..101);
}

#[test]
fn a_truncation_after_which_the_log_has_grown_again_is_seen() {
    // Within the newest segment and before it, and each as long as before or longer.
    for (to, end) in [(39, 40), (38, 60), (20, 40), (0, 40), (0, 90)] {
        let disk = SimDisk::new();
        let log = open(&disk);
        append(&log, 0..40);
        let looking = Looking::at(&disk);
        log.truncate(to).unwrap();
        let other = |offset: u64| format!("{offset:->100}");
        for offset in to..end {
            log.append(other(offset)).unwrap();
        }
        log.close().unwrap();
        let is_seen = |reader: &ReadOnlyLog| {
            reader.end_offset() == end && reader.last().unwrap().unwrap().value == other(end - 1)
        };
        assert!(looking.looks_until(is_seen) <= 2, "{to} {end}");
        for offset in 0..end {
            let expected = if offset < to {
                value(offset)
            } else {
                other(offset)
            };
            assert_eq!(looking.reader.read(offset).unwrap().value, expected);
        }
    }
}

#[test]
fn a_writer_that_was_killed_and_opened_again_is_followed() {
    let disk = SimDisk::new();
    let log = large(&disk);
    append(&log, 0..5);
    let looking = Looking::at(&disk);
    // The next write is torn, and recovery sets aside what there is of it.
    disk.inject(
        When::Next(CallKind::Write, 0),
        Fault::os_error(5).after_writing(60),
    );
    disk.inject(When::Next(CallKind::SetLen, 0), Fault::os_error(5));
    log.append(value(5)).unwrap_err();
    drop(log);
    // The mark before it is whole.
    assert_eq!(looking.ends_at(5), 1);
    let log = large(&disk);
    append(&log, 5..7);
    assert!(looking.ends_at(6) <= 2);
    holds(&looking.reader, 0..6);
}

#[test]
fn a_newest_segment_that_is_created_again_is_followed() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    log.roll().unwrap();
    log.close().unwrap();
    let (looking, before) = (Looking::at(&disk), disk.read_file("checkpoint"));
    let log = open(&disk);
    assert!(disk.read_file("checkpoint") == before, "it says the same");
    append(&log, 3..5);
    looking.ends_at(4);
}

#[test]
fn a_checkpoint_that_was_replaced_is_seen() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..5);
    let looking = Looking::at(&disk);
    log.close().unwrap();
    looking.ends_at(5);
    let other = disk.deep_clone();
    open(&other).trim(2).unwrap();
    disk.remove_file("checkpoint");
    disk.write_file("checkpoint", &other.read_file("checkpoint"));
    looking.looks_until(|reader| reader.start_offset() == 2);
}

/// The newest segment as a killed writer left it, with a record that nothing claims, and what another writer made of it:
/// that record is dropped, and a shorter one is in its place.
fn replaced() -> (SimDisk, Vec<u8>) {
    let name = format!("{:020}.log", 0);
    let disk = SimDisk::new();
    let options = options()
        .segment_bytes_max(1 << 20)
        .durability(Durability::Interval(Duration::MAX));
    let log = open_with(&disk, &options);
    log.append("kept").unwrap();
    log.sync().unwrap();
    let other = disk.deep_clone();
    log.append(vec![7; 5000]).unwrap();
    let left = disk.deep_clone();
    let log = open_with(&other, &options);
    log.append("short").unwrap();
    log.close().unwrap();
    let mut bytes = other.read_file(&name);
    assert_eq!(bytes[..8192], left.read_file(&name)[..8192]);
    // As long as before.
    bytes.resize(left.read_file(&name).len(), 0);
    (left, bytes)
}

#[test]
fn a_shorter_record_in_place_of_one_that_was_dropped_is_seen() {
    let (disk, bytes) = replaced();
    let looking = Looking::at(&disk);
    disk.write_file(&format!("{:020}.log", 0), &bytes);
    looking.ends_at(2);
    assert_eq!(looking.reader.read(1).unwrap().value, "short");
}

#[test]
fn what_is_appended_after_damage_is_seen_once_a_mark_ends_the_file() {
    let name = format!("{:020}.log", 0);
    let disk = SimDisk::new();
    let log = large(&disk);
    append(&log, 0..3);
    let left = disk.deep_clone();
    let looking = Looking::at(&left);
    append(&log, 3..6);
    log.close().unwrap();
    let (before, mut after) = (left.read_file(&name), disk.read_file(&name));
    let same = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();
    after[same..same + 20].fill(0);
    left.write_file(&name, &after);
    looking.ends_at(6);
}

#[test]
fn a_directory_that_has_moved_is_noticed() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    let looking = Looking::at(&disk);
    let mut follower = looking.reader.follow(2);
    drop(disk.exchange());
    for _ in 0..LOOKS + 10 {
        looking.look();
    }
    let error = follower.try_next().unwrap_err();
    assert_eq!(error.kind(), proglog_log::ErrorKind::DirectoryMoved);
}

#[test]
#[cfg(target_os = "linux")]
fn looks_keep_one_more_file_open_as_long_as_there_are_followers() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), &LogOptions::new()).unwrap();
    append(&log, 0..3);
    let jobs = Arc::new(Kept::default());
    let options = ReadOnlyOptions::new().runtime(Arc::clone(&jobs) as _);
    let reader = ReadOnlyLog::open_with(directory.path(), &options).unwrap();
    let follower = reader.follow(Offset::ZERO);
    let checkpoints = || crate::support::open_in(&directory.path().join("checkpoint")).len();
    for _ in 0..3 {
        assert_eq!(jobs.run(), 1);
        assert_eq!(checkpoints(), 1);
    }
    drop(follower);
    assert_eq!(jobs.run(), 1);
    assert_eq!(checkpoints(), 0);
    assert_eq!(jobs.run(), 0);
}
