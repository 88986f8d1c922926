//! Writers and readers on many threads, with rolls, failures and closing.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use proglog_log::{Durability, ErrorKind, Log, LogOptions, Offset, Outcome};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

fn options(durability: Durability) -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(4 << 10)
        .durability(durability)
}

fn open(disk: &SimDisk, durability: Durability) -> Log {
    Log::open_in(disk.directory(), &options(durability)).unwrap()
}

fn all(log: &Log) -> Vec<String> {
    log.records(0..)
        .map(|record| String::from_utf8(record.unwrap().value.to_vec()).unwrap())
        .collect()
}

#[test]
fn readers_see_every_record_once_and_in_order_while_segments_roll() {
    const WRITERS: usize = 3;
    const EACH: usize = 400;
    for durability in [
        Durability::Synced,
        Durability::INTERVAL,
        Durability::Buffered,
    ] {
        let disk = SimDisk::new();
        let log = open(&disk, durability);
        let acknowledged = Mutex::new(HashMap::new());
        let reader = || {
            let mut seen = Vec::new();
            while seen.len() < WRITERS * EACH {
                for record in log.records(seen.len() as u64..) {
                    let record = record.unwrap();
                    assert_eq!(record.offset, seen.len() as u64);
                    seen.push(record.value);
                }
                thread::yield_now();
            }
            seen
        };
        let seen = thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (log, acknowledged) = (&log, &acknowledged);
                scope.spawn(move || {
                    for number in 0..EACH {
                        let value = format!("{writer} {number}");
                        let offset = log.append(value.as_str()).unwrap();
                        assert!(log.end_offset() > offset);
                        acknowledged.lock().unwrap().insert(offset.get(), value);
                    }
                });
            }
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            readers.map(|reader| reader.join().unwrap())
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        for seen in seen {
            for (offset, value) in (0..).zip(seen) {
                assert_eq!(value, acknowledged[&offset]);
            }
        }
    }
}

#[test]
fn a_future_that_is_never_polled_again_blocks_no_other() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Synced);
    for number in 0..100 {
        let mut stalled = Box::pin(log.submit("stalled").unwrap());
        let _ = stalled
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| log.append("goes on").unwrap());
            }
        });
        assert_eq!(log.end_offset(), Offset::new((number + 1) * 5));
    }
}

#[test]
fn a_cancelled_future_does_not_cancel_its_append() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Synced);
    {
        let mut cancelled = pin!(log.submit("kept").unwrap());
        let _ = cancelled
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    }
    log.append("after").unwrap();
    assert_eq!(all(&log), ["kept", "after"]);
}

#[test]
fn an_append_that_a_full_disk_refuses_never_appears_and_others_are_kept() {
    for durability in [Durability::Synced, Durability::INTERVAL] {
        let disk = SimDisk::new();
        let log = open(&disk, durability);
        log.append("first").unwrap();
        let mut room = 40_000;
        let (mut kept, mut refused) = (vec!["first".to_owned()], Vec::new());
        for round in 0..6 {
            disk.set_capacity(Some(room));
            let outcomes = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for writer in 0..4 {
                    let (log, outcomes) = (&log, &outcomes);
                    scope.spawn(move || {
                        for number in 0..60 {
                            let value = format!("{round} {writer} {number} {:0100}", 0);
                            let outcome = log.append(value.as_str());
                            outcomes.lock().unwrap().push((value, outcome));
                        }
                    });
                }
            });
            for (value, outcome) in outcomes.into_inner().unwrap() {
                match outcome {
                    Ok(offset) => {
                        assert_eq!(log.read(offset).unwrap().value, value);
                        kept.push(value);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
                        assert_eq!(error.outcome(), Outcome::NotAppended);
                        refused.push(value);
                    }
                }
            }
            room += 15_000;
        }
        assert!(
            !refused.is_empty() && kept.len() > 100,
            "{} {}",
            refused.len(),
            kept.len()
        );
        disk.set_capacity(None);
        log.append("there is room again").unwrap();
        kept.push("there is room again".to_owned());
        let mut found = all(&log);
        found.sort();
        kept.sort();
        assert_eq!(found, kept);
        log.close().unwrap();
        let mut found = all(&open(&disk, durability));
        found.sort();
        assert_eq!(found, kept);
    }
}

