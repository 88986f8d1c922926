//! Scenarios of the first hour with a log, on the operating system's files.

use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use proglog_log::{
    Batch, CommitLog, Durability, ErrorKind, Log, LogOptions, Offset, Outcome, Record, StoredRecord,
};
use tempfile::TempDir;

const ALL_DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::from_millis(1)),
    Durability::Buffered,
];

fn options() -> LogOptions {
    LogOptions::new().segment_bytes_max(4 << 10)
}

fn open(directory: &TempDir, durability: Durability) -> Log {
    Log::open(directory.path(), &options().durability(durability)).unwrap()
}

fn values(log: &Log, from: u64) -> Vec<String> {
    log.records(from..)
        .map(|record| String::from_utf8(record.unwrap().value.to_vec()).unwrap())
        .collect()
}

fn files(directory: &TempDir, suffix: &str) -> usize {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    entries
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .ends_with(suffix)
        })
        .count()
}

#[test]
fn records_come_back_with_what_was_given_and_their_offset() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    let given = Record::new("value")
        .with_key("key")
        .with_header("name", "fact")
        .with_timestamp(SystemTime::UNIX_EPOCH - Duration::from_micros(5));
    assert_eq!(log.append(given.clone()).unwrap(), Offset::ZERO);
    assert_eq!(log.append(given.clone()).unwrap(), Offset::new(1));
    let read = log.read(1).unwrap();
    assert!(
        read.appended_at() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)
            && log.read(0).unwrap().appended_at() <= read.appended_at()
    );
    assert_eq!(read, StoredRecord::new(1, read.appended_at(), given));
}

#[test]
fn a_thousand_records_are_found_in_many_segments_now_and_after_reopening() {
    for durability in ALL_DURABILITIES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, durability);
        let expected = (0..1000)
            .map(|number| format!("record {number}"))
            .collect::<Vec<_>>();
        for (number, value) in (0..).zip(&expected) {
            assert_eq!(log.append(value.as_str()).unwrap(), Offset::new(number));
        }
        let check = |log: &Log| {
            assert_eq!(
                (log.start_offset(), log.end_offset()),
                (Offset::ZERO, Offset::new(1000))
            );
            assert_eq!(values(log, 0), expected);
            assert_eq!(values(log, 990), expected[990..]);
            for number in [0, 1, 499, 998, 999] {
                assert_eq!(log.read(number as u64).unwrap().value, expected[number]);
            }
        };
        check(&log);
        assert!(files(&directory, ".log") > 5, "{durability:?}");
        log.close().unwrap();
        for _ in 0..2 {
            let log = open(&directory, durability);
            assert!(log.recovery().clean);
            assert_eq!(log.recovery().indexes_rebuilt, 0, "{:?}", log.recovery());
            check(&log);
        }
    }
}

#[test]
fn an_offset_past_the_end_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    assert_eq!(log.read(0).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(log.records(0..).count(), 0);
    log.append("only").unwrap();
    assert_eq!(log.read(1).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(
        log.read(u64::MAX).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    assert_eq!(log.records(1..).count(), 0);
    let mut past = log.records(2..);
    assert_eq!(
        past.next().unwrap().unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    assert!(past.next().is_none());
}

#[test]
fn a_batch_has_consecutive_offsets_and_lies_in_one_segment() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    let batch = (0..50).map(|number| vec![number; 100]).collect::<Batch>();
    for round in 0..5 {
        let offsets = log.append_batch(batch.clone()).unwrap();
        assert_eq!(
            offsets,
            Offset::new(round * 50)..Offset::new(round * 50 + 50)
        );
    }
    assert_eq!(
        files(&directory, ".log"),
        5,
        "each batch is larger than a segment"
    );
    assert_eq!(
        log.records(0..)
            .map(Result::unwrap)
            .filter(|record| record.value[0] == 7)
            .count(),
        5
    );
    let nothing = log.append_batch(Batch::default()).unwrap();
    assert_eq!(nothing, Offset::new(250)..Offset::new(250));
}

#[test]
fn a_log_that_was_closed_while_it_was_empty_takes_a_batch_larger_than_a_segment() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory, Durability::Synced).close().unwrap();
    let log = open(&directory, Durability::Synced);
    log.append(vec![7; 10_000]).unwrap();
    log.append(vec![8; 10_000]).unwrap();
    log.close().unwrap();
    let log = open(&directory, Durability::Synced);
    assert_eq!(log.end_offset(), Offset::new(2));
    assert_eq!(log.read(1).unwrap().value[0], 8);
}

