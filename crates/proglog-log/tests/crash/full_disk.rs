//! Full disks: at every byte of appending, rolling, trimming, truncating, resetting and closing. Nothing that was
//! acknowledged is damaged, and all operations work again once there is room.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use proglog_log::{Durability, Error, ErrorKind, Log, LogOptions, Offset, Outcome, Reason, Record};
use proglog_store::Error as StoreError;
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

/// Bytes of an empty log: its checkpoint and the header of its segment.
const EMPTY: u64 = 24 << 10;
/// Most bytes that the steps below take, with each durability. A synced log has preallocated zeros too.
const ENOUGH: [(Durability, u64); 3] = [
    (Durability::Synced, EMPTY + (40 << 10)),
    (Durability::Interval(Duration::MAX), EMPTY + (28 << 10)),
    (Durability::Buffered, EMPTY + (27 << 10)),
];

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Append this number of records, one by one.
    Append(usize),
    /// Drop this number of the oldest, or all.
    Trim(u64),
    TrimAll,
    /// Drop this number of the newest.
    Truncate(u64),
    /// Drop all and leave out this number of offsets.
    Reset(u64),
}

use Step::{Append, Reset, Trim, TrimAll, Truncate};

const STEPS: &[Step] = &[
    Append(10),
    Trim(3),
    Append(3),
    Truncate(2),
    Append(7),
    Trim(7),
    Truncate(6),
    Append(2),
    TrimAll,
    Append(3),
    Reset(4),
    Append(2),
    Truncate(2),
    Append(2),
    Trim(1),
    Append(1),
];

/// A log, and what it holds.
struct Held {
    log: Log,
    start: u64,
    values: VecDeque<String>,
    /// Number of records ever appended: no two have the same value.
    appended: u64,
    /// Number of steps that the disk was too full for.
    refused: usize,
}

impl Held {
    fn end(&self) -> u64 {
        self.start + self.values.len() as u64
    }

    fn step(&mut self, step: Step, what: &str) {
        let (start, end) = (self.start, self.end());
        match step {
            Append(records) => {
                for _ in 0..records {
                    self.append(what);
                    self.check_range(&self.log, what);
                }
            }
            Trim(records) => self.cut(what, (start + records).min(end), None, Log::trim),
            TrimAll => self.cut(what, end, None, Log::trim),
            Truncate(records) => {
                let to = end.saturating_sub(records).max(start);
                self.cut(what, start, Some(to), |log, _| log.truncate(to));
            }
            Reset(left_out) => {
                let next = end + left_out;
                self.cut(what, next, Some(next), Log::reset);
            }
        }
        self.check(&self.log, what);
    }

    fn append(&mut self, what: &str) {
        let value = format!("{:>120}", self.appended);
        self.appended += 1;
        match self.log.append(value.as_str()) {
            Ok(offset) => {
                assert_eq!(offset.get(), self.end(), "{what}");
                self.values.push_back(value);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::DiskFull, "{what}: {error:?}");
                assert_eq!(error.outcome(), Outcome::NotAppended, "{what}");
                self.refused += 1;
            }
        }
    }

    /// Drops what is below `start`, or at and above `end`, by `cut`: wholly or not at all, but for a trim.
    fn cut(
        &mut self,
        what: &str,
        start: u64,
        end: Option<u64>,
        cut: impl Fn(&Log, u64) -> Result<(), Error>,
    ) {
        let cut = cut(&self.log, start);
        if let Err(error) = &cut {
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{what}: {error:?}");
            self.refused += 1;
        }
        let shown = self.log.start_offset().get()..self.log.end_offset().get();
        // A trim makes room by dropping the older records, and may have too little for the others all the same.
        let start = match &cut {
            Err(_) if end.is_none() => shown.start.clamp(self.start, start),
            _ => start,
        };
        let end = end.unwrap_or(self.end());
        if cut.is_ok() || shown == (start..end) {
            let kept = self.start.max(start)..end;
            let (from, old) = (self.start, std::mem::take(&mut self.values));
            let kept = (from..).zip(old).filter(|(at, _)| kept.contains(at));
            self.values = kept.map(|(_, value)| value).collect();
            self.start = start;
        }
    }

    fn check_range(&self, log: &Log, what: &str) {
        let shown = log.start_offset().get()..log.end_offset().get();
        assert_eq!(shown, self.start..self.end(), "{what}");
    }

    fn check(&self, log: &Log, what: &str) {
        self.check_range(log, what);
        for (offset, value) in (self.start..).zip(&self.values) {
            assert_eq!(log.read(offset).unwrap().value, value, "{what}");
        }
    }
}

