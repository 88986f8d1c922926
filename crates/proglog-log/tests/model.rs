//! Whatever is done to a log, in whatever order, it holds what a plain `Vec` of records holds: on the
//! operating system's files, on the simulated disk, where the process is killed too, and in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use proglog_log::{
    Batch, CommitLog, Durability, ErrorKind, Log, MemoryLog, Offset, Options, Record, Ticket,
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
        2 => Just(Op::Reopen),
        2 => Just(Op::Kill),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..60)
}

/// What keeps a log while nobody has it open.
trait Keeper {
    fn open(&self, options: &Options) -> Box<dyn CommitLog>;

    /// The process ends, if it can without closing the log. Returns whether it did.
    fn kill(&mut self) -> bool;

    /// Whether a log that was closed can be opened again.
    fn reopens(&self) -> bool {
        true
    }
}

fn opened(log: Log) -> Box<dyn CommitLog> {
    // Only whole writes were made, so nothing is torn, and nothing was damaged.
    assert_eq!(log.recovery().set_aside, None);
    assert_eq!(log.recovery().damaged, None);
    assert_eq!(log.recovery().records.end, log.end_offset());
    Box::new(log)
}

impl Keeper for TempDir {
    fn open(&self, options: &Options) -> Box<dyn CommitLog> {
        opened(Log::open(self.path(), options).unwrap())
    }

    fn kill(&mut self) -> bool {
        false
    }
}

impl Keeper for SimDisk {
    fn open(&self, options: &Options) -> Box<dyn CommitLog> {
        opened(Log::open_in(self.directory(), options).unwrap())
    }

    fn kill(&mut self) -> bool {
        *self = self.crash(Survivors::KeepAll);
        true
    }
}

impl Keeper for MemoryLog {
    fn open(&self, _: &Options) -> Box<dyn CommitLog> {
        Box::new(self.clone())
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
    /// All records that were given offsets.
    records: Vec<Record>,
    /// Where batches end; 0 is one of them.
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
        let log = keeper.open(&options);
        Self {
            keeper,
            options,
            durability,
            log,
            records: Vec::new(),
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
            Op::Reopen => self.reopen(),
            Op::Kill => self.kill(),
        }
        self.check_ends();
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
        self.log = self.keeper.open(&self.options);
        assert_eq!(self.end(), self.records.len());
    }

    fn kill(&mut self) {
        if !self.keeper.kill() {
            return;
        }
        self.tickets.clear();
        self.log = self.keeper.open(&self.options);
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
        assert_eq!(self.log.start_offset(), Offset::ZERO);
        assert!(self.acknowledged <= end && self.seen <= end && end <= self.records.len());
        assert!(
            self.ends.contains(&end),
            "a batch is seen in part, up to {end}"
        );
        self.seen = end;
    }

    /// A place up to a little past the end.
    fn place(&self, part: u16) -> usize {
        (self.records.len() + 3) * usize::from(part) / (1 << 16)
    }

    fn read(&self, offset: usize) {
        let before = self.end();
        match self.log.read(Offset::new(offset as u64)) {
            Ok(record) => {
                assert!(offset < self.end());
                self.assert_right(offset, &record);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfRange);
                assert!(offset >= before);
            }
        }
    }

    fn iterate(&self, from: usize, count: usize) {
        let before = self.end();
        let mut next = from;
        for record in self.log.records(Offset::new(from as u64)).take(count) {
            match record {
                Ok(record) => self.assert_right(next, &record),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::OutOfRange);
                    assert!(from > before && next == from);
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
        let expected = Record {
            offset: offset as u64,
            appended_at: record.appended_at,
            ..self.records[offset].clone()
        };
        assert_eq!(*record, expected);
    }

    fn check_all(&self) {
        let mut last = i64::MIN;
        let mut count = 0;
        for record in self.log.records(Offset::ZERO) {
            let record = record.unwrap();
            self.assert_right(count, &record);
            assert!(record.appended_at >= last, "time went back");
            last = record.appended_at;
            count += 1;
        }
        assert!(count >= self.acknowledged);
        (0..self.end())
            .step_by(7)
            .for_each(|offset| self.read(offset));
    }
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
