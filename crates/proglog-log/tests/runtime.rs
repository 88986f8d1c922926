//! Installed runtimes: a program runs the background work of its logs itself. A runtime is installed once a
//! process, so this is a test program of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use proglog_log::{
    Durability, Job, Log, LogOptions, ReadOnlyLog, ReadOnlyOptions, Record, Retention, Runtime,
    RuntimeInUse, install_runtime,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

/// Sends jobs to a channel.
struct HandOver(Sender<(Duration, Job)>);

impl Runtime for HandOver {
    fn spawn(&self, job: Job) {
        self.spawn_after(Duration::ZERO, job);
    }

    fn spawn_after(&self, delay: Duration, job: Job) {
        self.0.send((delay, job)).unwrap();
    }
}

type Jobs = Receiver<(Duration, Job)>;

/// Jobs to run, for one test at a time.
static JOBS: LazyLock<Mutex<Jobs>> = LazyLock::new(|| {
    let (sender, jobs) = channel();
    install_runtime(HandOver(sender.clone())).unwrap();
    assert_eq!(install_runtime(HandOver(sender)), Err(RuntimeInUse));
    Mutex::new(jobs)
});

/// Jobs from here on: a log that was closed may have scheduled one more refresh.
fn jobs() -> MutexGuard<'static, Jobs> {
    let jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.try_iter().for_each(drop);
    jobs
}

#[test]
fn an_installed_runtime_does_all_that_is_to_be_done_in_the_background() {
    let jobs = jobs();
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions::new().idle_after(Duration::from_secs(7));
    let log = Log::open(directory.path(), &options).unwrap();
    let mut append = pin!(log.submit("one").unwrap());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(append.as_mut().poll(context).is_pending());
    assert_eq!(log.end_offset().get(), 0, "nobody has synced it");

    let (delay, look) = jobs.try_recv().unwrap();
    assert_eq!(delay, Duration::from_secs(7), "a look whether it is idle");
    let (delay, sync) = jobs.try_recv().unwrap();
    assert_eq!(delay, Duration::ZERO);
    sync();
    assert!(matches!(append.as_mut().poll(context), Poll::Ready(Ok(_))));
    assert_eq!(log.end_offset().get(), 1);

    let len = || {
        directory
            .path()
            .join("00000000000000000000.log")
            .metadata()
            .unwrap()
            .len()
    };
    let before = len();
    look();
    assert_eq!(len(), before + 32, "a mark was written");
    assert!(jobs.try_recv().is_err());
    drop(log);
    let log = Log::open(directory.path(), &options).unwrap();
    assert!(log.recovery().clean);
    buffered_log_asks_for_few_syncs(&jobs);
}

/// One after every 8 MiB.
fn buffered_log_asks_for_few_syncs(jobs: &Receiver<(Duration, Job)>) {
    let disk = SimDisk::new();
    let options = LogOptions::new()
        .durability(Durability::Buffered)
        .idle_after(Duration::MAX);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    let record = Record::new(vec![7; 1 << 20]);
    jobs.try_iter().for_each(drop);
    for appended in 1..=24 {
        log.append(record.clone()).unwrap();
        let asked = jobs.try_iter().map(|(delay, sync)| {
            sync();
            delay
        });
        // Nor for a look after a time that never passes.
        let soon = [Duration::ZERO];
        let expected = &soon[..usize::from(appended % 8 == 0)];
        assert_eq!(asked.collect::<Vec<_>>(), expected, "after {appended} MiB");
    }
}

/// A buffered log with one record, and the look whether it is idle, `idle_after` later.
fn idle(disk: &SimDisk, jobs: &Jobs, idle_after: Duration) -> (Log, Job) {
    let options = LogOptions::new()
        .durability(Durability::Buffered)
        .idle_after(idle_after);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    jobs.try_iter().for_each(drop);
    log.append("one").unwrap();
    let (delay, look) = jobs.try_recv().unwrap();
    assert_eq!(delay, idle_after);
    (log, look)
}

#[test]
fn a_log_that_could_not_be_synced_when_it_was_idle_tries_again() {
    let jobs = jobs();
    for (idle_after, again_after) in [(7, 7), (0, 1)].map(|(idle, again)| {
        let seconds = Duration::from_secs;
        (seconds(idle), seconds(again))
    }) {
        let disk = SimDisk::new();
        let (log, mut look) = idle(&disk, &jobs, idle_after);
        for _ in 0..3 {
            let full = Fault::error(io::ErrorKind::StorageFull);
            disk.inject(When::Next(CallKind::Write, 0), full);
            look();
            let delay;
            (delay, look) = jobs.try_recv().expect("nobody tries again");
            assert_eq!(delay, again_after);
        }
        look();
        assert!(jobs.try_recv().is_err(), "it is at rest");
        let left = disk.crash(Survivors::LoseAll);
        drop(log);
        let log = Log::open_in(left.directory(), &LogOptions::new()).unwrap();
        assert_eq!(log.end_offset().get(), 1);
    }
}

