//! Followers: none misses a record, none waits for what is there, and all end with the log.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use proglog_log::{ErrorKind, Follow, Log, MemoryLog, RecvTimeoutError};
use shuttle::future::block_on;
use shuttle::thread::{JoinHandle, spawn};

use super::appending::wait;
use crate::tasks::{choose, join};
use crate::world::{World, long, options, text};

/// Follows until it has seen this many records: blocks for them, or polls.
pub(super) fn take(mut follower: Follow, number: u64) -> JoinHandle<(Follow, Vec<String>)> {
    spawn(move || {
        let is_patient = choose(2) == 0;
        let mut seen = Vec::new();
        for offset in 0..number {
            let record = loop {
                if is_patient {
                    break follower.next().expect("it waits").expect("nothing fails");
                }
                match follower.recv_timeout(Duration::from_secs(1)) {
                    Ok(record) => break record,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(error) => panic!("nothing fails: {error:?}"),
                }
            };
            assert_eq!(record.offset, offset, "one is missing, or doubled");
            seen.push(text(&record).to_owned());
        }
        (follower, seen)
    })
}

/// Follows to the end of a closed log.
pub(super) fn end(mut follower: Follow) -> JoinHandle<()> {
    spawn(move || {
        let last = follower.next().expect("it waits for the end");
        let error = last.expect_err("no record is left");
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(follower.next().is_none(), "it has ended");
    })
}

/// As [`take`] and [`end`], of the log as a stream: no record is there after `number`.
fn stream(follower: Follow, number: u64) -> JoinHandle<()> {
    spawn(move || {
        let mut stream = pin!(follower.into_stream());
        let mut next = 0;
        loop {
            match block_on(stream.next()).expect("it waits for the end") {
                Ok(record) => {
                    assert_eq!(record.offset, next, "one is missing, or doubled");
                    next += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Closed);
                    assert!(next <= number);
                    return;
                }
            }
        }
    })
}

/// Writers, two threads that follow them over the segments and wait for the end, and a stream.
pub(crate) fn follow() -> String {
    let world = World::open(options());
    let number = 4;
    let taking = [(); 2].map(|()| take(world.log.follow(0), number));
    let streaming = stream(world.log.follow(0), number);
    let writers = ["a", "b"].map(|name| {
        world.spawn(move |world| {
            for record in ["0.", "1."] {
                let value = long(&format!("{name}{record}"));
                world.append(&value).expect("nothing fails");
            }
        })
    });
    join(writers);
    let mut ending = vec![streaming];
    for (follower, seen) in join(taking) {
        for (offset, value) in (0..).zip(&seen) {
            world.saw(offset, value);
        }
        ending.push(end(follower));
    }
    world.log.close().expect("nothing fails");
    join(ending);
    world.end()
}

/// As [`follow`], on the log in memory, which has locks of its own.
pub(crate) fn memory() -> String {
    let log = MemoryLog::new();
    let number = 4;
    let taking = [(); 2].map(|()| take(log.follow(0), number));
    let streaming = stream(log.follow(0), number);
    let writers = ["a", "b"].map(|name| {
        let log = log.clone();
        spawn(move || {
            for number in ["0", "1"] {
                log.append(format!("{name}{number}"))
                    .expect("nothing fails");
            }
        })
    });
    join(writers);
    let (followers, seen): (Vec<_>, Vec<_>) = join(taking).into_iter().unzip();
    assert_eq!(seen[0], seen[1]);
    let mut ending = vec![streaming];
    ending.extend(followers.into_iter().map(end));
    log.close().expect("nothing fails");
    join(ending);
    format!("{:?}", seen[0])
}

/// Closes a log on two threads while others append, wait for their tickets, and follow. Appends that do not fail are
/// kept, and the log can be opened again after the close.
pub(crate) fn close() -> String {
    let world = World::open(options());
    let appending = world.spawn(|world| {
        for value in ["a0.", "a1."].map(long) {
            if let Err(error) = world.append(&value) {
                assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
            }
        }
    });
    let submitting = world.spawn(|world| {
        let value = long("b0.");
        match world.log.submit(value.clone()) {
            Ok(ticket) => {
                let offset = wait(ticket).expect("what was submitted is finished").start;
                world.outcome(&value, Ok(offset.get())).expect("so it is");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}"),
        }
    });
    let following = stream(world.log.follow(0), 3);
    let mut follower = world.log.follow(0);
    let waiting = spawn(move || {
        let error = follower.find_map(Result::err);
        let error = error.expect("it waits for the end");
        assert_eq!(error.kind(), ErrorKind::Closed);
    });
    let closing = world.spawn(|world| world.log.close().expect("nothing fails"));
    world.log.close().expect("nothing fails");
    let other = Log::open_in(world.disk.directory(), &options());
    let other = other.expect("it is nobody's");
    for (offset, record) in (0..).zip(other.records(0..)) {
        world.saw(offset, text(&record.expect("nothing fails")));
    }
    drop(other);
    join([appending, submitting, following, waiting, closing]);
    world.end()
}
