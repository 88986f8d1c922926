//! Bytes that the device cannot read: they cost the records in their place, in every way of reading, and stop nothing but
//! an opening that would have to drop them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proglog_harness::damage::fixture::{CHECKPOINT, Fixture, Place, both, index, options, store};
use proglog_log::{
    Error, ErrorKind, Job, Log, LogOptions, ReadLog, ReadOnlyLog, Reason, Retention, Runtime,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

fn fail_reads(disk: &SimDisk, place: &Place) {
    disk.fail_reads(&place.file, place.bytes.clone());
}

/// The places of the last record of each segment.
fn last_of_segments(fixture: &Fixture) -> impl Iterator<Item = (usize, &Place)> {
    let places = fixture.places.iter().enumerate();
    places.filter(|(offset, place)| {
        let next = fixture.places.get(offset + 1);
        next.is_none_or(|next| next.file != place.file)
    })
}

/// Checks that all records but the one at `damaged` can be read, in each way.
fn has_all_but(log: &impl ReadLog, fixture: &Fixture, damaged: usize) {
    let check = |error: &Error| {
        let Reason::Corrupt {
            offset,
            file,
            byte,
            source,
        } = &error.reason
        else {
            panic!("{error:?}")
        };
        let place = &fixture.places[damaged];
        assert_eq!(
            (offset.get(), &**file, *byte),
            (damaged as u64, &*place.file, place.bytes.start)
        );
        let source = source.as_deref().unwrap();
        let proglog_store::Error::Unreadable { source, .. } = source else {
            panic!("{error:?}")
        };
        assert_eq!(source.raw_os_error(), Some(5));
    };
    for (offset, place) in fixture.places.iter().enumerate() {
        match log.read((offset as u64).into()) {
            Ok(record) => {
                assert_eq!(record.value, place.value);
                assert_ne!(offset, damaged);
            }
            Err(error) => check(&error),
        }
    }
    for is_lent in [false, true] {
        let mut records = log.records((..).into());
        let mut next = || -> Option<Result<Vec<u8>, Error>> {
            if is_lent {
                Some(records.next_ref()?.map(|record| record.value.to_vec()))
            } else {
                Some(records.next()?.map(|record| record.value.to_vec()))
            }
        };
        for place in &fixture.places[..damaged] {
            assert_eq!(next().unwrap().unwrap(), place.value.as_bytes());
        }
        check(&next().unwrap().unwrap_err());
        assert!(next().is_none());
        let after = log.records((damaged as u64 + 1..).into());
        let values = after.map(|record| record.unwrap().value);
        let expected = fixture.places[damaged + 1..].iter();
        assert_eq!(
            values.collect::<Vec<_>>(),
            expected.map(|place| &*place.value).collect::<Vec<_>>()
        );
    }
}

fn damaged_ranges(log: &Log) -> Vec<Range<u64>> {
    let verified = log
        .reader(proglog_log::Visibility::Acknowledged)
        .verify()
        .unwrap();
    verified
        .damaged
        .iter()
        .map(|range| range.start.get()..range.end.get())
        .collect()
}

#[test]
fn a_log_opens_though_a_record_cannot_be_read_with_or_without_its_index() {
    for fixture in both("writer") {
        for without_index in [false, true] {
            for (offset, place) in fixture
                .places
                .iter()
                .enumerate()
                .take(fixture.sure.try_into().unwrap())
            {
                let disk = fixture.disk.deep_clone();
                if without_index {
                    for base in &fixture.bases {
                        if disk.file_names().contains(&index(*base)) {
                            disk.remove_file(&index(*base));
                        }
                    }
                }
                fail_reads(&disk, place);
                let reader = ReadOnlyLog::open_in(disk.directory()).unwrap();
                assert_eq!(reader.read(fixture.end().min(1)).is_ok(), offset != 1);
                let log = Log::open_in(disk.directory(), &options()).unwrap();
                has_all_but(&log, &fixture, offset);
                let one = offset as u64..offset as u64 + 1;
                assert_eq!(damaged_ranges(&log), [one]);
                assert_eq!(log.append("more").unwrap().get(), fixture.end());
            }
        }
    }
}

#[test]
fn a_log_whose_newest_records_cannot_be_read_is_not_opened_and_has_them_when_they_can_be() {
    let [closed, killed] = both("writer");
    let acknowledged = usize::try_from(killed.sure).unwrap()..killed.places.len();
    assert!(!acknowledged.is_empty());
    for place in &killed.places[acknowledged] {
        let disk = killed.disk.deep_clone();
        fail_reads(&disk, place);
        let before = disk.read_file(&place.file);
        let error = Log::open_in(disk.directory(), &options()).unwrap_err();
        let Reason::Store(proglog_store::Error::EndUnreadable { file, byte, .. }) = &error.reason
        else {
            panic!("{error:?}")
        };
        assert_eq!((&**file, error.kind()), (&*place.file, ErrorKind::Corrupt));
        assert!(place.bytes.contains(byte), "{error:?}");
        assert!(disk.read_file(&place.file) == before);
        disk.mend_reads(&place.file);
        let log = Log::open_in(disk.directory(), &options()).unwrap();
        assert_eq!(log.end_offset().get(), killed.end());
        assert_eq!(log.recovery().set_aside, None);
    }
    // A closed log knows its end, so nothing after its records has to be read.
    let disk = closed.disk.deep_clone();
    let last = closed.places.last().unwrap();
    disk.fail_reads(&last.file, last.bytes.end..1 << 20);
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    assert_eq!(log.end_offset().get(), closed.end());
}

#[test]
fn verifying_goes_on_after_what_cannot_be_read_and_reports_all() {
    let [closed, _] = both("writer");
    let disk = closed.disk.deep_clone();
    let damaged = [0, 1, 4, closed.places.len() - 2];
    for record in damaged {
        fail_reads(&disk, &closed.places[record]);
    }
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    let last = damaged[3] as u64;
    assert_eq!(damaged_ranges(&log), [0..2, 4..5, last..last + 1]);
}

#[test]
fn one_slot_of_the_checkpoint_is_enough_and_one_copy_of_the_newest() {
    for fixture in both("writer") {
        let copies = (0..4).map(|copy| copy * 4096..copy * 4096 + 1024);
        for unreadable in copies.chain([0..8192, 8192..16_384]) {
            let disk = fixture.disk.deep_clone();
            disk.fail_reads(CHECKPOINT, unreadable);
            let log = Log::open_in(disk.directory(), &options()).unwrap();
            assert_eq!(log.end_offset().get(), fixture.end());
        }
        let disk = fixture.disk.deep_clone();
        disk.fail_reads(CHECKPOINT, 0..16_384);
        let error = Log::open_in(disk.directory(), &options()).unwrap_err();
        assert!(
            matches!(error.reason, Reason::CheckpointLost { .. }),
            "{error:?}"
        );
    }
}

/// A runtime that runs nothing, so that retention is applied only where a test does.
struct Never;

impl Runtime for Never {
    fn spawn(&self, _job: Job) {}
    fn spawn_after(&self, _delay: Duration, _job: Job) {}
}

fn retaining(policy: Retention) -> LogOptions {
    options().retention(policy).runtime(Arc::new(Never))
}

#[test]
fn retention_drops_segments_whose_last_records_cannot_be_read() {
    let [closed, _] = both("writer");
    let active = closed.active();
    for policy in [
        Retention::new().records(1),
        Retention::new().bytes(1),
        Retention::new().age(Duration::ZERO),
    ] {
        let disk = closed.disk.deep_clone();
        for (_, place) in last_of_segments(&closed).filter(|(_, place)| place.file != store(active))
        {
            fail_reads(&disk, place);
        }
        let log = Log::open_in(disk.directory(), &retaining(policy)).unwrap();
        let start = log.apply_retention().unwrap();
        assert!(start >= active, "{policy:?}: {start}");
        assert_eq!(log.background_failures().count, 0);
    }
}

#[test]
fn a_segment_that_cannot_be_read_at_all_stops_no_retention() {
    let [closed, _] = both("writer");
    for policy in [
        Retention::new().records(1),
        Retention::new().bytes(1),
        Retention::new().age(Duration::ZERO),
    ] {
        let disk = closed.disk.deep_clone();
        let log = Log::open_in(disk.directory(), &retaining(policy)).unwrap();
        for base in &closed.bases[..2] {
            disk.fail_reads(&store(*base), 0..1 << 20);
        }
        let start = log.apply_retention().unwrap();
        assert!(start >= closed.active(), "{policy:?}: {start}");
    }
}

#[test]
fn a_segment_whose_times_cannot_be_read_is_as_young_as_the_first_record_after_it() {
    let [closed, _] = both("writer");
    let disk = closed.disk.deep_clone();
    disk.fail_reads(&store(0), 8192..1 << 20);
    let day = Duration::from_hours(24);
    let log = Log::open_in(disk.directory(), &retaining(Retention::new().age(day))).unwrap();
    assert_eq!(log.apply_retention().unwrap(), 0);
    log.close().unwrap();
    let nothing = Duration::ZERO;
    let log = Log::open_in(disk.directory(), &retaining(Retention::new().age(nothing))).unwrap();
    assert_eq!(log.apply_retention().unwrap(), log.end_offset());
}

#[test]
fn retention_asks_a_device_no_more_than_a_few_times_for_the_age_of_what_it_cannot_read() {
    let disk = SimDisk::new();
    let age = Retention::new().age(Duration::from_hours(24));
    let options = LogOptions::new()
        .segment_bytes_max(64 << 10)
        .retention(age)
        .runtime(Arc::new(Never));
    let log = Log::open_in(disk.directory(), &options).unwrap();
    for _ in 0..200 {
        log.append_batch(["a value of a record"; 20]).unwrap();
    }
    log.close().unwrap();
    let log = Log::open_in(disk.directory(), &options).unwrap();
    let mut names = disk.file_names();
    names.retain(|name| name.ends_with(".log"));
    assert!(names.len() > 2, "{names:?}");
    for name in &names[..2] {
        disk.fail_reads(name, 8192..1 << 20);
    }
    let reads = || {
        disk.start_trace();
        assert_eq!(log.apply_retention().unwrap(), 0);
        let trace = disk.trace();
        trace
            .iter()
            .filter(|call| call.kind == CallKind::Read)
            .count()
    };
    let first = reads();
    assert!(first < 100, "{first} reads");
    assert_eq!(reads(), 0, "nothing is tried again");
}

#[test]
fn background_failures_are_counted() {
    let disk = SimDisk::new();
    let policy = Retention::new().records(1);
    let log = Log::open_in(disk.directory(), &options().retention(policy)).unwrap();
    assert_eq!(log.background_failures().count, 0);
    disk.inject(When::Next(CallKind::Remove, 0), Fault::os_error(13));
    let mut appended = 0;
    while log.background_failures().count == 0 {
        log.append("a value that fills segments").unwrap();
        appended += 1;
        assert!(appended < 100_000, "no failure is counted");
    }
    let failures = log.background_failures();
    assert_eq!(failures.count, 1);
    assert_eq!(failures.last.unwrap().kind(), ErrorKind::Io);
}
