//! Operations that all logs have in common, and those that they inherit from the traits.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proglog_log::{
    Append, Batch, CommitLog, ErrorKind, Follow, Log, LogOptions, MemoryLog, Notify, Offset,
    OffsetBounds, ReadLog, ReadOnlyLog, Reason, Record, Records, Result, StoredRecord, Ticket,
    Visibility,
};
use proglog_store::testing::SimDisk;

use crate::support::{append, holds, open, open_with, options, value};

/// A log that implements what it has to, and inherits the rest.
#[derive(Debug, Default)]
struct Minimal(MemoryLog);

impl ReadLog for Minimal {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        self.0.read(offset)
    }
    fn records(&self, range: OffsetBounds) -> Records {
        self.0.records(range)
    }
    fn follow(&self, from: Offset) -> Follow {
        self.0.follow(from)
    }
    fn start_offset(&self) -> Offset {
        self.0.start_offset()
    }
    fn end_offset(&self) -> Offset {
        self.0.end_offset()
    }
}

impl CommitLog for Minimal {
    fn changes(&self) -> Notify {
        self.0.changes()
    }
    fn submit_append(&self, append: Append) -> Result<Ticket> {
        self.0.submit_append(append)
    }
    fn trim(&self, start: Offset) -> Result<()> {
        self.0.trim(start)
    }
    fn sync(&self) -> Result<()> {
        self.0.sync()
    }
    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

fn all() -> [Arc<dyn CommitLog>; 3] {
    [
        Arc::new(open(&SimDisk::new())),
        Arc::new(MemoryLog::new()),
        Arc::new(Minimal::default()),
    ]
}

#[test]
fn every_log_appends_records_and_batches_alike() {
    for log in all() {
        assert_eq!(log.append("a".into()).unwrap(), 0);
        assert_eq!(log.submit("b".into()).unwrap().wait().unwrap(), 1..2);
        assert_eq!(log.append_at(2.into(), "c".into()).unwrap(), 2);
        assert_eq!(log.append_batch(["d", "e"].into()).unwrap(), 3..5);
        let batch = Batch::from(["f", "g"]);
        assert_eq!(log.append_batch_at(5.into(), batch).unwrap(), 5..7);
        let late = [
            log.append_at(5.into(), "x".into()).map(drop),
            log.append_batch_at(8.into(), ["x"].into()).map(drop),
            log.submit_at(0.into(), "x".into()).map(drop),
            log.submit_batch_at(0.into(), Batch::new()).map(drop),
        ];
        for error in late.map(Result::unwrap_err) {
            assert!(matches!(error.reason, Reason::EndMoved { end, .. } if end == 7));
        }
        let records = log.records((..).into()).map(|record| record.unwrap().value);
        assert!(records.eq(["a", "b", "c", "d", "e", "f", "g"]));
    }
}

#[test]
fn every_log_has_a_length_a_last_record_and_an_end() {
    for log in all() {
        assert!(log.is_empty() && log.last().unwrap().is_none());
        let begun = SystemTime::now();
        for number in 0..9 {
            log.append(value(number).into()).unwrap();
        }
        log.trim(Offset::new(2)).unwrap();
        assert_eq!((log.len(), log.is_empty()), (7, false));
        assert_eq!(log.offsets(), 2..9);
        let last = log.last().unwrap().unwrap();
        assert_eq!((last.offset.get(), last.value), (8, value(8).into()));
        let minute = Duration::from_mins(1);
        assert_eq!(log.offset_for_time(begun - minute).unwrap(), 2);
        assert_eq!(log.offset_for_time(begun + minute).unwrap(), 9);
        let batch = log.read_batch(Offset::new(3), usize::MAX, 250).unwrap();
        // There may be one: a segment may end between the two.
        assert!(matches!(batch.len(), 1 | 2));
        assert!((3..).zip(&batch).all(|(at, record)| record.offset == at));
        assert_eq!(log.read_batch(Offset::new(9), usize::MAX, 250).unwrap(), []);
        let trimmed = log.read_batch(Offset::new(1), usize::MAX, 250).unwrap_err();
        assert_eq!(trimmed.kind(), ErrorKind::Trimmed);
        log.trim(Offset::new(9)).unwrap();
        assert!(log.is_empty() && log.last().unwrap().is_none());
    }
}

/// The values of `records`, and the error that ended them.
fn values(records: impl Iterator<Item = Result<StoredRecord>>) -> (Vec<u64>, Option<ErrorKind>) {
    let (mut offsets, mut failure) = (Vec::new(), None);
    for record in records {
        assert!(failure.is_none(), "it ends after an error");
        match record {
            Ok(record) => {
                assert_eq!(record.value, value(record.offset.get()));
                offsets.push(record.offset.get());
            }
            Err(error) => failure = Some(error.kind()),
        }
    }
    (offsets, failure)
}

/// Logs that hold the records 3 to 8, in several segments where there are any.
fn from_three_to_eight() -> Vec<Arc<dyn ReadLog>> {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..9);
    log.trim(3).unwrap();
    log.close().unwrap();
    let log = open(&disk);
    let memory = Minimal::default();
    for number in 0..9 {
        memory.0.append(value(number)).unwrap();
    }
    memory.0.trim(3).unwrap();
    vec![
        Arc::new(ReadOnlyLog::open_in(disk.directory()).unwrap()),
        Arc::new(log.reader(Visibility::Appended)),
        Arc::new(log),
        Arc::new(memory.0.clone()),
        Arc::new(memory),
    ]
}

