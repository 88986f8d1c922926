//! A log of three segments whose files were damaged, and what must hold of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arbitrary::Unstructured;
use proglog_harness::damage::fixture::{CHECKPOINT, index, options, store};
use proglog_log::{
    CheckpointMismatch, Error, ErrorKind, Log, Offset, ReadOnlyLog, Reason, Records, StoredRecord,
};
use proglog_store::testing::SimDisk;

use crate::files;

/// The base offsets of the segments.
pub(crate) const BASES: [u64; 3] = [0, 8, 17];
/// More records than any damaged log can have.
const READ_MAX: u64 = 1000;

/// A log as it was written.
pub(crate) struct Original {
    pub(crate) disk: SimDisk,
    /// True if it was closed; otherwise its process was killed.
    pub(crate) closed: bool,
    pub(crate) records: Vec<StoredRecord>,
}

static CLOSED: LazyLock<Original> = LazyLock::new(|| Original::new("closed"));
static KILLED: LazyLock<Original> = LazyLock::new(|| Original::new("killed"));

/// One of the base offsets.
pub(crate) fn base(input: &mut Unstructured<'_>) -> arbitrary::Result<u64> {
    input.choose(&BASES).copied()
}

fn open(disk: &SimDisk) -> Result<Log, Error> {
    Log::open_in(disk.directory(), &options())
}

/// The visible part of a log: for each record its bytes, or that it is damaged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) start: u64,
    pub(crate) records: Vec<Option<StoredRecord>>,
}

impl Seen {
    /// The end of the log.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    pub(crate) fn is_whole(&self, original: &Original) -> bool {
        self.start == 0 && self.records.iter().flatten().eq(&original.records)
    }
}

impl Original {
    /// The log that was killed, or the one that was closed.
    pub(crate) fn of(is_killed: bool) -> &'static Self {
        if is_killed { &KILLED } else { &CLOSED }
    }

    fn new(name: &str) -> Self {
        let disk = SimDisk::new();
        let mut names = BASES.map(store).to_vec();
        names.extend(BASES.map(index));
        names.push(CHECKPOINT.to_owned());
        let closed = name == "closed";
        if !closed {
            names.retain(|name| *name != index(BASES[2]));
        }
        for name in names {
            let path = format!(
                "proglog-log/tests/data/v2/{}/{name}",
                if closed { "closed" } else { "killed" }
            );
            disk.write_file(&name, &files::read(&path));
        }
        let log = open(&disk.deep_clone()).expect("the log is whole");
        let records = log.records(0..).collect::<Result<_, _>>();
        Self {
            disk,
            closed,
            records: records.expect("all records are whole"),
        }
    }

    /// Checks the log on `disk`, a damaged copy of this one, and uses it further. If it does not open, it is repaired.
    ///
    /// `true_values` says that no checksum was recomputed after damage to a record: then each is what it was, or
    /// an error.
    pub(crate) fn check(&self, disk: &SimDisk, true_values: bool) -> Option<Seen> {
        let before = contents(disk);
        let read_only = read_only(disk);
        assert!(before == contents(disk), "a reader changed files");
        let log = match open(disk) {
            Ok(log) => log,
            Err(error) => {
                assert_kept(&before, disk, &error);
                let again = open(disk).err();
                assert_eq!(
                    again.map(|again| again.to_string()),
                    Some(error.to_string())
                );
                self.repair(disk, true_values);
                return None;
            }
        };
        let seen = see(&log);
        if true_values {
            self.assert_true(&seen);
            if let Some(seen) = &read_only {
                self.assert_true(seen);
            }
        }
        go_on(disk, log, &seen);
        Some(seen)
    }

    /// Uses the log on `disk` in all ways. Its files may hold anything with checksums that are right, so what it
    /// shows is not asked for: an offset may be there twice, say, and each way of reading find another one.
    pub(crate) fn survive(disk: &SimDisk) {
        _ = ReadOnlyLog::open_in(disk.directory()).map(|log| {
            let start = log.start_offset().get();
            (start..log.end_offset().get().min(start.saturating_add(READ_MAX)))
                .for_each(|offset| _ = log.read(offset));
        });
        for _ in 0..2 {
            match open(disk) {
                Ok(log) => use_up(&log),
                Err(_) => _ = Log::repair_in(disk.directory()),
            }
        }
    }

    fn assert_true(&self, seen: &Seen) {
        for (offset, record) in (seen.start..).zip(&seen.records) {
            let Some(record) = record else { continue };
            let written = usize::try_from(offset)
                .ok()
                .and_then(|at| self.records.get(at));
            assert_eq!(written, Some(record), "record {offset}");
        }
    }

    /// A log that does not open is repaired, if it can be, and opens then, unless a store is past help.
    fn repair(&self, disk: &SimDisk, true_values: bool) {
        let before = contents(disk);
        if Log::repair_in(disk.directory()).is_err() {
            assert!(
                before == contents(disk),
                "a repair failed, and changed files"
            );
            return;
        }
        let stores = |mut files: BTreeMap<String, Vec<u8>>| {
            files.remove(CHECKPOINT);
            files
        };
        assert!(
            stores(before) == stores(contents(disk)),
            "a repair changed a store"
        );
        if let Ok(log) = open(disk) {
            let seen = see(&log);
            if true_values {
                self.assert_true(&seen);
            }
            go_on(disk, log, &seen);
        }
    }
}

