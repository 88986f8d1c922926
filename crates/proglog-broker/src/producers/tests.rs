//! Tests of the producers of a log on the simulated disk.

mod crashes;

use std::io;
use std::sync::atomic::AtomicU64;
use std::thread;

use proglog_log::{Durability, ErrorKind, Job, Log, LogOptions, MemoryLog, Outcome, Runtime};
use proglog_store::io::{Directory, OpenMode};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use super::*;

/// A snapshot on the simulated disk, in the directory of the log.
#[derive(Debug)]
struct OnDisk(Arc<dyn Directory>);

impl Snapshot for OnDisk {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match self.0.open("producers", OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap()];
        file.read_full_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        let file = self.0.open("producers.tmp", OpenMode::CreateIfMissing)?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        self.0.rename("producers.tmp", "producers")?;
        self.0.sync()
    }
}

/// Runs nothing: each call to the disk is one of the thread of the test.
#[derive(Debug)]
struct NoBackground;

impl Runtime for NoBackground {
    fn spawn(&self, _job: Job) {}

    fn spawn_after(&self, _delay: Duration, _job: Job) {}
}

fn options(durability: Durability) -> LogOptions {
    LogOptions::new()
        .durability(durability)
        .segment_bytes_max(2048)
        .preallocate_max(0)
        .idle_after(Duration::MAX)
        .runtime(Arc::new(NoBackground))
}

