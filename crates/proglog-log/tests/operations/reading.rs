//! Following, seeing as far as one should, conditional appends, seeking, reading several and verifying.

use std::future::Future;
use std::io::ErrorKind as Io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use proglog_log::{
    CommitLog, Error, ErrorKind, Follow, Header, MemoryLog, Offset, Outcome, ReadOnlyLog, Record,
    RecordRef, Records, Signal, StoredRecord, Visibility,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{append, holds, open, open_with, options, value};

const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

fn far_ahead() -> SystemTime {
    SystemTime::now() + Duration::from_hours(1000)
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
    assert_eq!(log.append("one").unwrap(), Offset::ZERO);
}

#[test]
fn a_log_in_memory_syncs_until_it_is_closed() {
    let log = MemoryLog::new();
    log.append("one").unwrap();
    log.sync().unwrap();
    log.close().unwrap();
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_follower_that_waits_for_some_time_is_woken_within_it() {
    let signal = Signal::new();
    let (waker, mut looks) = (signal.clone(), 0);
    let mut follower = Follow::new(
        move || {
            looks += 1;
            // It looks, listens, and looks once more before it waits.
            if looks == 2 {
                waker.notify();
            }
            Ok((looks > 2).then(|| StoredRecord::new(0, SystemTime::now(), "news")))
        },
        &signal,
    );
    let record = follower.next_timeout(Duration::from_mins(1));
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
            assert_eq!(reader.records(0..).count() as u64, end);
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
fn a_walk_over_the_appended_yields_nothing_that_was_taken_back_before() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..1);
    let refused = (1..5).map(|_| log.submit("refused").unwrap());
    let refused = refused.collect::<Vec<_>>();
    let mut records = log.reader(Visibility::Appended).records(1..);
    assert_eq!(records.next().unwrap().unwrap().value, "refused");
    let full = Fault::error(Io::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full);
    for ticket in refused {
        ticket.wait().unwrap_err();
    }
    append(&log, 1..4);
    assert_eq!(records.next().unwrap().unwrap().value, value(2));
    assert_eq!(
        records.next_ref().unwrap().unwrap().value,
        value(3).as_bytes()
    );
    assert!(records.next().is_none());
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
fn a_log_that_is_closed_tells_its_range_all_the_same() {
    let disk = SimDisk::new();
    let logs: [Arc<dyn CommitLog>; 2] = [Arc::new(open(&disk)), Arc::new(MemoryLog::new())];
    for log in logs {
        for offset in 0..3 {
            log.append(value(offset).into()).unwrap();
        }
        log.trim(Offset::new(1)).unwrap();
        log.close().unwrap();
        assert_eq!(log.start_offset(), Offset::new(1));
        assert_eq!(log.end_offset(), Offset::new(3));
        for refused in [
            log.append("more".into()).map(drop),
            log.read(Offset::new(1)).map(drop),
            log.trim(Offset::new(2)),
            log.sync(),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
        }
    }
}

#[test]
fn seeking_by_time_finds_the_first_record_of_that_time_or_later() {
    let disk = SimDisk::new();
    let log = open(&disk);
    assert_eq!(log.offset_for_time(SystemTime::UNIX_EPOCH).unwrap(), 0);
    append(&log, 0..50);
    log.trim(7).unwrap();
    let times = log.records(7..).map(|record| record.unwrap().appended_at());
    let times = times.collect::<Vec<_>>();
    let expected = |time: SystemTime| 7 + times.partition_point(|at| *at < time) as u64;
    for at in &times {
        let micro = Duration::from_micros(1);
        for time in [*at - micro, *at, *at + micro] {
            assert_eq!(log.offset_for_time(time).unwrap(), expected(time));
        }
    }
    assert_eq!(log.offset_for_time(LONG_AGO).unwrap(), 7);
    assert_eq!(log.offset_for_time(far_ahead()).unwrap(), 50);
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
                    (record.offset.get(), &record.value[..]),
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
    let short = open(&SimDisk::new());
    short.append_batch([0, 1, 2].map(value)).unwrap();
    assert_eq!(short.read_batch(0, 300).unwrap().len(), 3);
    assert_eq!(short.read_batch(0, 299).unwrap().len(), 2);
    assert!(log.read_batch(50, 500).unwrap().is_empty());
    assert_eq!(
        log.read_batch(51, 1).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
}

/// Flips a bit of the value that tells this offset.
fn damage(disk: &SimDisk, offset: u64) {
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

#[test]
fn verifying_tells_which_records_are_damaged() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..50);
    assert_eq!(log.verify().unwrap().bytes, 5000);
    log.close().unwrap();
    for offset in [0, 1, 2, 31] {
        damage(&disk, offset);
    }
    let log = open(&disk);
    let found = log.verify().unwrap();
    let range = |start, end| Offset::new(start)..Offset::new(end);
    assert_eq!(found.records, range(0, 50));
    assert_eq!(found.damaged, [range(0, 3), range(31, 32)]);
    assert_eq!(found.bytes, 4600);
}

#[test]
fn a_damaged_record_is_passed_by_a_search_for_a_time_and_ends_a_batch_that_is_read() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..8);
    let times: Vec<_> = log
        .records(0..)
        .map(|record| record.unwrap().appended_at())
        .collect();
    log.close().unwrap();
    for offset in [3, 4, 7] {
        damage(&disk, offset);
    }
    let log = open(&disk);
    // A damaged record counts as appended with the one behind it.
    let counted = [0, 1, 2, 5, 5, 5, 6].map(|readable| times[readable]);
    for time in times.iter().copied().chain([LONG_AGO, far_ahead()]) {
        let expected = counted.partition_point(|at| *at < time) as u64;
        assert_eq!(log.offset_for_time(time).unwrap(), expected);
    }
    let other = ReadOnlyLog::open_in(disk.directory()).unwrap();
    for read in [log.read_batch(1, 1 << 20), other.read_batch(1, 1 << 20)] {
        assert!(
            read.unwrap()
                .iter()
                .map(|record| record.offset.get())
                .eq(1..3)
        );
    }
    for read in [log.read_batch(3, 1 << 20), other.read_batch(3, 1 << 20)] {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_search_for_a_time_tells_what_keeps_it_from_reading() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    log.close().unwrap();
    assert_eq!(
        log.offset_for_time(LONG_AGO).unwrap_err().kind(),
        ErrorKind::Closed
    );
    let log = open(&disk);
    for name in disk.file_names() {
        disk.fail_reads(&name, 0..1 << 20);
    }
    assert_eq!(
        log.offset_for_time(LONG_AGO).unwrap_err().kind(),
        ErrorKind::Io
    );
}

#[test]
fn verifying_counts_keys_and_headers_as_the_limit_on_a_record_does() {
    let disk = SimDisk::new();
    let header = Header {
        name: "ab".into(),
        value: "cde".into(),
    };
    let mut record = Record::new("value").with_key("key");
    record.headers.push(header);
    let size = 5 + 3 + (2 + 3 + 32);
    let log = open_with(&disk, &options().record_bytes_max(size - 1));
    let refused = log.append(record.clone()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    log.close().unwrap();
    let log = open_with(&disk, &options().record_bytes_max(size));
    log.append(record.clone()).unwrap();
    assert_eq!(log.verify().unwrap().bytes, size as u64);
    assert_eq!(
        log.records(0..).next_ref().unwrap().unwrap().to_record(),
        log.read(0).unwrap()
    );
}

/// What `records` yields and what `lent` lends is the same, up to the end, or the first error.
fn assert_lent(records: Records, mut lent: Records) -> usize {
    let mut count = 0;
    for record in records {
        let other = lent.next_ref().unwrap();
        match record {
            Ok(record) => {
                assert_eq!(other.as_ref().unwrap(), &RecordRef::from(&record));
                assert_eq!(other.unwrap().to_record(), record);
                count += 1;
            }
            Err(error) => assert_eq!(other.unwrap_err().kind(), error.kind()),
        }
    }
    assert!(lent.next_ref().is_none());
    count
}

#[test]
fn a_record_is_lent_as_it_is_yielded() {
    let disk = SimDisk::new();
    let (log, in_memory) = (open(&disk), MemoryLog::new());
    for number in 0..200_u64 {
        let mut record = Record::new("v".repeat(usize::try_from(number % 50).unwrap()));
        if number % 3 == 0 {
            record = record.with_key("k".repeat(usize::try_from(number % 7).unwrap()));
        }
        if number % 5 == 0 {
            let micros = Duration::from_micros(number);
            record = record.with_timestamp(LONG_AGO + Duration::from_secs(1) + micros);
        }
        for header in 0..number % 11 / 9 {
            record = record.with_header(format!("name {header}"), value(number));
        }
        log.append(record.clone()).unwrap();
        in_memory.append(record).unwrap();
    }
    for from in [0, 1, 77, 199, 200] {
        let count = assert_lent(log.records(from..), log.records(from..));
        assert_eq!(count as u64, 200 - from);
        let from = Offset::new(from);
        assert_lent(in_memory.records(from..), in_memory.records(from..));
    }
    let mut mixed = log.records(0..);
    for number in (0..200).step_by(2) {
        assert_eq!(mixed.next().unwrap().unwrap().offset, number);
        assert_eq!(mixed.next_ref().unwrap().unwrap().offset, number + 1);
    }
    log.close().unwrap();
    assert_lent(log.records(0..), log.records(0..));

    damage(&disk, 20);
    let log = open(&disk);
    assert_eq!(assert_lent(log.records(0..), log.records(0..)), 20);
}
