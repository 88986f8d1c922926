//! Comparison of each way of reading with the model.

use std::time::Duration;

use proglog_log::{Error, ErrorKind, Offset, RecvTimeoutError, StoredRecord, Visibility};

use crate::state::{Model, offset};

impl Model<'_> {
    pub(crate) fn check_published(&self) {
        let Some(log) = &self.on_disk else { return };
        let reader = log.reader(Visibility::Committed);
        let end = usize::try_from(reader.end_offset().get()).unwrap();
        let shown = self.published.max(self.start);
        assert!(end >= shown.min(self.acknowledged).max(self.start) && end <= shown);
        let read = reader.read(offset(end));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::OutOfRange);
        let appended = log.reader(Visibility::Appended).end_offset();
        assert_eq!(appended, offset(self.records.len()));
    }

    pub(crate) fn read_batch(&self, from: usize, bytes: usize) {
        let Some(log) = &self.on_disk else { return };
        let before = self.end();
        match log.read_batch(offset(from), usize::MAX, bytes) {
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
        match log.try_read_batch(offset(from), 5, bytes) {
            Ok(records) => {
                let records = records.unwrap_or_default();
                assert!(records.len() <= 5);
                for (at, record) in (from..).zip(&records) {
                    self.assert_right(at, record);
                }
            }
            Err(error) => self.assert_no_record(from, before + 1, &error),
        }
    }

    pub(crate) fn offset_at(&self, at: usize) {
        let Some(log) = &self.on_disk else { return };
        let Ok(record) = log.read(offset(at)) else {
            return;
        };
        let found = log.offset_for_time(record.appended_at()).unwrap();
        assert!(found <= offset(at));
        let time = |offset| log.read(offset).map(|record| record.appended_at());
        assert_eq!(time(found).unwrap(), record.appended_at());
        if found > log.start_offset() {
            assert!(time(Offset::new(found.get() - 1)).unwrap() < record.appended_at());
        }
    }

    pub(crate) fn follow(&self, from: usize, count: usize) {
        let before = self.end();
        let mut follower = self.log.follow(offset(from));
        for at in from..from + count {
            match follower.recv_timeout(Duration::ZERO) {
                Ok(record) => self.assert_right(at, &record),
                Err(RecvTimeoutError::Timeout) => {
                    assert!(at >= before);
                    return;
                }
                Err(RecvTimeoutError::Closed) => panic!("the log is open"),
                Err(RecvTimeoutError::Failed(error)) => {
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

    pub(crate) fn read(&self, at: usize) {
        let before = self.end();
        match self.log.read(offset(at)) {
            Ok(record) => {
                assert!(at < self.end());
                self.assert_right(at, &record);
            }
            Err(error) => self.assert_no_record(at, before, &error),
        }
        match self.log.try_read(offset(at)) {
            Ok(record) => _ = record.inspect(|record| self.assert_right(at, record)),
            Err(error) => self.assert_no_record(at, before, &error),
        }
    }

    pub(crate) fn iterate(&self, from: usize, count: usize) {
        let before = self.end();
        let mut next = from;
        for record in self.log.records((from as u64..).into()).take(count) {
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

    pub(crate) fn assert_right(&self, offset: usize, record: &StoredRecord) {
        assert!(offset >= self.start, "{offset} was trimmed");
        let written = self.records[offset].clone();
        let expected = StoredRecord::new(offset as u64, record.appended_at(), written);
        assert_eq!(*record, expected);
    }

    pub(crate) fn check_all(&self) {
        let mut last = None;
        let mut next = self.start;
        for record in self.log.records((offset(self.start)..).into()) {
            let record = record.unwrap();
            self.assert_right(next, &record);
            let appended_at = Some(record.appended_at());
            assert!(appended_at >= last, "time went back");
            last = appended_at;
            next += 1;
        }
        assert!(next >= self.acknowledged);
        (self.start.saturating_sub(7)..self.end())
            .step_by(7)
            .for_each(|offset| self.read(offset));
    }
}
