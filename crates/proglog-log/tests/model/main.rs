//! Whatever is done to a log, in whatever order, it holds what a plain `Vec` of records holds: on the
//! operating system's files, on the simulated disk, where the process is killed too, and in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use proglog_log::{
    Batch, CommitLog, Durability, Error, ErrorKind, Log, MemoryLog, NextTimeoutError, Offset,
    Options, Record, Ticket, Visibility,
};
use proglog_store::testing::{SimDisk, Survivors};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

/// One thing that is done to a log. Places are parts in 2^16 of what there is.
#[derive(Debug, Clone)]
enum Op {
    Append(Record),
    Batch(Vec<Record>),
    /// Many small records.
    ManySmall(usize),
    /// A batch that nobody waits for yet.
    Submit(Vec<Record>),
    /// Waits for the submitted ones, the newest first if so asked.
    Wait(bool),
    TooLarge,
    Sync,
    Read(u16),
    Iterate(u16, usize),
    /// Appends at the offset that comes next, or where another does.
    SubmitAt(bool, Vec<Record>),
    Follow(u16, usize),
    Trim(u16),
    /// The rest is only for a log on disk.
    Truncate(u16),
    Reset(u64),
    Publish(u16),
    ReadBatch(u16, usize),
    OffsetAt(u16),
    Reopen,
    Kill,
}

fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![
        8 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 500..1500),
        1 => Just(vec![7; 20_000]),
    ];
    let key = proptest::option::of(vec(any::<u8>(), 0..10));
    let headers = vec(("[a-z]{0,5}", vec(any::<u8>(), 0..5)), 0..2);
    (value, key, headers, any::<Option<i64>>()).prop_map(|(value, key, headers, timestamp)| {
        let mut record = Record::new(value);
        (record.key, record.timestamp) = (key.map(Into::into), timestamp);
        let with = |record: Record, (name, value)| record.with_header(name, value);
        headers.into_iter().fold(record, with)
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => record().prop_map(Op::Append),
        4 => vec(record(), 0..6).prop_map(Op::Batch),
        1 => (1..700_usize).prop_map(Op::ManySmall),
        6 => vec(record(), 0..4).prop_map(Op::Submit),
        3 => any::<bool>().prop_map(Op::Wait),
        1 => Just(Op::TooLarge),
        2 => Just(Op::Sync),
        6 => any::<u16>().prop_map(Op::Read),
        3 => (any::<u16>(), 0..50_usize).prop_map(|(from, count)| Op::Iterate(from, count)),
        3 => (any::<bool>(), vec(record(), 0..3)).prop_map(|(right, batch)| Op::SubmitAt(right, batch)),
        2 => (any::<u16>(), 0..50_usize).prop_map(|(from, count)| Op::Follow(from, count)),
        3 => any::<u16>().prop_map(Op::Trim),
        2 => any::<u16>().prop_map(Op::Truncate),
        1 => (0..100_u64).prop_map(Op::Reset),
        2 => any::<u16>().prop_map(Op::Publish),
        3 => (any::<u16>(), 0..5000_usize).prop_map(|(from, bytes)| Op::ReadBatch(from, bytes)),
        2 => any::<u16>().prop_map(Op::OffsetAt),
        2 => Just(Op::Reopen),
        2 => Just(Op::Kill),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..60)
}

/// What keeps a log while nobody has it open.
trait Keeper {
    fn open(&self, options: &Options) -> Opened;

    /// The process ends, if it can without closing the log. Returns whether it did.
    fn kill(&mut self) -> bool;

    /// Whether a log that was closed can be opened again.
    fn reopens(&self) -> bool {
        true
    }
}

/// An open log, and once more if it is one on disk.
type Opened = (Box<dyn CommitLog>, Option<Log>);

fn opened(log: Log) -> Opened {
    // Only whole writes were made, so nothing is torn, and nothing was damaged.
    assert_eq!(log.recovery().set_aside, None);
    assert_eq!(log.recovery().damaged, None);
    assert_eq!(log.recovery().records.end, log.end_offset());
    (Box::new(log.clone()), Some(log))
}

impl Keeper for TempDir {
    fn open(&self, options: &Options) -> Opened {
        opened(Log::open(self.path(), options).unwrap())
    }

    fn kill(&mut self) -> bool {
        false
    }
}

impl Keeper for SimDisk {
    fn open(&self, options: &Options) -> Opened {
        opened(Log::open_in(self.directory(), options).unwrap())
    }

    fn kill(&mut self) -> bool {
        *self = self.crash(Survivors::KeepAll);
        true
    }
}

impl Keeper for MemoryLog {
    fn open(&self, _: &Options) -> Opened {
        (Box::new(self.clone()), None)
    }

    fn kill(&mut self) -> bool {
        false
    }