#[test]
fn a_ticket_can_be_awaited_waited_for_and_called_back() {
    for durability in ALL_DURABILITIES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, durability);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (first, second) = (log.submit("a").unwrap(), log.submit("b").unwrap());
        let awaited = runtime.block_on(async { (second.await, first.await) });
        assert_eq!(awaited.0.unwrap().start, Offset::new(1));
        assert_eq!(awaited.1.unwrap().start, Offset::ZERO);
        assert_eq!(
            log.submit("c").unwrap().wait().unwrap().start,
            Offset::new(2)
        );
        let (sender, receiver) = channel();
        let handle = log.clone();
        log.submit("d").unwrap().on_complete(move |outcome| {
            // A callback may use the log.
            let offset = outcome.unwrap().start;
            assert_eq!(handle.append("e").unwrap(), offset.saturating_add(1));
            sender.send(handle.read(offset).unwrap().value).unwrap();
        });
        assert_eq!(receiver.recv().unwrap(), "d");
        assert_eq!(values(&log, 0), ["a", "b", "c", "d", "e"]);
    }
}

#[test]
fn a_synced_log_shows_a_record_only_once_it_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    let ticket = log.submit("not yet").unwrap();
    assert_eq!(ticket.offsets().start, Offset::ZERO);
    assert_eq!(log.end_offset(), Offset::ZERO);
    assert_eq!(log.read(0).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(log.records(0..).count(), 0);
    log.sync().unwrap();
    assert_eq!(log.read(0).unwrap().value, "not yet");
    ticket.wait().unwrap();
}

#[test]
fn an_append_without_a_waiter_is_kept_by_close() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    drop(log.submit("kept").unwrap());
    let ticket = log.submit("kept too").unwrap();
    log.close().unwrap();
    ticket.wait().unwrap();
    assert_eq!(
        values(&open(&directory, Durability::Synced), 0),
        ["kept", "kept too"]
    );
}

#[test]
fn a_record_over_the_limit_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = options().record_bytes_max(100).batch_bytes_max(250);
    let log = Log::open(directory.path(), &options).unwrap();
    log.append(vec![1; 100]).unwrap();
    let error = log.append(vec![1; 101]).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::TooLarge, Outcome::NotAppended)
    );
    let error = log
        .append_batch([[0; 90], [0; 90], [0; 90]].map(|value| value.to_vec()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(log.end_offset(), Offset::new(1));
}

#[test]
fn a_second_opening_is_refused_at_once_until_the_first_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    log.append("mine").unwrap();
    let error = Log::open(directory.path(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    #[cfg(unix)]
    {
        let links = tempfile::tempdir().unwrap();
        let link = links.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert_eq!(
            Log::open(&link, &options()).unwrap_err().kind(),
            ErrorKind::Locked
        );
    }
    let mut records = log.records(0..);
    drop(log);
    assert_eq!(values(&open(&directory, Durability::Synced), 0), ["mine"]);
    assert_eq!(
        records.next().unwrap().unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn a_closed_log_refuses_everything_on_every_handle() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    let other = log.clone();
    log.append("last").unwrap();
    log.close().unwrap();
    other.close().unwrap();
    assert_eq!(other.append("more").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.read(0).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.sync().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        other.records(0..).next().unwrap().unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn many_threads_share_a_log_and_each_finds_its_records_in_order() {
    for durability in ALL_DURABILITIES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, durability);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let log = &log;
                scope.spawn(move || {
                    let mut last = None;
                    for number in 0..100 {
                        let value = format!("{thread} {number}");
                        let offset = log.append(value.as_str()).unwrap();
                        assert!(last < Some(offset));
                        assert_eq!(log.read(offset).unwrap().value, value);
                        last = Some(offset);
                    }
                });
            }
        });
        let mut all = values(&log, 0);
        assert_eq!(log.end_offset(), Offset::new(800));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 800);
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    for options in [
        LogOptions::new().segment_bytes_max(1),
        LogOptions::new().segment_bytes_max(5 << 30),
        LogOptions::new().batch_bytes_max(2 << 30),
        LogOptions::new().record_bytes_max(17 << 20),
    ] {
        assert_eq!(
            Log::open(&path, &options).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert!(!path.exists());
    }
}

#[test]
fn the_trait_does_what_the_log_does() {
    let directory = tempfile::tempdir().unwrap();
    let log: Box<dyn CommitLog> = Box::new(open(&directory, Durability::Buffered));
    assert_eq!(log.append("a".into()).unwrap(), Offset::ZERO);
    assert_eq!(
        log.append_batch(["b", "c"].into()).unwrap(),
        Offset::new(1)..Offset::new(3)
    );
    assert_eq!(log.records((1..).into()).count(), 2);
    assert_eq!(
        log.start_offset()..log.end_offset(),
        Offset::ZERO..Offset::new(3)
    );
    log.sync().unwrap();
    log.close().unwrap();
}

#[test]
fn application_data_is_kept_beside_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Durability::Synced);
    assert!(log.application_data().is_empty());
    log.set_application_data(b"consumed 7").unwrap();
    let error = log.set_application_data(&[0; 1025]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    for number in 0..200 {
        log.append(vec![number; 100]).unwrap();
    }
    log.close().unwrap();
    assert_eq!(
        log.set_application_data(b"").unwrap_err().kind(),
        ErrorKind::Closed
    );
    let log = open(&directory, Durability::Synced);
    assert_eq!(log.application_data(), b"consumed 7");
    assert_eq!(log.end_offset(), Offset::new(200));
}
