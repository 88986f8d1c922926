//! Dropping the oldest records, or the newest, of a log that is in use.

use proglog_log::{ErrorKind, Log, Visibility};

use super::following::{end, take};
use crate::tasks::{choose, join};
use crate::world::{World, long, options, text};

/// A writer that fills segments, two that trim down to any record that they see, and readers.
pub(crate) fn trim() -> String {
    let world = World::open(options());
    for value in ["b0.", "b1."].map(long) {
        world.append(&value).expect("nothing fails");
    }
    let writing = world.spawn(|world| {
        for number in 0..3 {
            let value = long(&format!("a{number}."));
            world.append(&value).expect("nothing fails");
        }
    });
    let mut threads = vec![writing];
    for _ in 0..2 {
        threads.push(world.spawn(|world| {
            for _ in 0..2 {
                let end = world.log.end_offset().get();
                let start = end - choose(3).min(end);
                world.trims(start);
                world.log.trim(start).expect("nothing fails");
                assert!(world.log.start_offset().get() >= start, "it is trimmed");
            }
        }));
    }
    threads.push(world.spawn_reader());
    join(threads);
    world.end()
}

/// Publishes some records, truncates the log to them while others are appended, and publishes more: readers of published
/// records see each offset once, with its final record.
pub(crate) fn truncate() -> String {
    let world = World::open(options());
    let log = &world.log;
    let append = |log: &Log, value: String| {
        let offset = log.append(value.clone()).expect("nothing fails");
        (offset.get(), value)
    };
    let following = take(log.reader(Visibility::Committed).follow(0), 2);
    let other = world.spawn(move |world| ["b0.", "b1."].map(|name| append(&world.log, long(name))));
    let reading = world.spawn(|world| glance(&world.log));
    let mut appended = vec![append(log, long("a0.")), append(log, long("a1."))];
    log.set_high_watermark(1).expect("there is one");
    log.truncate(1).expect("nothing fails");
    appended.push(append(log, long("a2.")));
    log.set_high_watermark(2).expect("there are two");
    appended.extend(join([other]).concat());
    for glance in join([reading]).concat() {
        assert!(appended.contains(&glance), "{glance:?} was never there");
    }
    let (follower, seen) = join([following]).remove(0);
    for (offset, record) in (0..).zip(log.records(0..)) {
        world.saw(offset, text(&record.expect("nothing fails")));
    }
    for (offset, value) in (0..).zip(&seen) {
        world.saw(offset, value);
    }
    let ending = end(follower);
    log.close().expect("nothing fails");
    join([ending]);
    world.end()
}

/// The view of a reader while the log is truncated.
fn glance(log: &Log) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    for offset in 0..2 {
        match log.read(offset) {
            Ok(record) => {
                assert_eq!(record.offset, offset);
                seen.push((offset, text(&record).to_owned()));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error:?}"),
        }
    }
    for record in log.records(0..) {
        match record {
            Ok(record) => seen.push((record.offset.get(), text(&record).to_owned())),
            Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error:?}"),
        }
    }
    seen
}
