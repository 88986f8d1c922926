//! Trimming, retention, truncating, resetting, following, seeking and verifying, step by step; and
//! what of it is there after reopening.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::io::ErrorKind as Io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use futures::StreamExt;
use proglog_log::{
    CommitLog, Durability, Error, ErrorKind, Log, MemoryLog, Offset, Options, Outcome, Retention,
    Visibility,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

const ALL_DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::MAX),
    Durability::Buffered,
];

fn options() -> Options {
    Options::new()
        .segment_bytes_max(1 << 10)
        .idle_after(Duration::MAX)
}

fn open_with(disk: &SimDisk, options: &Options) -> Log {
    Log::open_in(disk.directory(), options).unwrap()
}

fn open(disk: &SimDisk) -> Log {
    open_with(disk, &options())
}

/// What the process leaves when it is killed, after a sync.
fn killed(disk: &SimDisk, log: &Log) -> SimDisk {
    log.sync().unwrap();
    disk.crash(Survivors::KeepAll)
}

/// What a power cut leaves, after a sync.
fn cut_off(disk: &SimDisk, log: &Log) -> SimDisk {
    log.sync().unwrap();
    disk.crash(Survivors::LoseAll)
}

fn value(offset: u64) -> String {
    format!("{offset:>100}")
}

/// Appends the records with these offsets.
fn append(log: &Log, offsets: std::ops::Range<u64>) {
    for offset in offsets {
        assert_eq!(log.append(value(offset)).unwrap(), Offset::new(offset));
    }
}

/// The log has just the records with these offsets, and everything that reads says so.
fn holds(log: &Log, offsets: std::ops::Range<u64>) {
    assert_eq!(log.start_offset().get()..log.end_offset().get(), offsets);
    let found = log.records(offsets.start).map(|record| record.unwrap());
    let found = found.map(|record| (record.offset, record.value));
    let expected = offsets.clone().map(|offset| (offset, value(offset).into()));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for offset in offsets.clone() {
        assert_eq!(log.read(offset).unwrap().value, value(offset));
    }
    if let Some(below) = offsets.start.checked_sub(1) {
        assert_eq!(log.read(below).unwrap_err().kind(), ErrorKind::Trimmed);
        let first = log.records(below).next().unwrap();
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Trimmed);
    }
    let past = log.read(offsets.end).unwrap_err().kind();
    assert_eq!(past, ErrorKind::OutOfRange);
}

fn segments(disk: &SimDisk) -> Vec<u64> {
    let names = disk.file_names();
    let bases = names.iter().filter_map(|name| name.strip_suffix(".log"));
    bases.map(|base| base.parse().unwrap()).collect()
}

#[test]
fn trimming_is_exact_to_the_record_down_to_an_empty_log() {
    for durability in ALL_DURABILITIES {
        let options = options().durability(durability);
        let disk = SimDisk::new();
        let log = open_with(&disk, &options);
        append(&log, 0..40);
        for start in 0..=40 {
            log.trim(start).unwrap();
            holds(&log, start..40);
            holds(&open_with(&killed(&disk, &log), &options), start..40);
            holds(&open_with(&cut_off(&disk, &log), &options), start..40);
        }
        assert_eq!(segments(&disk), [40], "the space is given back");
        append(&log, 40..60);
        log.trim(10).unwrap();
        holds(&log, 40..60);
        assert_eq!(log.trim(61).unwrap_err().kind(), ErrorKind::OutOfRange);
        log.close().unwrap();
        assert_eq!(log.trim(50).unwrap_err().kind(), ErrorKind::Closed);
        holds(&open_with(&disk, &options), 40..60);
    }
}