#[test]
fn a_failed_sync_stops_the_log_and_loses_nothing_that_was_acknowledged() {
    for skip in 0..8 {
        let disk = SimDisk::new();
        let log = open(&disk, Durability::Synced);
        log.append("first").unwrap();
        disk.inject(
            When::Next(CallKind::Sync, skip),
            Fault::error(io::ErrorKind::Other),
        );
        let outcomes = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for writer in 0..4 {
                let (log, outcomes) = (&log, &outcomes);
                scope.spawn(move || {
                    for number in 0..20 {
                        let value = format!("{writer} {number}");
                        let outcome = log.append(value.as_str());
                        outcomes.lock().unwrap().push((value, outcome));
                    }
                });
            }
        });
        assert_eq!(log.append("more").unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(log.read(0).unwrap().value, "first", "it can still be read");
        log.close().unwrap_err();
        for survivors in [Survivors::LoseAll, Survivors::KeepAll] {
            let found = all(&open(&disk.crash(survivors), Durability::Synced));
            for (value, outcome) in outcomes.lock().unwrap().iter() {
                match outcome {
                    Ok(offset) => assert_eq!(found[usize::try_from(offset.get()).unwrap()], *value),
                    Err(error) if error.outcome() == Outcome::NotAppended => {
                        assert!(!found.contains(value), "{value}: {error}");
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Poisoned),
                }
            }
        }
    }
}

#[test]
fn an_append_during_close_is_kept_or_refused() {
    for durability in [
        Durability::Synced,
        Durability::INTERVAL,
        Durability::Buffered,
    ] {
        let disk = SimDisk::new();
        let log = open(&disk, durability);
        let begun = AtomicBool::new(false);
        let kept = thread::scope(|scope| {
            let writers = [(); 4].map(|()| {
                scope.spawn(|| {
                    let mut kept = Vec::new();
                    loop {
                        match log.append("one more") {
                            Ok(offset) => kept.push(offset.get()),
                            Err(error) if error.kind() == ErrorKind::Closed => return kept,
                            Err(error) => panic!("{error}"),
                        }
                        begun.store(true, Ordering::Relaxed);
                    }
                })
            });
            let closers = [(); 2].map(|()| {
                scope.spawn(|| {
                    while !begun.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                    log.close().unwrap();
                    // After `close` the log can be opened again, even if another thread closed it first.
                    Log::open_in(disk.directory(), &options(durability)).map(drop)
                })
            });
            let opened = closers.map(|closer| closer.join().unwrap());
            assert!(opened.iter().any(Result::is_ok), "{opened:?}");
            for opened in opened {
                let failure = opened.err().map(|error| error.kind());
                assert!(
                    matches!(failure, None | Some(ErrorKind::Locked)),
                    "{failure:?}"
                );
            }
            writers.map(|writer| writer.join().unwrap()).concat()
        });
        assert_eq!(all(&open(&disk, durability)).len(), kept.len());
    }
}

#[test]
fn an_idle_log_marks_what_is_synced_by_itself() {
    let disk = SimDisk::new();
    let log = open(&disk, Durability::Synced);
    log.append("kept").unwrap();
    let written = disk.calls();
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while disk.calls() == written {
        assert!(std::time::Instant::now() < deadline, "no mark was written");
        thread::yield_now();
    }
    let killed = disk.crash(Survivors::KeepAll);
    let store = &killed
        .file_names()
        .into_iter()
        .find(|name| name.ends_with(".log"))
        .unwrap();
    killed.flip(store, 8192 + 12, 0);
    let log = open(&killed, Durability::Synced);
    assert_eq!(log.recovery().set_aside, None);
    assert_eq!(
        log.end_offset(),
        Offset::new(1),
        "the offset is not given away again"
    );
    assert_eq!(log.read(0).unwrap_err().kind(), ErrorKind::Corrupt);
}
