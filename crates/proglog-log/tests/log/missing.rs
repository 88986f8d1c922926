//! Segments that are missing, and were not trimmed: every way of opening names them, and shows all others.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use proglog_log::{ErrorKind, Log, Offset, ReadLog, ReadOnlyLog, Reason, Visibility};
use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::testing::{CallKind, SimDisk};

use crate::read_only::read;
use crate::support::{append, open, options, segments, value};

fn store_name(base: u64) -> String {
    format!("{base:020}.log")
}

/// A closed log of some segments, and their base offsets.
fn closed() -> (SimDisk, Vec<u64>) {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    log.close().unwrap();
    let bases = segments(&disk);
    assert!(bases.len() > 5);
    (disk, bases)
}

/// Checks that the records at `offsets` are there but for those at `missing`, which are in missing segments.
fn has_all_but(log: &impl ReadLog, offsets: Range<u64>, missing: &[Range<u64>]) {
    let is_missing = |offset| missing.iter().any(|range| range.contains(&offset));
    assert_eq!(log.offsets(), offsets.clone());
    for offset in offsets.clone() {
        let single = log.read(offset.into()).map(|record| record.value);
        let scanned = log.records((offset..).into()).next().unwrap();
        let scanned = scanned.map(|record| record.value);
        for read in [single, scanned] {
            match read {
                Ok(read) => {
                    assert_eq!(read, value(offset));
                    assert!(!is_missing(offset), "{offset}");
                }
                Err(error) => {
                    let Reason::MissingSegment { base_offset } = error.reason else {
                        panic!("{offset}: {error:?}")
                    };
                    assert!(is_missing(offset), "{offset}: {error}");
                    assert!(base_offset <= offset, "{base_offset} of {offset}");
                }
            }
        }
    }
}

fn verified(log: &ReadOnlyLog) -> Vec<Range<u64>> {
    let damaged = log.verify().unwrap().damaged;
    damaged
        .iter()
        .map(|range| range.start.get()..range.end.get())
        .collect()
}

/// The segment that opening the log names as missing.
fn refused(disk: &SimDisk) -> u64 {
    let error = Log::open_in(disk.directory(), &options()).unwrap_err();
    let Reason::MissingSegment { base_offset } = error.reason else {
        panic!("{error:?}")
    };
    base_offset.get()
}

#[test]
fn a_missing_segment_is_missing_in_every_way_of_opening_and_takes_no_other() {
    let (pristine, bases) = closed();
    for index in 0..bases.len() {
        let disk = pristine.deep_clone();
        let before = read(&disk);
        disk.remove_file(&store_name(bases[index]));
        let end = bases.get(index + 1).copied().unwrap_or(60);
        let missing = bases[index]..end;
        assert_eq!(refused(&disk), missing.start);
        let reader = read(&disk);
        // The files that it has open are still there for it.
        before.refresh().unwrap();
        for log in [&before, &reader] {
            has_all_but(log, 0..60, std::slice::from_ref(&missing));
            assert_eq!(verified(log), std::slice::from_ref(&missing));
            let error = log.read(missing.start).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(
                matches!(error.reason, Reason::MissingSegment { base_offset } if base_offset == missing.start),
                "{error:?}"
            );
        }
    }
}

#[test]
fn several_missing_segments_are_missing_and_take_no_others() {
    let (pristine, bases) = closed();
    let last = bases.len() - 1;
    for gone in [
        vec![1, 2, 3],
        vec![1, 3],
        vec![0, 1, 2],
        vec![0, 2],
        vec![last - 1, last],
        vec![0, 3, last],
    ] {
        let disk = pristine.deep_clone();
        let mut missing: Vec<Range<u64>> = Vec::new();
        for index in gone {
            disk.remove_file(&store_name(bases[index]));
            let end = bases.get(index + 1).copied().unwrap_or(60);
            match missing.last_mut() {
                Some(last) if last.end == bases[index] => last.end = end,
                _ => missing.push(bases[index]..end),
            }
        }
        let reader = read(&disk);
        has_all_but(&reader, 0..60, &missing);
        assert_eq!(verified(&reader), missing);
    }
}

#[test]
fn a_log_of_which_all_segments_are_missing_has_none_of_its_records() {
    let (disk, bases) = closed();
    for base in bases {
        disk.remove_file(&store_name(base));
    }
    let reader = read(&disk);
    let all = 0..60;
    has_all_but(&reader, all.clone(), std::slice::from_ref(&all));
    assert_eq!(verified(&reader), [all]);
}