#[test]
fn a_trimmed_segment_whose_file_came_back_is_removed_at_opening() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let before = disk.deep_clone();
    log.trim(30).unwrap();
    log.close().unwrap();
    let (all, left) = (segments(&before), segments(&disk));
    assert!(left.len() < all.len());
    // Any of them may come back.
    for base in all.iter().filter(|base| !left.contains(base)) {
        let disk = disk.deep_clone();
        for name in [format!("{base:020}.log"), format!("{base:020}.index")] {
            disk.write_file(&name, &before.read_file(&name));
        }
        holds(&open(&disk), 30..40);
        assert_eq!(segments(&disk), left);
    }
}

#[test]
fn an_iterator_tells_that_its_next_record_was_trimmed_and_a_record_stays_with_its_holder() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let mut records = log.records(0);
    let first = records.next().unwrap().unwrap();
    log.trim(20).unwrap();
    let error = records.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Trimmed { offset, start, end }
        if (offset.get(), start.get(), end.get()) == (1, 20, 40)));
    assert!(records.next().is_none(), "it has ended");
    assert_eq!(first.value, value(0));
}

#[test]
fn truncating_drops_the_newest_records_and_what_comes_next_takes_their_offsets() {
    for durability in ALL_DURABILITIES {
        let options = options().durability(durability);
        for end in 0..=30 {
            let disk = SimDisk::new();
            let log = open_with(&disk, &options);
            append(&log, 0..30);
            log.truncate(end).unwrap();
            holds(&log, 0..end);
            holds(&open_with(&killed(&disk, &log), &options), 0..end);
            holds(&open_with(&cut_off(&disk, &log), &options), 0..end);
            append(&log, end..end + 12);
            holds(&log, 0..end + 12);
            holds(&open_with(&killed(&disk, &log), &options), 0..end + 12);
            log.close().unwrap();
            let log = open_with(&disk, &options);
            holds(&log, 0..end + 12);
            assert!(log.verify().unwrap().damaged.is_empty());
        }
    }
}

#[test]
fn readers_of_what_is_kept_notice_no_cut() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let mut kept = log.records(0);
    let mut dropped = log.records(40);
    let mut follower = log.follow(0);
    for offset in 0..5 {
        assert_eq!(kept.next().unwrap().unwrap().offset, offset);
        assert_eq!(dropped.next().unwrap().unwrap().offset, 40 + offset);
        assert_eq!(follower.next().unwrap().unwrap().offset, offset);
    }
    log.truncate(30).unwrap();
    let rest = kept
        .map(|record| record.unwrap().offset)
        .collect::<Vec<_>>();
    assert_eq!(rest, (5..30).collect::<Vec<_>>());
    let error = dropped.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    append(&log, 30..40);
    for offset in 5..40 {
        let record = follower.next().unwrap().unwrap();
        assert_eq!(
            (record.offset, record.value),
            (offset, value(offset).into())
        );
    }
}

#[test]
fn readers_meanwhile_see_a_log_before_or_after_it_is_cut() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let read = log.read(1);
                    assert_eq!(read.unwrap().value, value(1));
                    match log.read(25) {
                        Ok(record) => assert_eq!(record.value, value(25)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfRange),
                    }
                }
            });
        }
        for _ in 0..100 {
            log.truncate(20).unwrap();
            append(&log, 20..30);
        }
        stop.store(true, Ordering::Relaxed);
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            for offset in 0..130 {
                match log.read(offset) {
                    Ok(record) => assert_eq!(record.value, value(offset)),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Trimmed | ErrorKind::OutOfRange),
                        "{error:?}"
                    ),
                }
            }
        });
        for end in 30..130 {
            append(&log, end..end + 1);
            log.trim(end + 1).unwrap();
        }
    });
}

#[test]
fn what_was_published_and_taken_back_is_published_no_more() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let reader = log.reader(Visibility::Published);
    let ticket = log.submit("committed").unwrap();
    log.publish(1).unwrap();
    disk.inject(
        When::Next(CallKind::Write, 0),
        Fault::error(Io::StorageFull),
    );
    ticket.wait().unwrap_err();
    log.append("another").unwrap();
    assert_eq!(reader.end_offset(), Offset::ZERO);
    log.publish(1).unwrap();
    assert_eq!(reader.read(0).unwrap().value, "another");
}

