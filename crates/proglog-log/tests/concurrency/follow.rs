//! Readers, followers, streams and iterators while others append, roll, trim, truncate, retain and close: each
//! record is seen once and in order, or is said to be gone, and no thread waits for ever.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};

use bytes::Bytes;
use proglog_log::{Error, ErrorKind, Log, Offset, Reader, Reason, Retention, Visibility};
use proglog_store::testing::SimDisk;

use crate::support::{ALL_DURABILITIES, open, options, watched};
use crate::ways::{ALL_WAYS, Way, see};

/// Threads that see all that `reader` shows, each in its own way.
fn see_in_all_ways<'scope>(
    scope: &'scope Scope<'scope, '_>,
    reader: &Reader,
) -> [thread::ScopedJoinHandle<'scope, HashMap<u64, Bytes>>; ALL_WAYS.len()] {
    ALL_WAYS.map(|way| {
        let reader = reader.clone();
        scope.spawn(move || see(way, &reader))
    })
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
        log.set_high_watermark(half).unwrap();
        next = half;
        if round % 2 == 0 {
            log.truncate(half.saturating_add((end - half) / 2)).unwrap();
        }
        if round % 3 == 0 {
            log.trim(Offset::new(next.get().saturating_sub(3)).max(log.start_offset()))
                .unwrap();
        }
        if round % 4 == 0 {
            let past = log.trim(next.saturating_add(1)).unwrap_err();
            assert_eq!(past.kind(), ErrorKind::OutOfRange, "only what is published");
        }
        if has_ended {
            break;
        }
    }
    published
}

#[test]
fn published_records_are_seen_once_and_in_order_while_later_ones_are_truncated() {
    const EACH: usize = 300;
    watched(|| {
        for durability in ALL_DURABILITIES {
            let disk = SimDisk::new();
            let options = options(durability).visibility(Visibility::Committed);
            let log = open(&disk, &options);
            let running = AtomicU64::new(2);
            thread::scope(|scope| {
                let seen = see_in_all_ways(scope, &log.reader(Visibility::Committed));
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
                log.set_high_watermark(end.saturating_add(1)).unwrap();
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

type Change = fn(&Log) -> Result<(), Error>;

const CHANGES: [Change; 4] = [
    |log| log.append(format!("{:80}", 0)).map(drop),
    |log| log.submit(format!("{:80}", 0))?.wait().map(drop),
    |log| log.trim(log.start_offset().saturating_add(3).min(log.end_offset())),
    |log| log.apply_retention().map(drop),
];

#[test]
fn closing_ends_followers_appends_trims_and_waits() {
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
                next = next.saturating_add(1);
                ControlFlow::Continue(())
            }
            Err(Error {
                reason: Reason::Trimmed { start, .. },
                ..
            }) => {
                next = start;
                ControlFlow::Break(())
            }
            // The newest were truncated, and there may be others in their place.
            Err(error) if error.kind() == ErrorKind::OutOfRange => {
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
