//! Appends that do not wait, and the producers that appends carry.

use proglog_log::{
    Append, Attempt, CommitLog, Durability, ErrorKind, Log, LogOptions, MemoryLog, Producer,
    ReadLog, Record, Ticket,
};
use proglog_store::testing::SimDisk;

use crate::support::{ALL_DURABILITIES, holds, killed, open, open_with, options, value};

fn append_of(offset: u64) -> Append {
    Append::new([value(offset)]).at(offset)
}

fn taken(attempt: Attempt) -> Option<Ticket> {
    match attempt {
        Attempt::Taken(ticket) => Some(ticket),
        Attempt::Blocked(_) => None,
    }
}

/// Appends records from `next` on until one is blocked, and returns its offset. Checks that nothing is written or
/// synced for those that are taken, but full pages of the index.
fn try_until_blocked(log: &Log, disk: &SimDisk, mut next: u64) -> u64 {
    loop {
        let calls = disk.calls();
        let attempt = log.try_submit(append_of(next)).unwrap();
        let for_the_index = 2;
        assert!(disk.calls() <= calls + for_the_index, "of record {next}");
        let Attempt::Blocked(append) = attempt else {
            next += 1;
            continue;
        };
        assert_eq!(disk.calls(), calls);
        assert_eq!(append, append_of(next));
        return next;
    }
}

#[test]
fn an_append_that_is_tried_waits_for_no_roll() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().durability(durability));
        // The first record checks that the directory is in place.
        log.append(value(0)).unwrap();
        let blocked = try_until_blocked(&log, &disk, 1);
        assert!((2..20).contains(&blocked), "{blocked}");
        let ticket = log.submit_append(append_of(blocked)).unwrap();
        assert_eq!(ticket.wait().unwrap(), blocked..blocked + 1);
        let next = log.try_submit(append_of(blocked + 1)).unwrap();
        taken(next).unwrap().wait().unwrap();
        holds(&log, 0..blocked + 2);
    }
}

#[test]
fn an_append_that_is_tried_waits_for_no_write_of_a_full_buffer() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        let large = options().durability(durability).segment_bytes_max(64 << 20);
        let log = open_with(&disk, &large);
        log.append(value(0)).unwrap();
        let blocked = try_until_blocked(&log, &disk, 1);
        assert!(blocked > 1000, "{blocked}");
        let longest = Append::new([vec![1; 1 << 20]]);
        let attempt = log.try_submit(longest).unwrap();
        assert!(taken(attempt).is_none(), "it is longer than the buffer");
        log.sync().unwrap();
        let attempt = log.try_submit(append_of(blocked)).unwrap();
        taken(attempt).unwrap().wait().unwrap();
        holds(&open(&killed(&disk, &log)), 0..blocked + 1);
    }
}

#[test]
fn an_append_that_is_tried_is_refused_as_one_that_waits() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let kind = |append| log.try_submit(append).unwrap_err().kind();
    assert_eq!(kind(append_of(1)), ErrorKind::EndMoved);
    let too_large = Append::new([vec![1; (1 << 20) + 1]]);
    assert_eq!(kind(too_large), ErrorKind::TooLarge);
    let empty = log.try_submit(Append::default()).unwrap();
    assert_eq!(taken(empty).unwrap().wait().unwrap(), 0..0);
    log.close().unwrap();
    assert_eq!(kind(append_of(0)), ErrorKind::Closed);
}

#[test]
fn a_producer_is_stored_with_the_first_record_of_its_batch() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let memory = MemoryLog::new();
    let producer = Producer::new("load-7", 3, 40).unwrap();
    let append = || {
        let batch = ["a", "b", "c"].map(|value| Record::new(value).with_key("key"));
        Append::new(batch).by(producer.clone())
    };
    log.submit_append(append()).unwrap().wait().unwrap();
    memory.submit_append(append()).unwrap().wait().unwrap();
    taken(log.try_submit(append()).unwrap())
        .unwrap()
        .wait()
        .unwrap();
    let ticket = taken(memory.try_submit(append()).unwrap());
    ticket.unwrap().wait().unwrap();
    let reopened = open(&killed(&disk, &log));
    let logs: [&dyn ReadLog; 3] = [&log, &reopened, &memory];
    for log in logs {
        for record in log.records((..).into()) {
            let record = record.unwrap();
            let stored = record.producer();
            if record.offset.get() % 3 == 0 {
                let stored = stored.unwrap();
                assert_eq!((stored.id(), stored.epoch()), ("load-7", 3));
                assert_eq!((stored.sequence(), stored.count()), (40, 3));
            } else {
                assert_eq!(stored, None);
            }
            assert_eq!(record.detach(), record);
        }
    }
    let record = log.read(0).unwrap();
    let copied = log.append(record).unwrap();
    assert_eq!(
        log.read(copied).unwrap().producer(),
        None,
        "it is another batch"
    );
}

#[test]
fn a_record_of_the_largest_size_may_have_a_producer() {
    let disk = SimDisk::new();
    let options = LogOptions::new().durability(Durability::Buffered);
    let log = open_with(&disk, &options);
    let id = "i".repeat(64);
    let producer = Producer::new(&id, u64::MAX, u64::MAX).unwrap();
    let append = Append::new([vec![1; 1 << 20]]).by(producer);
    let offsets = log.submit_append(append).unwrap().wait().unwrap();
    let record = log.read(offsets.start).unwrap();
    assert_eq!(record.value.len(), 1 << 20);
    assert_eq!(record.producer().unwrap().id(), id);
}