    fn reopens(&self) -> bool {
        false
    }
}

/// A log and what it must hold.
struct Model<'a> {
    keeper: &'a mut dyn Keeper,
    options: Options,
    durability: Durability,
    log: Box<dyn CommitLog>,
    on_disk: Option<Log>,
    /// What is below it was dropped.
    start: usize,
    /// All records that were given offsets, and what stands for those that a reset left out.
    records: Vec<Record>,
    /// What readers are allowed to see that see what is published.
    published: usize,
    /// Where batches end, or the log was cut; 0 is one of them.
    ends: Vec<usize>,
    /// How many of them were acknowledged, and so can be read.
    acknowledged: usize,
    /// How many of them survive a kill.
    safe: usize,
    /// The most that was ever seen to be readable.
    seen: usize,
    tickets: Vec<(Ticket, usize)>,
}

impl<'a> Model<'a> {
    fn new(keeper: &'a mut dyn Keeper, durability: Durability, segment_bytes: u64) -> Self {
        let options = Options::new()
            .durability(durability)
            .segment_bytes_max(segment_bytes);
        let (log, on_disk) = keeper.open(&options);
        Self {
            keeper,
            options,
            durability,
            log,
            on_disk,
            start: 0,
            records: Vec::new(),
            published: 0,
            ends: vec![0],
            acknowledged: 0,
            safe: 0,
            seen: 0,
            tickets: Vec::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Append(record) => {
                let offset = self.log.append(record.clone()).unwrap();
                assert_eq!(offset, self.assign(vec![record]).start);
                self.acknowledge(self.records.len());
            }
            Op::Batch(records) => self.batch(records),
            Op::ManySmall(count) => self.batch(vec![Record::new("."); count]),
            Op::Submit(records) => {
                let ticket = self.log.submit(Batch::from(records.clone())).unwrap();
                assert_eq!(ticket.offsets(), self.assign(records));
                self.tickets.push((ticket, self.records.len()));
            }
            Op::Wait(newest_first) => self.wait(newest_first),
            Op::TooLarge => {
                let error = self.log.append(vec![0; (1 << 20) + 1].into()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TooLarge);
            }
            Op::Sync => {
                self.log.sync().unwrap();
                self.acknowledge(self.records.len());
                self.safe = self.records.len();
            }
            Op::Read(place) => self.read(self.place(place)),
            Op::Iterate(place, count) => self.iterate(self.place(place), count),
            Op::SubmitAt(right, records) => self.submit_at(right, records),
            Op::Follow(place, count) => self.follow(self.place(place), count),
            Op::Trim(place) => self.trim(self.place(place)),
            Op::Truncate(place) => self.truncate(self.place(place)),
            Op::Reset(left_out) => self.reset(left_out),
            Op::Publish(place) => self.publish(self.place(place)),
            Op::ReadBatch(place, bytes) => self.read_batch(self.place(place), bytes),
            Op::OffsetAt(place) => self.offset_at(self.place(place)),
            Op::Reopen => self.reopen(),
            Op::Kill => self.kill(),
        }
        self.check_ends();
    }

    fn submit_at(&mut self, right: bool, records: Vec<Record>) {
        let end = self.records.len() as u64;
        let expected = if right { end } else { end ^ 1 };
        let submitted = self.log.submit_at(expected.into(), records.clone().into());
        if right {
            let ticket = submitted.unwrap();
            assert_eq!(ticket.offsets(), self.assign(records));
            self.tickets.push((ticket, self.records.len()));
        } else {
            let error = submitted.unwrap_err();
            assert!(matches!(error, Error::EndMoved { end: told, .. } if told == end.into()));
        }
    }