#[test]
fn no_other_sync_is_tried_of_a_log_that_is_stopped_or_closed() {
    let jobs = jobs();
    let disk = SimDisk::new();
    let (log, look) = idle(&disk, &jobs, Duration::ZERO);
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    look();
    assert!(jobs.try_recv().is_err(), "nothing mends it");
    drop(log);
    let (log, look) = idle(&SimDisk::new(), &jobs, Duration::ZERO);
    log.close().unwrap();
    look();
    for looks in 0.. {
        let Ok((_, look)) = jobs.try_recv() else {
            break;
        };
        assert!(looks < 9, "there is no end to it");
        look();
    }
}

#[test]
fn retention_does_not_run_for_a_closed_log() {
    let jobs = jobs();
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_hours(1);
    let options = LogOptions::new()
        .retention(Retention::new().age(hour))
        .idle_after(Duration::MAX);
    let log = Log::open(directory.path(), &options).unwrap();
    log.apply_retention().unwrap();
    log.close().unwrap();
    let mut looks = 0;
    while let Ok((delay, look)) = jobs.try_recv() {
        looks += 1;
        assert!(looks < 9 && delay <= hour, "there is no end to it");
        look();
    }
    assert!(looks > 0);
}

/// A log with a runtime of its own, and the jobs that it is given.
fn on_its_own(disk: &SimDisk, options: LogOptions) -> (Log, Jobs) {
    let (sender, own) = channel();
    let options = options.runtime(Arc::new(HandOver(sender)));
    (Log::open_in(disk.directory(), &options).unwrap(), own)
}

#[test]
fn a_log_with_a_runtime_of_its_own_has_everything_run_there() {
    let jobs = jobs();
    let second = Duration::from_secs(1);
    let retention = Retention::new().age(Duration::from_hours(1)).records(9);
    let options = LogOptions::new()
        .durability(Durability::Interval(second))
        .idle_after(Duration::from_secs(7))
        .segment_bytes_max(1 << 10)
        .retention(retention);
    let disk = SimDisk::new();
    let (log, own) = on_its_own(&disk, options);
    let run_all = |at_least: usize| {
        let due = own.try_iter().map(|(_, job)| job).collect::<Vec<_>>();
        assert!(due.len() >= at_least, "{} jobs", due.len());
        for job in due {
            job();
        }
    };
    for _ in 0..20 {
        log.append(vec![7; 100]).unwrap();
    }
    let (sender, called) = channel();
    log.submit("called back")
        .unwrap()
        .on_complete(move |outcome| sender.send(outcome.is_ok()).unwrap());
    let context = &mut Context::from_waker(Waker::noop());
    let mut stream = Box::pin(log.follow(log.start_offset()).into_stream());
    assert!(stream.as_mut().poll_next(context).is_pending());
    // The sync, the look whether it is idle, retention, the commit for the callback and the read of the stream.
    run_all(5);
    run_all(1); // the callback
    assert!(called.try_recv().unwrap());
    assert!(stream.as_mut().poll_next(context).is_ready());

    let (sender, own) = channel();
    let options = ReadOnlyOptions::new().runtime(Arc::new(HandOver(sender)));
    let reader = ReadOnlyLog::open_in_with(disk.directory(), &options).unwrap();
    let mut stream = Box::pin(reader.follow(reader.start_offset()).into_stream());
    assert!(stream.as_mut().poll_next(context).is_pending());
    assert_eq!(own.try_iter().count(), 2, "a look and a read");
    assert!(jobs.try_recv().is_err(), "a job on the process's runtime");
}

#[test]
fn other_logs_run_nothing_on_the_runtime_of_one() {
    let jobs = jobs();
    let (_log, own) = on_its_own(&SimDisk::new(), LogOptions::new());
    let log = Log::open_in(SimDisk::new().directory(), &LogOptions::new()).unwrap();
    log.submit("one").unwrap().on_complete(|_| {});
    assert_eq!(jobs.try_iter().count(), 2, "a look and a commit");
    assert!(own.try_recv().is_err(), "a job on the runtime of the other");
}