fn options(durability: Durability) -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(1 << 10)
        .durability(durability)
        .idle_after(Duration::MAX)
}

/// Does all the steps on a disk of `capacity` bytes, then makes room. Returns how many were refused.
fn run(durability: Durability, capacity: u64) -> usize {
    let what = &format!("{durability:?} with {capacity} bytes");
    let disk = SimDisk::new();
    let open = || Log::open_in(disk.directory(), &options(durability)).unwrap();
    let mut held = Held {
        log: open(),
        start: 0,
        values: VecDeque::new(),
        appended: 0,
        refused: 0,
    };
    disk.set_capacity(Some(capacity));
    for (number, step) in STEPS.iter().enumerate() {
        held.step(*step, &format!("{what}, step {number} ({step:?})"));
    }
    let refused = held.refused;
    if capacity.is_multiple_of(2) {
        disk.set_capacity(None);
        held.step(Append(2), what);
        assert_eq!(held.refused, refused, "{what}: there is room again");
        held.log.close().unwrap();
    } else {
        // What is only buffered has no place to go.
        let closed = held.log.close();
        disk.set_capacity(None);
        if closed.is_err() && durability == Durability::Buffered {
            return refused;
        }
    }
    let log = open();
    held.check(&log, what);
    let next = Offset::new(held.end());
    assert_eq!(log.append("goes on").unwrap(), next, "{what}");
    refused
}

/// Does all the steps with each capacity below `enough`. Returns how many were refused.
fn run_all(durability: Durability, enough: u64) -> usize {
    let run_from = |first: u64| {
        let capacities = (first..enough).step_by(2);
        move || capacities.map(|capacity| run(durability, capacity)).sum()
    };
    // Two cores are what tests can count on.
    thread::scope(|scope| {
        let [even, odd] = [EMPTY, EMPTY + 1].map(|first| scope.spawn::<_, usize>(run_from(first)));
        even.join().unwrap() + odd.join().unwrap()
    })
}

#[test]
fn a_disk_that_is_full_at_any_byte_loses_nothing_and_works_again_once_there_is_room() {
    for (durability, enough) in ENOUGH {
        let refused = run_all(durability, enough);
        assert!(refused > 7000, "{durability:?}: {refused}");
        assert_eq!(run(durability, enough), 0, "{durability:?}");
    }
}

#[test]
fn appends_that_cannot_be_rolled_back_have_an_unknown_outcome_and_a_reason() {
    let disk = SimDisk::new();
    let options = LogOptions::new()
        .idle_after(Duration::MAX)
        .preallocate_max(0);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    // More than is gathered before it is written.
    let large = || Record::new(vec![7; 200 << 10]);
    let tickets = [(); 3].map(|()| log.submit(large()).unwrap());
    let full = Fault::error(std::io::ErrorKind::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full);
    // What the failed write left is removed, and what was written before it cannot be.
    disk.inject(When::Next(CallKind::SetLen, 1), Fault::os_error(5));
    for ticket in tickets {
        let error = ticket.wait().unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
        let Reason::Store(StoreError::WriteNotUndone { source, .. }) = &error.reason else {
            panic!("{error:?}");
        };
        assert_eq!(source.raw_os_error(), Some(5), "{error:?}");
    }
    let refused = log.append("more").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
}