/// A range, the offsets read forwards and backwards, and the error that ends each.
type Case = (
    OffsetBounds,
    Range<u64>,
    Option<ErrorKind>,
    Range<u64>,
    Option<ErrorKind>,
);

#[test]
fn a_range_of_records_is_exact_from_either_end() {
    let trimmed = Some(ErrorKind::Trimmed);
    let past = Some(ErrorKind::OutOfRange);
    let cases: [Case; 13] = [
        ((..).into(), 3..9, None, 3..9, None),
        ((5..).into(), 5..9, None, 5..9, None),
        ((..5).into(), 3..5, None, 3..5, None),
        ((4..=7).into(), 4..8, None, 4..8, None),
        ((3..9).into(), 3..9, None, 3..9, None),
        ((5..5).into(), 0..0, None, 0..0, None),
        ((9..).into(), 0..0, None, 0..0, None),
        ((4..99).into(), 4..9, past, 0..0, past),
        ((..99).into(), 3..9, past, 0..0, past),
        ((10..).into(), 0..0, past, 0..0, past),
        ((1..).into(), 0..0, trimmed, 3..9, trimmed),
        ((1..5).into(), 0..0, trimmed, 3..5, trimmed),
        ((0..3).into(), 0..0, trimmed, 0..0, trimmed),
    ];
    for log in from_three_to_eight() {
        for (range, forward, error, backward, error_back) in cases.clone() {
            let read = values(log.records(range));
            assert_eq!(read, (forward.collect(), error), "{range:?} of {log:?}");
            let read = values(log.records(range).rev());
            assert_eq!(
                read,
                (backward.rev().collect(), error_back),
                "{range:?} of {log:?}"
            );
            let clamped = values(log.records(log.offsets().clamp(range).into()));
            let expected = log.offsets().clamp(range).into_iter().map(Offset::get);
            assert_eq!(clamped, (expected.collect(), None), "{range:?} of {log:?}");
        }
    }
}

#[test]
fn records_are_taken_from_both_ends_until_they_meet() {
    for log in from_three_to_eight() {
        let mut records = log.records((..).into());
        let mut taken = Vec::new();
        for from_the_end in [false, true, true, false, false, true, false, true] {
            let record = if from_the_end {
                records.next_back()
            } else {
                records.next()
            };
            taken.extend(record.map(|record| record.unwrap().offset.get()));
        }
        assert_eq!(taken, [3, 8, 7, 4, 5, 6], "{log:?}");
    }
}

#[test]
fn a_closed_log_says_so_and_has_no_last_record() {
    for log in all() {
        log.append("a".into()).unwrap();
        assert!(!log.is_closed());
        log.close().unwrap();
        assert_eq!(log.last().unwrap_err().kind(), ErrorKind::Closed);
    }
    let logs: [Arc<dyn CommitLog>; 2] =
        [Arc::new(open(&SimDisk::new())), Arc::new(MemoryLog::new())];
    for log in logs {
        log.close().unwrap();
        assert!(log.is_closed());
        assert_eq!(log.last().unwrap_err().kind(), ErrorKind::Closed);
        let found = log.offset_for_time(SystemTime::UNIX_EPOCH);
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Closed);
    }
    let log = open(&SimDisk::new());
    log.close().unwrap();
    assert_eq!(log.verify().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn whatever_can_be_read_is_read_through_one_trait() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..5);
    log.close().unwrap();
    let log = open(&disk);
    let in_memory = MemoryLog::new();
    for number in 0..5 {
        in_memory.append(value(number)).unwrap();
    }
    let readers: [Arc<dyn ReadLog>; 4] = [
        Arc::new(ReadOnlyLog::open_in(disk.directory()).unwrap()),
        Arc::new(log.reader(Visibility::Acknowledged)),
        Arc::new(log),
        Arc::new(in_memory),
    ];
    for log in &readers {
        assert_eq!(log.offsets(), 0..5);
        assert_eq!((log.len(), log.is_closed()), (5, false));
        assert_eq!(log.last().unwrap().unwrap().value, value(4));
        assert_eq!(log.read(Offset::new(3)).unwrap().value, value(3));
        assert_eq!(log.records((1..).into()).count(), 4);
        assert_eq!(log.offset_for_time(SystemTime::UNIX_EPOCH).unwrap(), 0);
        assert_eq!(
            log.read_batch(Offset::ZERO, usize::MAX, 1).unwrap().len(),
            1
        );
        let first = log.follow(Offset::new(4)).next();
        assert_eq!(first.unwrap().unwrap().value, value(4));
    }
}

