//! Background work on a runtime that each test runs itself, for its own thread. A runtime is installed once a
//! process, so this is a test program of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::io;
use std::sync::Once;
use std::time::Duration;

use proglog_log::{
    Durability, Job, Log, LogOptions, ReadOnlyLog, Reason, Runtime, install_runtime,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

thread_local! {
    static JOBS: RefCell<Vec<(Duration, Job)>> = const { RefCell::new(Vec::new()) };
}

struct ByHand;

impl Runtime for ByHand {
    fn spawn(&self, job: Job) {
        self.spawn_after(Duration::ZERO, job);
    }

    fn spawn_after(&self, delay: Duration, job: Job) {
        JOBS.with_borrow_mut(|jobs| jobs.push((delay, job)));
    }
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| install_runtime(ByHand).unwrap());
}

/// Runs the jobs that are to be run after this delay, and returns how many there were.
fn run(delay: Duration) -> usize {
    let jobs = JOBS.with_borrow_mut(|jobs| {
        let due = jobs.extract_if(.., |(after, _)| *after == delay);
        due.map(|(_, job)| job).collect::<Vec<_>>()
    });
    let count = jobs.len();
    for job in jobs {
        job();
    }
    count
}

/// Time between two looks for a follower of a log that another process writes.
const LOOK: Duration = Duration::from_millis(20);
/// Another delay.
const INTERVAL: Duration = Duration::from_secs(7);

fn open(disk: &SimDisk, durability: Durability) -> Log {
    install();
    let options = LogOptions::new()
        .durability(durability)
        .idle_after(Duration::MAX);
    Log::open_in(disk.directory(), &options).unwrap()
}

/// Number of records that a power cut would leave now.
fn on_the_device(disk: &SimDisk) -> u64 {
    let left = disk.crash(Survivors::LoseAll);
    open(&left, Durability::Synced).end_offset().get()
}

#[test]
fn what_came_within_an_interval_is_synced_once_it_has_passed() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Interval(INTERVAL));
    for synced in [2, 4] {
        log.append("one").unwrap();
        log.append("another").unwrap();
        assert_eq!(on_the_device(&disk), synced - 2);
        assert_eq!(run(INTERVAL), 1);
        assert_eq!(on_the_device(&disk), synced);
    }
    assert_eq!(run(INTERVAL), 0, "nothing came since");
}

#[test]
fn a_sync_in_the_background_that_finds_no_room_stops_nothing() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Buffered);
    for _ in 0..9 {
        log.append(vec![7; 1 << 20]).unwrap();
    }
    log.append("still in the buffer").unwrap();
    let full = Fault::error(io::ErrorKind::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full);
    assert_eq!(run(Duration::ZERO), 1);
    log.append("there is room again").unwrap();
    log.sync().unwrap();
    assert_eq!(on_the_device(&disk), 11);
}

#[test]
fn the_view_is_refreshed_as_long_as_there_are_followers() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Synced);
    let reader = ReadOnlyLog::open_in(disk.directory()).unwrap();
    assert_eq!(run(LOOK), 0);
    for _ in 0..2 {
        let mut followers = [0, 1].map(|_| reader.follow(reader.end_offset()));
        log.append("seen with the next").unwrap();
        log.append("the next").unwrap();
        assert_eq!(run(LOOK), 1, "one for all");
        for follower in &mut followers {
            assert!(follower.try_next().unwrap().is_some());
        }
        assert_eq!(run(LOOK), 1);
        drop(followers);
        assert_eq!(run(LOOK), 1, "one was asked for before");
        assert_eq!(run(LOOK), 0);
    }
}

#[test]
fn followers_fail_once_ten_looks_in_a_row_have_failed() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Synced);
    log.append("one").unwrap();
    let reader = ReadOnlyLog::open_in(disk.directory()).unwrap();
    let mut follower = reader.follow(0);
    let mut look = || {
        assert_eq!(run(LOOK), 1);
        follower.try_next()
    };
    for _ in 0..2 {
        disk.fail_reads("checkpoint", 0..16_384);
        for _ in 0..9 {
            assert_eq!(look().unwrap(), None);
        }
        disk.mend_reads("checkpoint");
        assert_eq!(look().unwrap(), None, "one that succeeds");
    }
    disk.fail_reads("checkpoint", 0..16_384);
    for _ in 0..9 {
        assert_eq!(look().unwrap(), None);
    }
    let error = look().unwrap_err();
    assert!(
        matches!(error.reason, Reason::CheckpointLost { .. }),
        "{error}"
    );
}