    fn trim(&mut self, start: usize) {
        let before = self.end();
        match self.log.trim(offset(start)) {
            Ok(()) => {
                assert!(start <= self.end());
                self.start = self.start.max(start);
                // A log never ends below its start.
                self.safe = self.safe.max(start);
                self.acknowledge(self.start);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfRange);
                assert!(start > before);
            }
        }
    }

    fn truncate(&mut self, end: usize) {
        let Some(log) = self.on_disk.clone() else {
            return;
        };
        let truncated = log.truncate(offset(end));
        if end < self.start || end > self.records.len() {
            assert_eq!(truncated.unwrap_err().kind(), ErrorKind::OutOfRange);
            return;
        }
        truncated.unwrap();
        if end < self.records.len() {
            // They are all durable by now, and some of them are gone.
            self.wait(false);
            self.was_cut(self.start, end);
        }
    }

    fn reset(&mut self, left_out: u64) {
        let Some(log) = self.on_disk.clone() else {
            return;
        };
        if let Some(below) = self.records.len().checked_sub(1) {
            let error = log.reset(offset(below)).unwrap_err();
            assert!(matches!(error, Error::ResetBelowEnd { .. }));
        }
        let next = self.records.len() + usize::try_from(left_out).unwrap();
        log.reset(offset(next)).unwrap();
        self.wait(false);
        self.was_cut(next, next);
    }

    fn was_cut(&mut self, start: usize, end: usize) {
        self.records.resize(end, Record::new("left out"));
        self.ends.retain(|batch_end| *batch_end < end);
        self.ends.push(end);
        self.start = start;
        self.published = self.published.min(end);
        (self.acknowledged, self.safe, self.seen) = (end, end, end);
        assert_eq!(self.end(), end);
    }

    fn publish(&mut self, end: usize) {
        let Some(log) = &self.on_disk else { return };
        let published = log.publish(offset(end));
        if end > self.records.len() {
            assert_eq!(published.unwrap_err().kind(), ErrorKind::OutOfRange);
        } else {
            published.unwrap();
            self.published = self.published.max(end);
        }
    }

    fn check_published(&self) {
        let Some(log) = &self.on_disk else { return };
        let reader = log.reader(Visibility::Published);
        let end = usize::try_from(reader.end_offset().get()).unwrap();
        let shown = self.published.max(self.start);
        assert!(end >= shown.min(self.acknowledged).max(self.start) && end <= shown);
        let read = reader.read(offset(end));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::OutOfRange);
        let appended = log.reader(Visibility::Appended).end_offset();
        assert_eq!(appended, offset(self.records.len()));
    }

    fn read_batch(&self, from: usize, bytes: usize) {
        let Some(log) = &self.on_disk else { return };
        let before = self.end();
        match log.read_batch(offset(from), bytes) {
            Ok(records) => {
                assert!(!records.is_empty() || from >= before);
                for (at, record) in (from..).zip(&records) {
                    self.assert_right(at, record);
                }
                let read = records.iter().map(|record| record.value.len());
                assert!(records.len() < 2 || read.sum::<usize>() <= bytes);
            }
            Err(error) => self.assert_no_record(from, before + 1, &error),
        }
    }

    fn offset_at(&self, at: usize) {
        let Some(log) = &self.on_disk else { return };
        let Ok(record) = log.read(offset(at)) else {
            return;
        };
        let found = log.offset_at(record.appended_at).unwrap();
        assert!(found <= offset(at));
        let time = |offset| log.read(offset).map(|record| record.appended_at);
        assert_eq!(time(found).unwrap(), record.appended_at);
        if found > log.start_offset() {
            assert!(time(Offset::new(found.get() - 1)).unwrap() < record.appended_at);
        }
    }

    fn follow(&self, from: usize, count: usize) {
        let before = self.end();
        let mut follower = self.log.follow(offset(from));
        for at in from..from + count {
            match follower.next_timeout(Duration::ZERO) {
                Ok(record) => self.assert_right(at, &record),
                Err(NextTimeoutError::TimedOut) => {
                    assert!(at >= before);
                    return;
                }
                Err(NextTimeoutError::Closed) => panic!("the log is open"),
                Err(NextTimeoutError::Failed(error)) => {
                    assert_eq!(at, from, "an error comes first");
                    self.assert_no_record(from, before + 1, &error);
                    return;
                }
            }
        }
    }

    /// There is an error where there is no record: below the start, or at or above `end`.
    fn assert_no_record(&self, offset: usize, end: usize, error: &Error) {
        if offset < self.start {
            assert_eq!(error.kind(), ErrorKind::Trimmed);
        } else {
            assert_eq!(error.kind(), ErrorKind::OutOfRange);
            assert!(offset >= end);
        }
    }

    fn batch(&mut self, records: Vec<Record>) {
        let offsets = self.log.append_batch(Batch::from(records.clone())).unwrap();
        assert_eq!(offsets, self.assign(records));
        if !offsets.is_empty() {
            self.acknowledge(self.records.len());
        }
    }

    fn assign(&mut self, records: Vec<Record>) -> std::ops::Range<Offset> {
        let start = Offset::new(self.records.len() as u64);
        self.records.extend(records);
        self.ends.push(self.records.len());
        start..Offset::new(self.records.len() as u64)
    }

    /// Groups are committed in their order: with one append all before it are acknowledged.
    fn acknowledge(&mut self, count: usize) {
        self.acknowledged = self.acknowledged.max(count);
        if self.durability != Durability::Buffered {
            self.safe = self.safe.max(self.acknowledged);
        }
    }

    fn wait(&mut self, newest_first: bool) {
        let mut tickets = std::mem::take(&mut self.tickets);
        if newest_first {
            tickets.reverse();
        }
        for (ticket, end) in tickets {
            let offsets = ticket.offsets();
            let is_empty = offsets.is_empty();
            assert_eq!(ticket.wait().unwrap(), offsets);
            if !is_empty {
                self.acknowledge(end);
            }
        }
    }

    fn reopen(&mut self) {
        if !self.keeper.reopens() {
            return;
        }
        self.log.close().unwrap();
        self.acknowledge(self.records.len());
        self.wait(false);
        self.safe = self.records.len();
        self.open();
        assert_eq!(self.end(), self.records.len());
    }

    fn open(&mut self) {
        (self.log, self.on_disk) = self.keeper.open(&self.options);
        self.published = self.start;
    }

    fn kill(&mut self) {
        if !self.keeper.kill() {
            return;
        }
        self.tickets.clear();
        self.open();
        let end = self.end();
        assert!(end >= self.safe, "{end} of {} safe records", self.safe);
        assert!(
            self.ends.contains(&end),
            "a batch was kept in part, up to {end}"
        );
        // What was seen in a log that survives kills is there again.
        assert!(self.durability == Durability::Buffered || end >= self.seen);
        self.records.truncate(end);
        self.ends.retain(|batch_end| *batch_end <= end);
        (self.acknowledged, self.safe, self.seen) = (end, end, end);
    }

    fn end(&self) -> usize {
        usize::try_from(self.log.end_offset().get()).unwrap()
    }

    fn check_ends(&mut self) {
        let end = self.end();
        assert_eq!(self.log.start_offset(), offset(self.start));
        self.check_published();
        assert!(self.acknowledged <= end && self.seen <= end && end <= self.records.len());
        assert!(
            self.ends.contains(&end),
            "a batch is seen in part, up to {end}"
        );
        self.seen = end;
    }

    /// A place from a little below the start up to a little past the end.
    fn place(&self, part: u16) -> usize {
        let from = self.start.saturating_sub(2);
        from + (self.records.len() + 3 - from) * usize::from(part) / (1 << 16)
    }

    fn read(&self, at: usize) {
        let before = self.end();
        match self.log.read(offset(at)) {
            Ok(record) => {
                assert!(at < self.end());
                self.assert_right(at, &record);
            }
            Err(error) => self.assert_no_record(at, before, &error),
        }
    }

    fn iterate(&self, from: usize, count: usize) {
        let before = self.end();
        let mut next = from;
        for record in self.log.records(Offset::new(from as u64)).take(count) {
            match record {
                Ok(record) => self.assert_right(next, &record),
                Err(error) => {
                    assert_eq!(next, from, "an error comes first");
                    self.assert_no_record(from, before + 1, &error);
                    return;
                }
            }
            next += 1;
        }
        assert!(
            next >= before.min(from + count),
            "it ended at {next} of {before}"
        );
    }

    fn assert_right(&self, offset: usize, record: &Record) {
        assert!(offset >= self.start, "{offset} was trimmed");
        let expected = Record {
            offset: offset as u64,
            appended_at: record.appended_at,
            ..self.records[offset].clone()
        };
        assert_eq!(*record, expected);
    }

    fn check_all(&self) {
        let mut last = i64::MIN;
        let mut next = self.start;
        for record in self.log.records(offset(self.start)) {
            let record = record.unwrap();
            self.assert_right(next, &record);
            assert!(record.appended_at >= last, "time went back");
            last = record.appended_at;
            next += 1;
        }
        assert!(next >= self.acknowledged);
        (self.start.saturating_sub(7)..self.end())
            .step_by(7)
            .for_each(|offset| self.read(offset));
    }
}

