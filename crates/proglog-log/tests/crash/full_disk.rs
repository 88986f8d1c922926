//! Full disks: at every byte and at every call of appending, rolling, trimming, truncating, resetting and closing.
//! Nothing that was acknowledged is damaged, and all operations work again once there is room.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use proglog_log::{Durability, Error, ErrorKind, Log, LogOptions, Offset, Outcome, Reason, Record};
use proglog_store::Error as StoreError;
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

/// Bytes of an empty log: its checkpoint, its reserve and the header of its segment.
const EMPTY: u64 = 32 << 10;
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
    /// Number of those that were trims.
    trims_refused: usize,
    /// Values refused since the last that was appended, without room to remove what was written of them.
    in_doubt: Vec<String>,
}

impl Held {
    fn of(log: Log) -> Self {
        Self {
            log,
            start: 0,
            values: VecDeque::new(),
            appended: 0,
            refused: 0,
            trims_refused: 0,
            in_doubt: Vec::new(),
        }
    }

    fn do_all(&mut self, what: &str) {
        for (number, step) in STEPS.iter().enumerate() {
            self.step(*step, &format!("{what}, step {number} ({step:?})"));
        }
    }

    /// Makes room, and checks that appends work, without a restart.
    fn continue_with_room(&mut self, disk: &SimDisk, what: &str) {
        let refused = self.refused;
        disk.set_capacity(None);
        self.step(Append(2), what);
        assert_eq!(self.refused, refused, "{what}: there is room again");
    }

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
            Trim(records) => self.trim((start + records).min(end), what),
            TrimAll => self.trim(end, what),
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

    fn trim(&mut self, start: u64, what: &str) {
        let refused = self.refused;
        self.cut(what, start, None, Log::trim);
        self.trims_refused += self.refused - refused;
    }

    fn append(&mut self, what: &str) {
        let value = format!("{:>120}", self.appended);
        self.appended += 1;
        match self.log.append(value.as_str()) {
            Ok(offset) => {
                assert_eq!(offset.get(), self.end(), "{what}");
                self.values.push_back(value);
                self.in_doubt.clear();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::DiskFull, "{what}: {error:?}");
                self.refused += 1;
                if error.outcome() == Outcome::Unknown {
                    self.in_doubt.push(value);
                }
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

    /// Takes a first part of what is in doubt for appended, if the log, opened again, has as much more.
    fn find_in_doubt(&mut self, log: &Log) {
        let found = log.end_offset().get().saturating_sub(self.end());
        let found = usize::try_from(found).unwrap().min(self.in_doubt.len());
        self.values.extend(self.in_doubt.drain(..found));
    }

    fn check_range(&self, log: &Log, what: &str) {
        let shown = log.start_offset().get()..log.end_offset().get();
        assert_eq!(shown, self.start..self.end(), "{what}");
    }

    fn check(&self, log: &Log, what: &str) {
        self.check_range(log, what);
        for (offset, value) in (self.start..).zip(&self.values) {
            let read = log
                .read(offset)
                .unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(read.value, value, "{what}");
        }
    }
}

fn options(durability: Durability) -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(1 << 10)
        .durability(durability)
        .idle_after(Duration::MAX)
}

/// The way in which a disk writes over bytes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    InPlace,
    /// To another place, which takes room, as metadata does too.
    Copies,
}

fn empty(kind: Disk) -> SimDisk {
    let disk = SimDisk::new();
    if kind == Disk::Copies {
        disk.write_copies();
    }
    disk
}

fn open(disk: &SimDisk, durability: Durability) -> Log {
    Log::open_in(disk.directory(), &options(durability)).unwrap()
}

