//! Followers and streams.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use proglog_log::{CommitLog, ErrorKind, Follow, MemoryLog, Notify, Offset, StoredRecord};
use proglog_store::testing::SimDisk;

use crate::support::{append, open, value};

#[test]
fn a_follower_that_waits_for_some_time_is_woken_within_it() {
    let signal = Notify::new();
    let (waker, mut looks) = (signal.clone(), 0);
    let mut follower = Follow::new(
        move || {
            looks += 1;
            // It checks, listens, and checks again before it waits.
            if looks == 2 {
                waker.notify_waiters();
            }
            Ok((looks > 2).then(|| StoredRecord::new(0, SystemTime::now(), "news")))
        },
        &signal,
    );
    let record = follower.recv_timeout(Duration::from_mins(1));
    assert_eq!(record.unwrap().value, "news");
}

#[test]
fn a_follower_gets_what_is_there_and_what_comes_and_then_the_end() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    let (sender, receiver) = channel();
    let follower = log.follow(15);
    let thread = thread::spawn(move || {
        for record in follower {
            sender.send(record.map(|record| record.offset)).unwrap();
        }
    });
    for expected in 15..20 {
        assert_eq!(receiver.recv().unwrap().unwrap(), expected);
    }
    for expected in 20..50 {
        append(&log, expected..expected + 1);
        assert_eq!(receiver.recv().unwrap().unwrap(), expected);
    }
    log.close().unwrap();
    assert_eq!(
        receiver.recv().unwrap().unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(receiver.recv().is_err(), "it has ended");
    thread.join().unwrap();
}

#[test]
fn a_waiting_follower_is_woken_by_truncation_reset_and_trim() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    let waiting = |from: u64| {
        let mut follower = log.follow(from);
        thread::spawn(move || follower.next().unwrap().map(|record| record.offset))
    };
    let behind = waiting(20);
    log.truncate(10).unwrap();
    let error = behind.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    let at_end = waiting(10);
    log.reset(30).unwrap();
    assert_eq!(
        at_end.join().unwrap().unwrap_err().kind(),
        ErrorKind::Trimmed
    );
    let at_end = waiting(30);
    append(&log, 30..31);
    assert_eq!(at_end.join().unwrap().unwrap(), 30);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The simplest async runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_stream_yields_what_is_there_and_what_comes_on_any_runtime() {
    let disk = SimDisk::new();
    let logs: [Arc<dyn CommitLog>; 2] = [Arc::new(open(&disk)), Arc::new(MemoryLog::new())];
    for log in logs {
        let mut stream = log.follow(Offset::ZERO).into_stream();
        for offset in 0..600 {
            log.append(value(offset).into()).unwrap();
        }
        for expected in 0..600 {
            assert_eq!(block_on(stream.next()).unwrap().unwrap().offset, expected);
        }
        let mut next = stream.next();
        let waker = Waker::noop();
        let poll = pin!(&mut next).poll(&mut Context::from_waker(waker));
        assert!(poll.is_pending());
        let writer = Arc::clone(&log);
        let thread = thread::spawn(move || writer.append(value(600).into()).unwrap());
        assert_eq!(block_on(next).unwrap().unwrap().offset, 600);
        thread.join().unwrap();
        log.close().unwrap();
        let error = block_on(stream.next()).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(block_on(stream.next()).is_none());
    }
}
