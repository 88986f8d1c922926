//! Readers, followers, streams and iterators of a log that others append to, roll, trim, truncate, retain
//! and close at the same time: each record is seen once and in order, or is said to be gone, and nobody
//! waits for ever.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use proglog_log::{
    Durability, Error, ErrorKind, Follow, Log, NextTimeoutError, Offset, Options, Reader,
    Retention, Signal, StoredRecord, Visibility,
};
use proglog_store::testing::SimDisk;

const ALL_DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::from_millis(1)),
    Durability::Buffered,
];

fn options(durability: Durability) -> Options {
    Options::new()
        .segment_bytes_max(2 << 10)
        .durability(durability)
}

fn open(disk: &SimDisk, options: &Options) -> Log {
    Log::open_in(disk.directory(), options).unwrap()
}

/// Runs `body`, and fails where it never ends. One at a time: each has more threads that never sleep than
/// machines have cores, and several take them from each other for so long that it looks like for ever.
fn watched(body: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed is not this one's concern.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (alive, ended) = channel::<()>();
    let thread = thread::spawn(move || {
        let _alive = alive;
        body();
    });
    match ended.recv_timeout(Duration::from_mins(1)) {
        Err(RecvTimeoutError::Timeout) => panic!("somebody waits for ever"),
        _ => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// How the records of a log are come by.
#[derive(Debug, Clone, Copy)]
enum Way {
    Follow,
    Stream,
    Iterate,
    Batches,
    Read,
}

const ALL_WAYS: [Way; 5] = [
    Way::Follow,
    Way::Stream,
    Way::Iterate,
    Way::Batches,
    Way::Read,
];

type Visit<'a> = dyn FnMut(Result<StoredRecord, Error>) -> ControlFlow<()> + 'a;

impl Way {
    /// Visits the records from `from` on and those that come; returns when `visit` breaks, or after it was
    /// shown an error.
    fn go(self, reader: &Reader, from: Offset, visit: &mut Visit) {
        match self {
            Self::Follow => _ = reader.follow(from).try_for_each(visit),
            Self::Stream => {
                let mut stream = reader.follow(from).into_stream();
                block_on(async {
                    while let Some(record) = stream.next().await {
                        if visit(record).is_break() {
                            return;
                        }
                    }
                });
            }
            Self::Iterate => Self::poll(from, visit, |next| reader.records(next..).collect()),
            Self::Batches => Self::poll(from, visit, |next| match reader.read_batch(next, 500) {
                Ok(records) => records.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }),
            Self::Read => Self::poll(from, visit, |next| match reader.read(next) {
                Err(Error::OutOfRange { offset, end, .. }) if offset <= end => Vec::new(),
                read => vec![read],
            }),
        }
    }

    /// Visits what `read` reads at the offset it is given, again and again.
    fn poll(
        from: Offset,
        visit: &mut Visit,
        read: impl Fn(Offset) -> Vec<Result<StoredRecord, Error>>,
    ) {
        let mut next = from;
        loop {
            for record in read(next) {
                let failed = record.is_err();
                if visit(record).is_break() || failed {
                    return;
                }
                next = next.plus(1);
            }
            thread::yield_now();
        }
    }
}

/// Sees all that `reader` shows, in one way, until there is the value "end". Each record comes in its turn,
/// unless it was dropped before it was read. Returns what it has seen.
fn see(way: Way, reader: &Reader) -> HashMap<u64, Bytes> {
    let mut seen = HashMap::new();
    let mut next = Offset::ZERO;
    let mut ended = false;
    while !ended {
        way.go(reader, next, &mut |record| match record {
            Ok(record) => {
                assert_eq!(record.offset, next, "{way:?}");
                next = next.plus(1);
                ended = record.value == "end";
                seen.insert(record.offset.get(), record.value);
                if ended {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
            Err(Error::Trimmed { offset, start, .. }) => {
                assert!(
                    offset == next && start > offset,
                    "{way:?}: {offset} {start}"
                );
                next = start;
                ControlFlow::Break(())
            }
            Err(error) => panic!("{way:?}: {error:?}"),
        });
    }
    seen
}

/// Threads that see all that `reader` shows, each in its own way.
fn see_in_all_ways<'scope>(
    scope: &'scope Scope<'scope, '_>,
    reader: &Reader,
) -> [thread::ScopedJoinHandle<'scope, HashMap<u64, Bytes>>; 5] {
    ALL_WAYS.map(|way| {
        let reader = reader.clone();
        scope.spawn(move || see(way, &reader))
    })
}

#[test]
fn a_timeout_of_zero_never_waits_and_takes_nothing() {
    let log = open(&SimDisk::new(), &options(Durability::Synced));
    let mut follower = log.follow(0);
    for number in 0..3 {
        let nothing = follower.next_timeout(Duration::ZERO);
        assert!(matches!(nothing, Err(NextTimeoutError::TimedOut)));
        log.append(number.to_string()).unwrap();
        let record = follower.next_timeout(Duration::ZERO).unwrap();
        assert_eq!(record.value, number.to_string());
    }
}

#[test]
fn who_waits_with_a_timeout_is_woken_by_the_append() {
    watched(|| {
        let log = open(&SimDisk::new(), &options(Durability::Synced));
        let mut records = log.follow(0);
        let signal = Signal::new();
        let (looked, has_looked) = channel();
        let next = move || {
            let next = records.try_next()?;
            looked.send(()).unwrap();
            Ok(next)
        };
        let mut follower = Follow::new(next, &signal);
        thread::scope(|scope| {
            let waiting = scope.spawn(move || follower.next_timeout(Duration::MAX));
            // The second look comes once it would be woken.
            has_looked.recv().unwrap();
            has_looked.recv().unwrap();
            log.append("news").unwrap();
            signal.notify();
            assert_eq!(waiting.join().unwrap().unwrap().value, "news");
        });
        let mut follower = log.follow(1);
        thread::scope(|scope| {
            let waiting = scope.spawn(move || follower.next_timeout(Duration::MAX));
            log.append("more").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap().value, "more");
        });
    });
}

#[test]
fn a_follower_with_a_timeout_says_why_it_has_ended_each_time() {
    let log = open(&SimDisk::new(), &options(Durability::Synced));
    log.append_batch(["a", "b"]).unwrap();
    let mut failed = log.follow(0);
    log.trim(1).unwrap();
    let mut closed = log.follow(1);
    assert_eq!(closed.next_timeout(Duration::MAX).unwrap().value, "b");
    for _ in 0..2 {
        let ended = failed.next_timeout(Duration::MAX);
        assert!(matches!(
            ended,
            Err(NextTimeoutError::Failed(Error::Trimmed { .. }))
        ));
    }
    log.close().unwrap();
    for _ in 0..2 {
        let ended = closed.next_timeout(Duration::MAX);
        assert!(matches!(ended, Err(NextTimeoutError::Closed)));
    }
    assert!(closed.next().is_none(), "it is fused");
}

#[test]
fn every_record_is_seen_once_and_in_order_or_is_said_to_be_trimmed() {
    const EACH: usize = 300;
    watched(|| {
        for durability in ALL_DURABILITIES {
            let disk = SimDisk::new();
            let log = open(&disk, &options(durability));
            let acknowledged = Mutex::new(HashMap::new());
            thread::scope(|scope| {
                let seen = see_in_all_ways(scope, &log.reader(Visibility::Acknowledged));
                let writers = [0, 1].map(|writer| {
                    let (log, acknowledged) = (&log, &acknowledged);
                    scope.spawn(move || {
                        for number in 0..EACH {
                            let value = Bytes::from(format!("{writer} {number:80}"));
                            let offset = log.append(value.clone()).unwrap();
                            acknowledged.lock().unwrap().insert(offset.get(), value);
                        }
                    })
                });
                // It trims a little, and now and then all there is.
                for round in 0.. {
                    let range = log.start_offset().get()..log.end_offset().get();
                    let start = if round % 5 == 0 {
                        range.end
                    } else {
                        range.end.min(range.start + 7)
                    };
                    log.trim(start).unwrap();
                    if writers.iter().all(thread::ScopedJoinHandle::is_finished) {
                        break;
                    }
                }
                for writer in writers {
                    writer.join().unwrap();
                }
                log.append("end").unwrap();
                let acknowledged = acknowledged.lock().unwrap();
                for seen in seen {
                    for (offset, value) in seen.join().unwrap() {
                        assert!(value == "end" || acknowledged[&offset] == value);
                    }
                }
            });
            assert_eq!(log.end_offset(), Offset::new(2 * EACH as u64 + 1));
        }
    });
}

/// Publishes, truncates and trims a log to which others append, until they have ended; returns what was
/// published at each offset.
fn lead(log: &Log, ended: impl Fn() -> bool) -> HashMap<u64, Bytes> {
    let mut published = HashMap::new();
    let mut next = Offset::ZERO;
    for round in 0.. {
        let has_ended = ended();
        let acknowledged = log.reader(Visibility::Acknowledged);
        let end = acknowledged.end_offset();
        // Half of it, if others may still come.
        let half = Offset::new((next.get() + end.get()).div_ceil(2));
        for record in acknowledged.records(next..) {
            let record = record.unwrap();
            if record.offset >= half.get() {
                break;
            }
            published.insert(record.offset.get(), record.value);
        }
        log.publish(half).unwrap();
        next = half;
        if round % 2 == 0 {
            log.truncate(half.plus(end.since(half) / 2)).unwrap();
        }
        if round % 3 == 0 {
            log.trim(Offset::new(next.get().saturating_sub(3)).max(log.start_offset()))
                .unwrap();
        }
        if round % 4 == 0 {
            let past = log.trim(next.plus(1)).unwrap_err();
            assert_eq!(past.kind(), ErrorKind::OutOfRange, "only what is published");
        }
        if has_ended {
            break;
        }
    }
    published
}

#[test]
fn what_was_published_is_seen_once_and_in_order_while_what_comes_behind_it_is_truncated() {
    const EACH: usize = 300;
    watched(|| {
        for durability in ALL_DURABILITIES {
            let disk = SimDisk::new();
            let options = options(durability).visibility(Visibility::Published);
            let log = open(&disk, &options);
            let running = AtomicU64::new(2);
            thread::scope(|scope| {
                let seen = see_in_all_ways(scope, &log.reader(Visibility::Published));
                // They may see what is dropped, and go on.
                let others = ALL_WAYS.map(|way| {
                    let reader = log.reader(Visibility::Acknowledged);
                    scope.spawn(move || until_closed(way, &reader))
                });
                let writers = [0, 1].map(|writer| {
                    let (log, running) = (&log, &running);
                    scope.spawn(move || {
                        for number in 0..EACH {
                            let value = format!("{writer} {number:80}");
                            let ticket = log.submit(value).unwrap();
                            // Truncated or not, it was durable.
                            ticket.wait().unwrap();
                        }
                        running.fetch_sub(1, Ordering::AcqRel);
                    })
                });
                let mut published = lead(&log, || running.load(Ordering::Acquire) == 0);
                for writer in writers {
                    writer.join().unwrap();
                }
                let next = log.end_offset();
                log.truncate(next).unwrap();
                let end = log.append("end").unwrap();
                published.insert(end.get(), "end".into());
                log.publish(end.plus(1)).unwrap();
                for seen in seen {
                    for (offset, value) in seen.join().unwrap() {
                        assert_eq!(published[&offset], value, "{offset}");
                    }
                }
                log.close().unwrap();
                for other in others {
                    other.join().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_ticket_is_woken_whoever_has_the_lead_when_it_begins_to_wait() {
    watched(|| {
        for durability in ALL_DURABILITIES {
            // One writer has nobody but those who trim to be woken by.
            wait_while_others_lead(durability, 1, 2000);
            wait_while_others_lead(durability, 4, 300);
        }
    });
}

/// So many writers wait for each of their appends while the log is trimmed; if there are several, it is
/// truncated and synced, too.
fn wait_while_others_lead(durability: Durability, writers: u64, each: u64) {
    let disk = SimDisk::new();
    let log = open(&disk, &options(durability));
    let running = AtomicU64::new(writers);
    thread::scope(|scope| {
        for writer in 0..writers {
            let (log, running) = (&log, &running);
            scope.spawn(move || {
                for number in 0..each {
                    let ticket = log.submit(format!("{writer} {number:50}")).unwrap();
                    if (writer + number) % 2 == 0 {
                        ticket.wait().unwrap();
                    } else {
                        block_on(ticket).unwrap();
                    }
                }
                running.fetch_sub(1, Ordering::AcqRel);
            });
        }
        for round in 0.. {
            if running.load(Ordering::Acquire) == 0 {
                break;
            }
            match round % 4 {
                1 if writers > 1 => log.truncate(log.end_offset()).unwrap(),
                2 if writers > 1 => log.sync().unwrap(),
                3 => drop(log.retain().unwrap()),
                _ => log.trim(log.end_offset()).unwrap(),
            }
        }
    });
}

type Change = fn(&Log) -> Result<(), Error>;

const CHANGES: [Change; 4] = [
    |log| log.append(format!("{:80}", 0)).map(drop),
    |log| log.submit(format!("{:80}", 0))?.wait().map(drop),
    |log| log.trim(log.start_offset().plus(3).min(log.end_offset())),
    |log| log.retain().map(drop),
];

#[test]
fn closing_ends_whoever_follows_appends_trims_or_waits() {
    watched(|| {
        for round in 0..30 {
            let disk = SimDisk::new();
            let durability = ALL_DURABILITIES[round % 3];
            let options = options(durability).retention(Retention::new().records(20));
            let log = open(&disk, &options);
            let begun = AtomicBool::new(false);
            let reader = log.reader(Visibility::Acknowledged);
            let closed = thread::scope(|scope| {
                let readers = ALL_WAYS.map(|way| {
                    let reader = reader.clone();
                    scope.spawn(move || until_closed(way, &reader))
                });
                let threads = CHANGES.map(|change| {
                    let (begun, log) = (&begun, &log);
                    scope.spawn(move || {
                        loop {
                            match change(log) {
                                Ok(()) => begun.store(true, Ordering::Relaxed),
                                Err(error) => return error.kind(),
                            }
                        }
                    })
                });
                while !begun.load(Ordering::Relaxed) || reader.end_offset() < Offset::new(60) {
                    thread::yield_now();
                }
                log.close().unwrap();
                for reader in readers {
                    reader.join().unwrap();
                }
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(closed, [ErrorKind::Closed; 4]);
            let again = open(&disk, &options);
            assert!(again.end_offset() >= Offset::new(60));
            again.append("goes on").unwrap();
        }
    });
}

/// Sees records in their order, if not all, until the log is closed.
fn until_closed(way: Way, reader: &Reader) {
    let mut next = Offset::ZERO;
    let mut closed = false;
    while !closed {
        way.go(reader, next, &mut |record| match record {
            Ok(record) => {
                assert_eq!(record.offset, next);
                next = next.plus(1);
                ControlFlow::Continue(())
            }
            Err(Error::Trimmed { start, .. }) => {
                next = start;
                ControlFlow::Break(())
            }
            // The newest were truncated, and there may be others in their place.
            Err(Error::OutOfRange { .. }) => {
                next = reader.start_offset();
                ControlFlow::Break(())
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed, "{way:?}: {error:?}");
                closed = true;
                ControlFlow::Break(())
            }
        });
    }
}