#[test]
fn an_append_that_nobody_waits_for_is_synced_once_the_log_is_idle() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().idle_after(Duration::from_millis(1)));
    drop(log.submit("left alone").unwrap());
    let record = log.follow(0).next().unwrap().unwrap();
    assert_eq!(record.value, "left alone");
}

#[test]
fn a_log_in_memory_takes_appends_however_it_is_made() {
    let log = MemoryLog::default();
    assert_eq!(log.append("one".into()).unwrap(), Offset::ZERO);
}

#[test]
fn truncating_goes_no_further_than_the_log() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    log.trim(12).unwrap();
    let error = log.truncate(11).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { offset, start, end }
        if (offset.get(), start.get(), end.get()) == (11, 12, 30)));
    assert_eq!(log.truncate(31).unwrap_err().kind(), ErrorKind::OutOfRange);
    log.truncate(30).unwrap();
    holds(&log, 12..30);
    log.truncate(12).unwrap();
    holds(&log, 12..12);
    append(&log, 12..14);
    holds(&log, 12..14);
    holds(&open(&killed(&disk, &log)), 12..14);
}

#[test]
fn truncating_settles_what_was_submitted_and_fails_nothing_that_is_dropped() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let tickets = [log.submit("a").unwrap(), log.submit("b").unwrap()];
    log.truncate(1).unwrap();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(log.end_offset(), Offset::new(1));
}

#[test]
fn a_log_that_is_reset_goes_on_from_the_offset_given() {
    for durability in ALL_DURABILITIES {
        let options = options().durability(durability);
        let disk = SimDisk::new();
        let log = open_with(&disk, &options);
        append(&log, 0..30);
        let error = log.reset(29).unwrap_err();
        assert!(matches!(error, Error::ResetBelowEnd { next, end }
            if (next.get(), end.get()) == (29, 30)));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for next in [30, 30, 1000] {
            log.reset(next).unwrap();
            holds(&log, next..next);
            holds(&open_with(&killed(&disk, &log), &options), next..next);
        }
        append(&log, 1000..1020);
        holds(&log, 1000..1020);
        holds(&open_with(&killed(&disk, &log), &options), 1000..1020);
        assert!(segments(&disk)[0] == 1000);
    }
}

#[test]
fn an_append_that_there_are_no_offsets_for_is_refused() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.reset(u64::MAX - 2).unwrap();
    let refused = |records: usize| {
        let error = log.append_batch(vec!["more"; records]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert_eq!(error.outcome(), Outcome::NotAppended);
    };
    refused(3);
    append(&log, u64::MAX - 2..u64::MAX - 1);
    refused(2);
    append(&log, u64::MAX - 1..u64::MAX);
    refused(1);
    holds(&log, u64::MAX - 2..u64::MAX);
    holds(&open(&killed(&disk, &log)), u64::MAX - 2..u64::MAX);
}

#[test]
fn retention_by_records_and_bytes_keeps_at_least_what_it_says() {
    let records = Retention::new().records(25);
    let bytes = Retention::new().bytes(3000);
    for (policy, newest) in [(records, 25), (bytes, 3000 / 150)] {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().retention(policy));
        append(&log, 0..100);
        let start = log.retain().unwrap().get();
        assert!((50..=100 - newest).contains(&start), "{start}");
        holds(&log, start..100);
        log.close().unwrap();
        let log = open_with(&disk, &options());
        assert_eq!(log.retain().unwrap().get(), start, "no policy, no change");
        holds(&log, start..100);
    }
}