/// Checks that a failed opening changed nothing, except for a checkpoint, whose copies may be made
/// equal before that turns out not to fit the segments. A start after the end is found only once the newest
/// segment is recovered, which may add a mark.
fn assert_kept(before: &BTreeMap<String, Vec<u8>>, disk: &SimDisk, error: &Error) {
    let after = contents(disk);
    let is_recovered = matches!(
        error.reason,
        Reason::CheckpointMismatch {
            reason: CheckpointMismatch::StartPastEnd { .. },
            ..
        }
    );
    let is_kept = |(name, old): (&String, &Vec<u8>)| match after.get(name) {
        Some(_) if name == CHECKPOINT => true,
        Some(new) if is_recovered => new.starts_with(old),
        Some(new) => new == old,
        None => false,
    };
    let all_are = before.iter().all(is_kept);
    assert!(all_are, "{error}: files were changed");
}

/// All files but the lock's.
fn contents(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let mut names = disk.file_names();
    names.retain(|name| name != "LOCK");
    let bytes = |name: String| (name.clone(), disk.read_file(&name));
    names.into_iter().map(bytes).collect()
}

/// The view of a read-only log, which recovers nothing.
fn read_only(disk: &SimDisk) -> Option<Seen> {
    let log = ReadOnlyLog::open_in(disk.directory()).ok()?;
    let (start, end) = (log.start_offset().get(), log.end_offset().get());
    let offsets = start..end.min(start.saturating_add(READ_MAX));
    let records = offsets
        .map(|offset| kept(offset, log.read(offset)))
        .collect();
    Some(Seen { start, records })
}

/// A record, or that it is damaged: nothing else can keep it from being read.
fn kept(offset: u64, read: Result<StoredRecord, Error>) -> Option<StoredRecord> {
    match read {
        Ok(record) => {
            assert_eq!(record.offset, offset);
            Some(record)
        }
        Err(Error {
            reason: Reason::Corrupt { offset: named, .. },
            ..
        }) => {
            assert_eq!(named.get(), offset, "the error names the record");
            None
        }
        Err(error) => panic!("record {offset}: {error:?}"),
    }
}

/// Reads, appends to, drops from and closes a log, whatever comes of it.
fn use_up(log: &Log) {
    let start = log.start_offset().get();
    let end = log.end_offset().get().min(start.saturating_add(READ_MAX));
    (start..end).for_each(|offset| _ = log.read(offset));
    log.records(start..).take(1000).for_each(drop);
    let mut lent = log.records(start..);
    while let Some(Ok(_)) = lent.next_ref() {}
    _ = log.verify();
    _ = log.append("more");
    _ = log.trim(start + (end - start) / 2);
    _ = log.close();
}

/// Reads all records in all ways, which have to agree.
fn see(log: &Log) -> Seen {
    let (start, end) = (log.start_offset().get(), log.end_offset().get());
    assert!(start <= end && end - start <= READ_MAX, "{start}..{end}");
    let recovered = &log.recovery().records;
    assert_eq!((recovered.start.get(), recovered.end.get()), (start, end));
    let records = (start..end).map(|offset| kept(offset, log.read(offset)));
    let records = records.collect::<Vec<_>>();
    let in_a_row = walk(log, start, end, Iterator::next);
    assert_eq!(in_a_row, records, "one by one, and in a row");
    let lent = walk(log, start, end, |records| {
        Some(records.next_ref()?.map(|record| record.to_record()))
    });
    assert_eq!(lent, records, "one by one, and lent");
    let verified = log.verify().expect("the disk works");
    let damaged = verified.damaged.iter();
    let damaged = damaged.flat_map(|range| range.start.get()..range.end.get());
    let unread = (start..end).zip(&records);
    let unread = unread.filter_map(|(offset, record)| record.is_none().then_some(offset));
    assert!(damaged.eq(unread), "{:?}", verified.damaged);
    for behind in [end, end + 1, u64::MAX] {
        let error = log.read(behind).expect_err("it is past the end");
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
    }
    Seen { start, records }
}

/// Reads on after each error.
fn walk(
    log: &Log,
    start: u64,
    end: u64,
    next: impl Fn(&mut Records) -> Option<Result<StoredRecord, Error>>,
) -> Vec<Option<StoredRecord>> {
    let mut all = Vec::new();
    let mut offsets = start..end;
    while !offsets.is_empty() {
        let mut records = log.records(offsets.start..);
        while let Some(record) = next(&mut records) {
            all.push(kept(offsets.start, record));
            offsets.start += 1;
            if all.last() == Some(&None) {
                assert!(next(&mut records).is_none(), "it ends after an error");
                break;
            }
        }
    }
    all
}

/// A record is appended, the log is closed and opened again, and all is as it was.
fn go_on(disk: &SimDisk, log: Log, seen: &Seen) {
    let end = seen.end();
    let appended = log.append("more").expect("the disk works");
    assert_eq!(appended, Offset::new(end));
    log.close().expect("the disk works");
    drop(log);
    let log = open(disk).unwrap_or_else(|error| panic!("opened again: {error}"));
    assert!(log.recovery().clean && log.recovery().set_aside.is_none());
    let mut again = see(&log);
    let more = again.records.pop().flatten();
    assert_eq!(more.map(|record| record.value), Some("more".into()));
    assert_eq!(&again, seen, "opened again");
}