fn id() -> LogId {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn open_with(disk: &SimDisk, options: &LogOptions) -> Result<(Log, LogProducers)> {
    let log = Log::open_in(disk.directory(), options)?;
    let snapshot = Arc::new(OnDisk(disk.directory()));
    let limit = ProducerLimit::new(PRODUCERS_MAX);
    let producers = LogProducers::open(Arc::new(log.clone()), id(), Some(snapshot), &limit)?;
    Ok((log, producers))
}

fn open(disk: &SimDisk) -> (Log, LogProducers) {
    open_with(disk, &options(Durability::Synced)).unwrap()
}

/// A batch of `count` records of a producer.
fn batch(id: &str, epoch: u64, sequence: u64, count: u64) -> Append {
    let values = (sequence..sequence + count).map(|number| format!("{id}/{epoch}/{number}"));
    Append::new(values.collect::<Batch>()).by(Producer::new(id, epoch, sequence).unwrap())
}

fn taken(submitted: LogResult<Submitted>) -> Ticket {
    match submitted {
        Ok(Submitted::Taken(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

fn refused(submitted: LogResult<Submitted>) -> Refused {
    match submitted {
        Ok(Submitted::Refused(Error::Refused(refused))) => refused,
        other => panic!("{other:?}"),
    }
}

fn repeated(submitted: LogResult<Submitted>) -> Option<Offsets> {
    match submitted {
        Ok(Submitted::Repeated(offsets)) => offsets,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_new_once_and_then_repeated_with_its_offsets() {
    let disk = SimDisk::new();
    let (log, producers) = open(&disk);
    let offsets = taken(producers.submit(batch("a", 0, 0, 2))).wait().unwrap();
    log.append("not of a producer").unwrap();
    for _ in 0..2 {
        assert_eq!(
            repeated(producers.try_submit(batch("a", 0, 0, 2))),
            Some(offsets)
        );
    }
    assert_eq!(
        refused(producers.submit(batch("a", 0, 1, 2))),
        Refused::Overlap { expected: 2 }
    );
    assert_eq!(
        refused(producers.submit(batch("a", 0, 3, 2))),
        Refused::Gap { expected: 2 }
    );
    assert_eq!(
        refused(producers.submit(batch("b", 0, 3, 2))),
        Refused::Unknown
    );
    let next = taken(producers.try_submit(batch("a", 1, 0, 1)))
        .wait()
        .unwrap();
    assert_eq!(next, 3..4);
    assert_eq!(
        refused(producers.submit(batch("a", 0, 2, 1))),
        Refused::Fenced { epoch: 1 }
    );
    assert_eq!(log.len(), 4);
    assert_eq!(producers.len(), 1);
}

#[test]
fn nothing_is_answered_by_a_batch_that_is_not_durable() {
    let disk = SimDisk::new();
    let (log, producers) = open(&disk);
    taken(producers.submit(batch("a", 0, 0, 1))).wait().unwrap();
    let ticket = taken(producers.try_submit(batch("a", 0, 1, 1)));
    // A resend, a batch too far, and a batch of an epoch that is fenced, all of them because of the batch above.
    assert_eq!(producers.get("a").unwrap().next_sequence, 1);
    for append in [batch("a", 0, 1, 1), batch("a", 0, 3, 1)] {
        let attempt = producers.try_submit(append);
        assert!(matches!(attempt, Ok(Submitted::Blocked(_))), "{attempt:?}");
    }
    // One that is durable is answered at once, and the next one is taken.
    assert_eq!(
        repeated(producers.try_submit(batch("a", 0, 0, 1))).unwrap(),
        0..1
    );
    let next = taken(producers.try_submit(batch("a", 0, 2, 1)));
    assert_eq!(
        repeated(producers.submit(batch("a", 0, 1, 1))).unwrap(),
        1..2
    );
    let crashed = disk.crash(Survivors::LoseAll);
    assert_eq!(log.end_offset(), 3);
    assert_eq!(ticket.wait().unwrap(), 1..2);
    assert_eq!(next.wait().unwrap(), 2..3);
    let (log, producers) = open(&crashed);
    assert_eq!(log.end_offset(), 3);
    assert_eq!(
        repeated(producers.submit(batch("a", 0, 1, 1))).unwrap(),
        1..2
    );
}

#[test]
fn a_resend_is_not_acknowledged_when_the_sync_of_the_first_fails() {
    let disk = SimDisk::new();
    let (_, producers) = open(&disk);
    taken(producers.submit(batch("a", 0, 0, 1))).wait().unwrap();
    let ticket = taken(producers.try_submit(batch("a", 0, 1, 1)));
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    let error = producers.submit(batch("a", 0, 1, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    ticket.wait().unwrap_err();
}

#[test]
fn a_batch_that_fails_is_taken_back_with_all_after_it() {
    let disk = SimDisk::new();
    let (log, producers) = open(&disk);
    taken(producers.submit(batch("a", 0, 0, 1))).wait().unwrap();
    let lost = taken(producers.try_submit(batch("a", 0, 1, 1)));
    let other = taken(producers.try_submit(batch("b", 0, 0, 1)));
    disk.set_capacity(Some(0));
    for ticket in [lost, other] {
        let error = ticket.wait().unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::DiskFull, Outcome::NotAppended)
        );
    }
    disk.set_capacity(None);
    // The log gives the offset to the next append. It must not be the batch after the one that is missing.
    assert_eq!(
        refused(producers.try_submit(batch("a", 0, 2, 1))),
        Refused::Gap { expected: 1 }
    );
    assert_eq!(
        taken(producers.try_submit(batch("b", 0, 0, 1)))
            .wait()
            .unwrap(),
        1..2
    );
    assert_eq!(
        taken(producers.try_submit(batch("a", 0, 1, 1)))
            .wait()
            .unwrap(),
        2..3
    );
    assert_eq!(
        taken(producers.try_submit(batch("a", 0, 2, 1)))
            .wait()
            .unwrap(),
        3..4
    );
    assert_eq!(log.len(), 4);
}

#[test]
fn an_append_with_an_expected_offset_is_compared_with_the_end_after_a_failure() {
    let disk = SimDisk::new();
    let (_, producers) = open(&disk);
    taken(producers.submit(batch("a", 0, 0, 1))).wait().unwrap();
    let failed = taken(producers.try_submit(batch("a", 0, 1, 1)));
    let error = producers.try_submit(Append::new(["x"]).at(1)).unwrap_err();
    assert!(
        matches!(error.reason, Reason::EndMoved { end, .. } if end == 2),
        "{error}"
    );
    disk.set_capacity(Some(0));
    failed.wait().unwrap_err();
    disk.set_capacity(None);
    assert_eq!(
        taken(producers.try_submit(Append::new(["x"]).at(1)))
            .wait()
            .unwrap(),
        1..2
    );
    assert_eq!(
        taken(producers.submit(batch("a", 0, 1, 1))).wait().unwrap(),
        2..3
    );
}

#[test]
fn the_first_snapshot_is_stored_before_the_first_batch() {
    let disk = SimDisk::new();
    let (log, producers) = open(&disk);
    taken(producers.try_submit(Append::new(["x"])))
        .wait()
        .unwrap();
    assert!(OnDisk(disk.directory()).load().unwrap().is_none());
    let attempt = producers.try_submit(batch("a", 0, 0, 1));
    assert!(matches!(attempt, Ok(Submitted::Blocked(_))), "{attempt:?}");
    disk.inject(
        When::Next(CallKind::Rename, 0),
        Fault::error(io::ErrorKind::StorageFull),
    );
    let attempt = producers.submit(batch("a", 0, 0, 1));
    assert!(
        matches!(attempt, Ok(Submitted::Refused(Error::Storage { .. }))),
        "{attempt:?}"
    );
    assert_eq!(log.len(), 1);
    taken(producers.submit(batch("a", 0, 0, 1))).wait().unwrap();
    let crashed = disk.crash(Survivors::LoseAll);
    let bytes = OnDisk(crashed.directory()).load().unwrap().unwrap();
    let (stored, end) = Producers::decode(&bytes, id().get()).unwrap();
    assert_eq!((stored.len(), end), (0, Offset::new(1)));
}

/// A log with batches of `a` and `b`, whose snapshot covers that of `a` alone.
fn with_snapshot(disk: &SimDisk) {
    let (log, producers) = open(disk);
    taken(producers.submit(batch("a", 0, 0, 3))).wait().unwrap();
    producers.store_snapshot().unwrap();
    taken(producers.submit(batch("b", 0, 0, 20)))
        .wait()
        .unwrap();
    log.close().unwrap();
}

#[test]
fn a_snapshot_that_is_not_of_this_log_is_replaced_by_what_the_records_say() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 4] = [
        |bytes| bytes[40] ^= 1,
        |bytes| bytes.truncate(9),
        Vec::clear,
        |bytes| *bytes = Producers::new().encode(7, Offset::ZERO),
    ];
    for damage in damages {
        let disk = SimDisk::new();
        with_snapshot(&disk);
        let mut bytes = disk.read_file("producers");
        damage(&mut bytes);
        disk.write_file("producers", &bytes);
        let (_, producers) = open(&disk);
        assert_eq!(
            repeated(producers.submit(batch("a", 0, 0, 3))).unwrap(),
            0..3
        );
        assert_eq!(
            repeated(producers.submit(batch("b", 0, 0, 20))).unwrap(),
            3..23
        );
        let bytes = disk.crash(Survivors::LoseAll).read_file("producers");
        let (stored, end) = Producers::decode(&bytes, id().get()).unwrap();
        assert_eq!((stored.len(), end), (2, Offset::new(23)));
    }
}

#[test]
fn a_snapshot_beyond_the_end_is_not_used_when_the_log_has_grown_past_it() {
    let disk = SimDisk::new();
    with_snapshot(&disk);
    let mut foreign = Producers::new();
    foreign.accept(
        &Producer::new("c", 0, 0).unwrap(),
        (22..24).into(),
        SystemTime::now(),
    );
    disk.write_file("producers", &foreign.encode(id().get(), Offset::new(24)));
    let (log, producers) = open(&disk);
    assert_eq!(producers.get("c"), None);
    log.append_batch(["x", "y"]).unwrap();
    drop((log, producers));
    let (_, producers) = open(&disk);
    assert_eq!(producers.get("c"), None);
    assert_eq!(producers.len(), 2);
}

#[test]
fn producers_whose_records_went_before_a_snapshot_covered_them_are_unknown() {
    let disk = SimDisk::new();
    with_snapshot(&disk);
    let log = Log::open_in(disk.directory(), &options(Durability::Synced)).unwrap();
    // As retention does, which asks nobody.
    log.trim(20).unwrap();
    log.close().unwrap();
    let (_, producers) = open(&disk);
    assert_eq!(
        refused(producers.submit(batch("a", 0, 3, 1))),
        Refused::Unknown
    );
    assert_eq!(
        refused(producers.submit(batch("b", 0, 20, 1))),
        Refused::Unknown
    );
    taken(producers.submit(batch("b", 1, 0, 1))).wait().unwrap();
}

#[test]
fn producers_are_kept_through_a_trim_that_is_preceded_by_a_snapshot() {
    let disk = SimDisk::new();
    with_snapshot(&disk);
    let (log, producers) = open(&disk);
    producers.store_snapshot().unwrap();
    log.trim(23).unwrap();
    drop((log, producers));
    let (_, producers) = open(&disk.crash(Survivors::LoseAll));
    assert_eq!(
        repeated(producers.submit(batch("b", 0, 0, 20))).unwrap(),
        3..23
    );
    taken(producers.submit(batch("a", 0, 3, 1))).wait().unwrap();
}

#[test]
fn damage_makes_unknown_what_it_may_concern_and_nothing_else() {
    let disk = SimDisk::new();
    let (log, producers) = open(&disk);
    for (id, sequence) in [("a", 0), ("b", 0), ("c", 0), ("a", 1)] {
        taken(producers.submit(batch(id, 0, sequence, 1)))
            .wait()
            .unwrap();
    }
    log.close().unwrap();
    let segment = "00000000000000000000.log";
    let bytes = disk.read_file(segment);
    let at = bytes
        .windows(5)
        .position(|window| window == b"c/0/0")
        .unwrap();
    disk.flip(segment, at as u64, 0);
    let (log, producers) = open(&disk);
    assert_eq!(log.read(2).unwrap_err().kind(), ErrorKind::Corrupt);
    taken(producers.submit(batch("a", 0, 2, 1))).wait().unwrap();
    assert_eq!(
        refused(producers.submit(batch("b", 0, 1, 1))),
        Refused::Unknown
    );
    assert_eq!(
        refused(producers.submit(batch("c", 0, 1, 1))),
        Refused::Unknown
    );
}

#[test]
fn a_snapshot_is_due_after_batches_bytes_or_time() {
    let disk = SimDisk::new();
    let (_, producers) = open(&disk);
    let now = Instant::now();
    let (soon, late) = (now + 2 * AGE_MIN, now + 2 * AGE_MAX);
    taken(producers.submit(Append::new(["x"]))).wait().unwrap();
    assert!(!producers.is_snapshot_due(late), "there is no producer");
    let mut tickets = Vec::new();
    for sequence in 0..BATCHES_MAX {
        assert!(!producers.is_snapshot_due(soon), "{sequence}");
        tickets.push(taken(producers.submit(batch("a", 0, sequence, 1))));
        assert!(producers.is_snapshot_due(late));
    }
    assert!(producers.is_snapshot_due(soon));
    assert!(!producers.is_snapshot_due(now), "not as often as all that");
    producers.store_snapshot().unwrap();
    assert!(!producers.is_snapshot_due(late));
    let large = vec![0; 1 << 19];
    for _ in 0..BYTES_MAX >> 19 {
        assert!(!producers.is_snapshot_due(soon));
        taken(producers.submit(Append::new([large.clone()])))
            .wait()
            .unwrap();
    }
    assert!(producers.is_snapshot_due(soon));
}

#[test]
fn the_producers_of_all_logs_are_bounded() {
    let limit = ProducerLimit::new(2);
    let open = || LogProducers::open(Arc::new(MemoryLog::new()), id(), None, &limit).unwrap();
    let logs = [open(), open()];
    taken(logs[0].submit(batch("a", 0, 0, 1))).wait().unwrap();
    taken(logs[1].submit(batch("b", 0, 0, 1))).wait().unwrap();
    let third = logs[1].submit(batch("c", 0, 0, 1));
    assert!(
        matches!(third, Ok(Submitted::Refused(Error::TooManyProducers))),
        "{third:?}"
    );
    taken(logs[1].submit(batch("b", 0, 1, 1))).wait().unwrap();
    // After an hour the one that was unused for longest makes room, whatever its log.
    assert!(!limit.make_room(SystemTime::now()));
    assert!(limit.make_room(SystemTime::now() + Duration::from_hours(1)));
    assert_eq!((logs[0].len(), logs[1].len()), (0, 1));
    taken(logs[1].submit(batch("c", 0, 0, 1))).wait().unwrap();
    let [_, second] = logs;
    drop(second);
    assert!(limit.make_room(SystemTime::now()));
}

#[test]
fn each_record_is_appended_once_whatever_is_resent_at_the_same_time() {
    const BATCHES: u64 = 200;
    let disk = SimDisk::new();
    let durable = LogOptions::new().segment_bytes_max(16 << 10);
    let (log, producers) = open_with(&disk, &durable).unwrap();
    let repeats = AtomicU64::new(0);
    thread::scope(|scope| {
        for id in ["a", "b", "c"] {
            // Two threads send the same batches, each as fast as it can.
            for _ in 0..2 {
                scope.spawn(|| {
                    for sequence in 0..BATCHES {
                        let append = batch(id, 0, sequence * 2, 2);
                        let submitted = match producers.try_submit(append) {
                            Ok(Submitted::Blocked(append)) => producers.submit(append),
                            submitted => submitted,
                        };
                        match submitted.unwrap() {
                            Submitted::Taken(ticket) => _ = ticket.wait().unwrap(),
                            Submitted::Repeated(_) => _ = repeats.fetch_add(1, Ordering::Relaxed),
                            other => panic!("{other:?}"),
                        }
                    }
                });
            }
        }
        scope.spawn(|| {
            while log.len() < BATCHES {
                producers.store_snapshot().unwrap();
                log.append("x").unwrap_or_default();
            }
        });
    });
    assert_eq!(repeats.into_inner(), 3 * BATCHES);
    for id in ["a", "b", "c"] {
        let values = log.records(..).map(|record| record.unwrap().value);
        let own = values.filter(|value| value.starts_with(id.as_bytes()));
        let expected = (0..2 * BATCHES).map(|number| format!("{id}/0/{number}"));
        assert!(own.eq(expected), "{id}");
    }
}