#[test]
fn retention_by_age_drops_what_is_old_and_never_what_a_timestamp_only_claims_to_be() {
    let disk = SimDisk::new();
    let day = Duration::from_hours(24);
    let log = open_with(&disk, &options().retention(Retention::new().age(day)));
    for micros in [i64::MIN, 0, i64::MAX] {
        let record = proglog_log::Record::new(value(0)).with_timestamp(micros);
        log.append_batch(vec![record; 10]).unwrap();
    }
    assert_eq!(log.retain().unwrap(), Offset::ZERO);
    log.close().unwrap();
    let log = open_with(
        &disk,
        &options().retention(Retention::new().age(Duration::ZERO)),
    );
    // A background thread may have been first.
    assert_eq!(
        log.retain().unwrap(),
        Offset::new(30),
        "all are older than nothing"
    );
    assert_eq!(log.append(value(30)).unwrap(), Offset::new(30));
}

#[test]
fn rolling_carries_out_retention_in_the_background() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().retention(Retention::new().records(1)));
    let mut follower = log.follow(0);
    append(&log, 0..100);
    // It is woken when records are dropped.
    loop {
        match follower.next_timeout(Duration::from_mins(1)) {
            Err(Error::Trimmed { .. }) => break,
            record => _ = record.unwrap().expect("it is trimmed at some time"),
        }
        if log.start_offset() > Offset::ZERO {
            break;
        }
        append(&log, log.end_offset().get()..log.end_offset().get() + 1);
    }
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
fn a_follower_that_waits_is_told_of_truncating_resetting_and_trimming() {
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

#[test]
fn a_reader_sees_as_far_as_its_visibility_says() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().visibility(Visibility::Published));
    let ends = || {
        [
            Visibility::Published,
            Visibility::Acknowledged,
            Visibility::Appended,
        ]
        .map(|visibility| {
            let reader = log.reader(visibility);
            let end = reader.end_offset().get();
            assert_eq!(reader.records(0).count() as u64, end);
            for offset in 0..end {
                assert_eq!(reader.read(offset).unwrap().offset, offset);
            }
            assert_eq!(reader.read(end).unwrap_err().kind(), ErrorKind::OutOfRange);
            end
        })
    };
    for offset in 0..20 {
        log.append(value(offset)).unwrap();
    }
    assert_eq!(ends(), [0, 20, 20]);
    assert_eq!(log.end_offset(), Offset::ZERO);
    let ticket = log.submit(value(20)).unwrap();
    assert_eq!(ends(), [0, 20, 21]);
    log.publish(13).unwrap();
    log.publish(5).unwrap();
    assert_eq!(ends(), [13, 20, 21]);
    log.publish(21).unwrap();
    assert_eq!(ends(), [20, 20, 21], "what is published is acknowledged");
    assert_eq!(log.publish(22).unwrap_err().kind(), ErrorKind::OutOfRange);
    ticket.wait().unwrap();
    assert_eq!(ends(), [21, 21, 21]);
    log.truncate(17).unwrap();
    assert_eq!(ends(), [17, 17, 17]);
    let error = log.trim(18).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
}

#[test]
fn what_a_failed_write_takes_back_goes_from_the_view_of_the_appended() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    let reader = log.reader(Visibility::Appended);
    let ticket = log.submit(value(3)).unwrap();
    assert_eq!(reader.end_offset(), Offset::new(4));
    disk.inject(
        When::Next(CallKind::Write, 0),
        Fault::error(Io::StorageFull),
    );
    let error = ticket.wait().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::DiskFull, Outcome::NotAppended)
    );
    assert_eq!(reader.end_offset(), Offset::new(3));
    append(&log, 3..5);
    holds(&log, 0..5);
}

#[test]
fn a_conditional_append_succeeds_only_at_the_end_that_is_assigned() {
    let disk = SimDisk::new();
    let logs: [Arc<dyn CommitLog>; 2] = [Arc::new(open(&disk)), Arc::new(MemoryLog::new())];
    for log in logs {
        let ticket = log.submit_at(Offset::ZERO, "a".into()).unwrap();
        for expected in [0, 2, u64::MAX] {
            let error = log.submit_at(expected.into(), "b".into()).unwrap_err();
            assert!(matches!(error, Error::EndMoved { expected: told, end }
                if told.get() == expected && end.get() == 1));
            assert_eq!(error.outcome(), Outcome::NotAppended);
        }
        let next = log.submit_at(Offset::new(1), "b".into()).unwrap();
        assert_eq!(ticket.wait().unwrap(), Offset::ZERO..Offset::new(1));
        assert_eq!(next.wait().unwrap(), Offset::new(1)..Offset::new(2));
    }
}