fn offset(index: usize) -> Offset {
    Offset::new(index as u64)
}

fn run(keeper: &mut dyn Keeper, durability: Durability, segment_bytes: u64, ops: Vec<Op>) {
    let mut model = Model::new(keeper, durability, segment_bytes);
    for op in ops {
        model.apply(op);
    }
    model.check_all();
    model.reopen();
    model.check_all();
    model.log.close().unwrap();
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![
        Just(Durability::Synced),
        Just(Durability::Interval(Duration::from_millis(1))),
        Just(Durability::INTERVAL),
        Just(Durability::Buffered),
    ]
}

fn segment_bytes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1 << 10), Just(8 << 10), Just(64 << 20)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_log_on_a_simulated_disk_is_a_vec_that_kills_cannot_shorten(
        durability in durability(), segment_bytes in segment_bytes(), ops in ops(),
    ) {
        run(&mut SimDisk::new(), durability, segment_bytes, ops);
    }

    #[test]
    fn a_log_in_memory_is_a_vec(ops in ops()) {
        run(&mut MemoryLog::new(), Durability::Buffered, 1 << 10, ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_log_on_the_operating_systems_files_is_a_vec(
        durability in durability(), segment_bytes in segment_bytes(), ops in ops(),
    ) {
        run(&mut tempfile::tempdir().unwrap(), durability, segment_bytes, ops);
    }
}
