//! A log, and the plain `Vec` of records that it must equal.

use proglog_log::{
    Batch, CommitLog, Durability, ErrorKind, Log, LogOptions, Offset, Offsets, Reason, Record,
    Ticket,
};

use crate::keepers::Keeper;
use crate::ops::Op;

/// A log and what it must hold.
pub(crate) struct Model<'a> {
    keeper: &'a mut dyn Keeper,
    options: LogOptions,
    durability: Durability,
    pub(crate) log: Box<dyn CommitLog>,
    pub(crate) on_disk: Option<Log>,
    /// Start of the log: records below it were dropped.
    pub(crate) start: usize,
    /// All records that were given offsets, and what stands for those that a reset left out.
    pub(crate) records: Vec<Record>,
    /// End of what was published.
    pub(crate) published: usize,
    /// Ends of batches and of truncations, with 0.
    ends: Vec<usize>,
    /// Number of acknowledged records, which can be read.
    pub(crate) acknowledged: usize,
    /// Number of records that survive a kill.
    safe: usize,
    /// The most that was ever seen to be readable.
    seen: usize,
    tickets: Vec<(Ticket, usize)>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(
        keeper: &'a mut dyn Keeper,
        durability: Durability,
        segment_bytes: u64,
    ) -> Self {
        let options = LogOptions::new()
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

    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Append(record) => {
                let offset = self.log.append(record.clone()).unwrap();
                assert_eq!(offset, self.assign(vec![record]).start);
                self.acknowledge(self.records.len());
            }
            Op::Batch(records) => self.batch(records),
            Op::ManySmall(count) => self.batch(vec![Record::new("."); count]),
            Op::Submit(records) => {
                let ticket = self.log.submit_batch(Batch::from(records.clone())).unwrap();
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
        let submitted = self
            .log
            .submit_batch_at(expected.into(), records.clone().into());
        if right {
            let ticket = submitted.unwrap();
            assert_eq!(ticket.offsets(), self.assign(records));
            self.tickets.push((ticket, self.records.len()));
        } else {
            let error = submitted.unwrap_err();
            assert!(matches!(error.reason, Reason::EndMoved { end: told, .. } if told == end));
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
            let kind = if end < self.start {
                ErrorKind::Trimmed
            } else {
                ErrorKind::OutOfRange
            };
            assert_eq!(truncated.unwrap_err().kind(), kind);
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
            assert!(matches!(error.reason, Reason::ResetBelowEnd { .. }));
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
        let published = log.set_high_watermark(offset(end));
        if end > self.records.len() {
            assert_eq!(published.unwrap_err().kind(), ErrorKind::OutOfRange);
        } else {
            published.unwrap();
            self.published = self.published.max(end);
        }
    }

    fn batch(&mut self, records: Vec<Record>) {
        let offsets = self.log.append_batch(Batch::from(records.clone())).unwrap();
        assert_eq!(offsets, self.assign(records));
        if !offsets.is_empty() {
            self.acknowledge(self.records.len());
        }
    }

    fn assign(&mut self, records: Vec<Record>) -> Offsets {
        let start = Offset::new(self.records.len() as u64);
        self.records.extend(records);
        self.ends.push(self.records.len());
        Offsets::new(start, self.records.len() as u64)
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

    pub(crate) fn reopen(&mut self) {
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

    pub(crate) fn end(&self) -> usize {
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
}

pub(crate) fn offset(index: usize) -> Offset {
    Offset::new(index as u64)
}