#[test]
fn seeking_by_time_finds_the_first_record_of_that_time_or_later() {
    let disk = SimDisk::new();
    let log = open(&disk);
    assert_eq!(log.offset_at(0).unwrap(), Offset::ZERO);
    append(&log, 0..50);
    log.trim(7).unwrap();
    let times = log.records(7).map(|record| record.unwrap().appended_at);
    let times = times.collect::<Vec<_>>();
    let expected = |time: i64| 7 + times.partition_point(|at| *at < time) as u64;
    for at in &times {
        for time in [at - 1, *at, at + 1] {
            assert_eq!(log.offset_at(time).unwrap().get(), expected(time));
        }
    }
    assert_eq!(log.offset_at(i64::MIN).unwrap(), Offset::new(7));
    assert_eq!(log.offset_at(i64::MAX).unwrap(), Offset::new(50));
}

#[test]
fn a_batch_read_returns_what_fits_and_at_least_one() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..50);
    for from in 0..50 {
        for bytes in [0, 1, 100, 250, 500, 1 << 20] {
            let read = log.read_batch(from, bytes).unwrap();
            for (offset, record) in (from..).zip(&read) {
                assert_eq!(
                    (record.offset, &record.value[..]),
                    (offset, value(offset).as_bytes())
                );
            }
            assert!(!read.is_empty());
            assert!(
                read.len() == 1 || read.len() * 100 <= bytes,
                "{from} {bytes}"
            );
        }
    }
    assert!(log.read_batch(0, 500).unwrap().len() >= 3);
    assert!(log.read_batch(50, 500).unwrap().is_empty());
    assert_eq!(
        log.read_batch(51, 1).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
}

#[test]
fn verifying_tells_which_records_are_damaged() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..50);
    assert_eq!(log.verify().unwrap().bytes, 5000);
    log.close().unwrap();
    for offset in [0, 1, 2, 31] {
        let names = disk.file_names();
        let damaged = names.iter().any(|name| {
            let bytes = disk.read_file(name);
            let value = value(offset).into_bytes();
            let place = bytes.windows(100).position(|window| window == value);
            if let Some(place) = place {
                disk.flip(name, place as u64, 0);
            }
            place.is_some()
        });
        assert!(damaged);
    }
    let log = open(&disk);
    let found = log.verify().unwrap();
    let range = |start, end| Offset::new(start)..Offset::new(end);
    assert_eq!(found.records, range(0, 50));
    assert_eq!(found.damaged, [range(0, 3), range(31, 32)]);
    assert_eq!(found.bytes, 4600);
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_once_there_is_room() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().durability(durability));
        disk.set_capacity(Some(100_000));
        for round in 0..4 {
            let mut appended = log.end_offset().get();
            let error = loop {
                let put = log.append(value(appended)).and_then(|_| match durability {
                    Durability::Buffered => log.sync(),
                    _ => Ok(()),
                });
                match put {
                    Ok(()) => appended += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{durability:?} {round}");
            let start = log.start_offset().get();
            let end = log.end_offset().get();
            assert!(end >= appended && end > start + 20, "{start} {end}");
            holds(&log, start..end);
            if round % 2 == 0 {
                log.trim(end).unwrap();
            } else {
                log.trim(start + 20).unwrap();
            }
            append(&log, end..end + 1);
        }
        let range = log.start_offset().get()..log.end_offset().get();
        log.close().unwrap();
        holds(&open(&disk), range);
    }
}