/// Does all the steps on a disk of `capacity` bytes, then makes room. Returns how many were refused.
fn run(kind: Disk, durability: Durability, capacity: u64) -> usize {
    let what = &format!("{kind:?}, {durability:?} with {capacity} bytes");
    let disk = empty(kind);
    let mut held = Held::of(open(&disk, durability));
    disk.set_capacity(Some(capacity));
    held.do_all(what);
    assert!(held.in_doubt.is_empty() || kind == Disk::Copies, "{what}");
    // What is not synced yet needs room before it can be dropped.
    if durability == Durability::Synced {
        assert_eq!(held.trims_refused, 0, "{what}");
    }
    let refused = held.refused;
    if capacity.is_multiple_of(2) {
        held.continue_with_room(&disk, what);
        held.log.close().unwrap();
    } else {
        // What is only buffered has no place to go.
        let closed = held.log.close();
        disk.set_capacity(None);
        if closed.is_err() && durability == Durability::Buffered {
            return refused;
        }
    }
    let log = open(&disk, durability);
    held.find_in_doubt(&log);
    held.check(&log, what);
    let next = Offset::new(held.end());
    assert_eq!(log.append("goes on").unwrap(), next, "{what}");
    refused
}

/// Does all the steps on a disk on which `prepare` has a call find no room, for each call. Returns how many steps were
/// refused.
fn run_each_call(
    kind: Disk,
    durability: Durability,
    prepare: impl Fn(&SimDisk, u64, CallKind),
) -> usize {
    let disk = empty(kind);
    disk.count_only_changes();
    let mut held = Held::of(open(&disk, durability));
    disk.start_trace();
    held.do_all("with room");
    let mut refused = 0;
    for call in disk.trace() {
        let Some(number) = call.number else { continue };
        let what = &format!("{kind:?}, {durability:?}, {call:?}");
        let disk = empty(kind);
        disk.count_only_changes();
        let mut held = Held::of(open(&disk, durability));
        prepare(&disk, number, call.kind);
        held.do_all(what);
        refused += held.refused;
        held.continue_with_room(&disk, what);
        held.log.close().unwrap();
        held.check(&open(&disk, durability), what);
    }
    refused
}

/// Does all the steps with capacities below `enough`, from each odd and each even one on in steps of `step`. Returns how
/// many were refused.
fn run_all(disk: Disk, durability: Durability, enough: u64, step: usize) -> usize {
    let run_from = |first: u64| {
        let capacities = (first..enough).step_by(step);
        move || {
            capacities
                .map(|capacity| run(disk, durability, capacity))
                .sum()
        }
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
        let refused = run_all(Disk::InPlace, durability, enough, 2);
        assert!(refused > 7000, "{durability:?}: {refused}");
        assert_eq!(run(Disk::InPlace, durability, enough), 0, "{durability:?}");
    }
}

#[test]
fn a_full_disk_that_writes_nothing_in_place_loses_nothing_and_works_again_once_there_is_room() {
    for (durability, enough) in ENOUGH {
        let refused = run_all(Disk::Copies, durability, enough, 14);
        assert!(refused > 1000, "{durability:?}: {refused}");
    }
}

#[test]
fn a_disk_that_is_full_from_any_call_on_loses_nothing_and_works_again_once_there_is_room() {
    let fill = |disk: &SimDisk, call, _| disk.fill_at(call);
    for (durability, _) in ENOUGH {
        for kind in [Disk::InPlace, Disk::Copies] {
            let refused = run_each_call(kind, durability, fill);
            assert!(refused > 1000, "{kind:?}, {durability:?}: {refused}");
        }
    }
}

#[test]
fn a_call_that_finds_no_room_poisons_nothing_unless_it_is_a_sync() {
    for (durability, _) in ENOUGH {
        for written in [60, 2000] {
            let fail = |disk: &SimDisk, call, kind| {
                // After a failed sync it is unknown what is on the device.
                if !matches!(kind, CallKind::Sync | CallKind::SyncDirectory) {
                    let full = Fault::error(std::io::ErrorKind::StorageFull);
                    disk.inject(When::Call(call), full.after_writing(written));
                }
            };
            let refused = run_each_call(Disk::InPlace, durability, fail);
            assert!(refused > 30, "{durability:?}: {refused}");
        }
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
