//! Waits with a timeout, and tickets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use proglog_log::{Durability, ErrorKind, Follow, Notify, RecvTimeoutError};
use proglog_store::testing::SimDisk;

use crate::support::{ALL_DURABILITIES, block_on, open, options, watched};

#[test]
fn a_timeout_of_zero_never_waits_and_takes_nothing() {
    let log = open(&SimDisk::new(), &options(Durability::Synced));
    let mut follower = log.follow(0);
    for number in 0..3 {
        let nothing = follower.recv_timeout(Duration::ZERO);
        assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
        log.append(number.to_string()).unwrap();
        let record = follower.recv_timeout(Duration::ZERO).unwrap();
        assert_eq!(record.value, number.to_string());
    }
}

#[test]
fn a_wait_with_a_timeout_is_ended_by_an_append() {
    watched(|| {
        let log = open(&SimDisk::new(), &options(Durability::Synced));
        let mut records = log.follow(0);
        let signal = Notify::new();
        let (looked, has_looked) = channel();
        let next = move || {
            let next = records.try_next()?;
            looked.send(()).unwrap();
            Ok(next)
        };
        let mut follower = Follow::new(next, &signal);
        thread::scope(|scope| {
            let waiting = scope.spawn(move || follower.recv_timeout(Duration::MAX));
            // The second check comes once it would be woken.
            has_looked.recv().unwrap();
            has_looked.recv().unwrap();
            log.append("news").unwrap();
            signal.notify_waiters();
            assert_eq!(waiting.join().unwrap().unwrap().value, "news");
        });
        let mut follower = log.follow(1);
        thread::scope(|scope| {
            let waiting = scope.spawn(move || follower.recv_timeout(Duration::MAX));
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
    assert_eq!(closed.recv_timeout(Duration::MAX).unwrap().value, "b");
    for _ in 0..2 {
        let ended = failed.recv_timeout(Duration::MAX);
        let Err(RecvTimeoutError::Failed(error)) = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(error.kind(), ErrorKind::Trimmed);
    }
    log.close().unwrap();
    for _ in 0..2 {
        let ended = closed.recv_timeout(Duration::MAX);
        assert!(matches!(ended, Err(RecvTimeoutError::Closed)));
    }
    assert!(closed.next().is_none(), "it is fused");
}

#[test]
fn a_waiting_ticket_is_woken_whichever_thread_leads() {
    watched(|| {
        for durability in ALL_DURABILITIES {
            // A single writer can only be woken by those that trim.
            wait_while_others_lead(durability, 1, 2000);
            wait_while_others_lead(durability, 4, 300);
        }
    });
}

/// Runs this number of writers, which wait for each of their appends while the log is trimmed; if there are
/// several, it is truncated and synced, too.
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
                3 => drop(log.apply_retention().unwrap()),
                _ => log.trim(log.end_offset()).unwrap(),
            }
        }
    });
}