#[test]
fn a_search_for_a_time_passes_over_a_gap_and_reads_the_directory_once() {
    let (disk, bases) = closed();
    let last = bases.len() - 1;
    for base in &bases[1..last] {
        disk.remove_file(&store_name(*base));
    }
    let reader = read(&disk);
    let first = reader.read(0).unwrap().appended_at();
    let newest = reader.read(bases[last]).unwrap().appended_at();
    disk.start_trace();
    assert_eq!(reader.offset_for_time(first).unwrap(), 0);
    let found = reader.offset_for_time(newest).unwrap();
    assert!(found <= bases[last]);
    let lists = disk.trace().into_iter();
    let lists = lists.filter(|call| call.kind == CallKind::List);
    assert_eq!(lists.count(), 2, "one each");
}

#[test]
fn trimmed_segments_are_trimmed_and_not_missing() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let reader = read(&disk);
    let bases = segments(&disk);
    log.trim(bases[3] + 1).unwrap();
    let error = reader.read(0).unwrap_err();
    assert!(matches!(error.reason, Reason::Trimmed { .. }), "{error:?}");
    let end = reader.end_offset().get();
    has_all_but(&reader, bases[3] + 1..end, &[]);
    assert_eq!(verified(&reader), []);
}

#[test]
fn what_was_trimmed_while_it_was_verified_is_not_reported() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let reader = read(&disk);
    let bases = segments(&disk);
    log.trim(bases[3]).unwrap();
    // The view is older than the trim.
    let old = reader.reader().verify().unwrap();
    let trimmed = 0..bases[3];
    assert_eq!(old.damaged, [trimmed]);
    assert_eq!(verified(&reader), []);
}

#[test]
fn a_missing_segment_that_comes_back_is_shown_again() {
    let (disk, bases) = closed();
    let name = store_name(bases[2]);
    let bytes = disk.read_file(&name);
    disk.remove_file(&name);
    let reader = read(&disk);
    reader.read(bases[2]).unwrap_err();
    disk.write_file(&name, &bytes);
    has_all_but(&reader, 0..60, &[]);
    assert_eq!(open(&disk).end_offset(), Offset::new(60));
}

#[test]
fn a_follower_goes_as_far_as_the_gap_and_a_new_one_follows_from_after_it() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let bases = segments(&disk);
    disk.remove_file(&store_name(bases[2]));
    let reader = read(&disk);
    let mut follower = reader.follow(0);
    for offset in 0..bases[2] {
        assert_eq!(follower.next().unwrap().unwrap().offset, offset);
    }
    let error = follower.next().unwrap().unwrap_err();
    assert!(
        matches!(error.reason, Reason::MissingSegment { .. }),
        "{error:?}"
    );
    let mut follower = reader.follow(bases[3]);
    append(&log, 60..70);
    for offset in bases[3]..69 {
        assert_eq!(follower.next().unwrap().unwrap().offset, offset);
    }
}

#[test]
fn an_open_log_names_a_segment_that_vanishes_and_goes_on() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let bases = segments(&disk);
    disk.remove_file(&store_name(bases[1]));
    let error = log.read(bases[1]).unwrap_err();
    assert!(
        matches!(error.reason, Reason::MissingSegment { base_offset } if base_offset == bases[1]),
        "{error:?}"
    );
    let missing = bases[1]..bases[2];
    has_all_but(&log, 0..60, std::slice::from_ref(&missing));
    let reader = log.reader(Visibility::Acknowledged);
    assert_eq!(reader.verify().unwrap().damaged, [missing]);
    append(&log, 60..70);
    log.trim(bases[3]).unwrap();
    has_all_but(&log, bases[3]..70, &[]);
}

#[test]
fn a_segment_created_while_the_directory_is_read_is_not_missing() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    let newest = *segments(&disk).last().unwrap();
    // The checkpoint knows the newest segment, and the list of the directory does not.
    let directory = Arc::new(Stale {
        directory: disk.directory(),
        hidden: Mutex::new(Some(store_name(newest))),
    });
    let reader = ReadOnlyLog::open_in(directory).unwrap();
    let end = reader.end_offset().get();
    assert!(end >= 29);
    has_all_but(&reader, 0..end, &[]);
}

/// A directory whose first list lacks a file.
#[derive(Debug)]
struct Stale {
    directory: Arc<dyn Directory>,
    hidden: Mutex<Option<String>>,
}

impl Directory for Stale {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        self.directory.open(name, mode)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.directory.list()?;
        if let Some(hidden) = self.hidden.lock().take() {
            names.retain(|name| *name != hidden);
        }
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync()
    }
}