#[test]
fn a_log_is_created_with_the_first_offset_that_is_asked_for_and_keeps_it() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().first_offset(1000));
    assert_eq!(log.offsets(), 1000..1000);
    assert!(log.last().unwrap().is_none());
    assert_eq!(log.read(999).unwrap_err().kind(), ErrorKind::Trimmed);
    append(&log, 1000..1040);
    log.close().unwrap();
    for first in [0, 1000, 5000] {
        let log = open_with(&disk, &options().first_offset(first));
        holds(&log, 1000..1040);
        log.close().unwrap();
    }
    let log = open(&disk);
    log.trim(1010).unwrap();
    log.truncate(1030).unwrap();
    drop(log);
    holds(&open(&disk), 1010..1030);
    let last = open_with(&SimDisk::new(), &options().first_offset(Offset::MAX));
    let error = last.append("one too many").unwrap_err();
    assert!(matches!(error.reason, Reason::OffsetsExhausted { .. }));
    let memory = MemoryLog::with_options(&LogOptions::new().first_offset(Offset::MAX)).unwrap();
    let error = memory.append("one too many").unwrap_err();
    assert!(matches!(error.reason, Reason::OffsetsExhausted { .. }));
}

#[test]
fn what_was_read_from_one_log_is_appended_to_another() {
    let (from, to) = (open(&SimDisk::new()), MemoryLog::new());
    let record = Record::new("value")
        .with_key("")
        .with_header("name", [1, 2]);
    from.append(record.clone()).unwrap();
    from.append("other").unwrap();
    let records = from.records(0..).collect::<Result<Batch>>().unwrap();
    assert_eq!(to.append_batch(records).unwrap(), 0..2);
    assert_eq!(Record::from(to.read(0).unwrap()), record);
}

#[cfg(feature = "serde")]
#[test]
fn offsets_and_records_are_serialized() {
    use proglog_log::Offsets;

    fn json(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    assert_eq!(json(&Offset::new(7)), "7");
    assert_eq!(json(&Offsets::new(3, 5)), r#"{"start":3,"end":5}"#);
    let record = Record::new([1, 2]).with_key("k").with_header("n", [3]);
    assert_eq!(
        json(&record),
        r#"{"value":[1,2],"key":[107],"headers":[{"name":"n","value":[3]}],"timestamp":null}"#
    );
    let read: Record = serde_json::from_str(&json(&record)).unwrap();
    assert_eq!(read, record);
    assert_eq!(
        serde_json::from_str::<Record>(r#"{"value":[1]}"#).unwrap(),
        Record::new([1])
    );
    let stored = StoredRecord::new(7, SystemTime::UNIX_EPOCH, record);
    let read: StoredRecord = serde_json::from_str(&json(&stored)).unwrap();
    assert_eq!(read, stored);
}

#[test]
fn a_log_on_disk_has_the_same_surface_as_one_in_memory() {
    let disk = SimDisk::new();
    let log: Log = open(&disk);
    log.submit(serde_json::to_vec(&["any", "bytes"]).unwrap())
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!((log.len(), log.end_offset().get()), (1, 1));
    assert_eq!(log.submit_batch(["a", "b"]).unwrap().wait().unwrap(), 1..3);
    assert_eq!(log.append_batch_at(3, vec!["c"]).unwrap(), 3..4);
    assert_eq!(log.append_at(4, [1, 2, 3]).unwrap(), 4);
    assert_eq!(log.read(4).unwrap().value[..], [1, 2, 3]);
}
