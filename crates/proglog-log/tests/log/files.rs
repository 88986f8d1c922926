//! Files that a log reads, keeps open and leaves, and the number of reads.

use std::io::ErrorKind as Io;
use std::time::{Duration, Instant};

use proglog_log::{ErrorKind, Log, LogOptions};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{append, holds, open, open_with, options, segments, value};

/// Number of reads of files that `work` takes.
fn reads_of(disk: &SimDisk, work: impl FnOnce()) -> usize {
    disk.start_trace();
    work();
    let calls = disk.trace();
    let reads = calls.iter().filter(|call| call.kind == CallKind::Read);
    reads.count()
}

#[test]
fn records_of_several_segments_take_one_read_each_whichever_is_read_before() {
    let disk = SimDisk::new();
    let log = open(&disk);
    // Records of two lengths lie in different places of their segments.
    for len in [50, 150] {
        for _ in 0..20 {
            log.append(vec![7; len]).unwrap();
        }
    }
    let sealed = segments(&disk).len() - 1;
    let offsets = [1, segments(&disk)[sealed - 1] + 1];
    let read_both = || offsets.map(|offset| log.read(offset).unwrap());
    assert_eq!(read_both().map(|record| record.value.len()), [50, 150]);
    // Now and then another test of this process has the files closed.
    let reads = reads_of(&disk, || (0..100).for_each(|_| drop(read_both())));
    assert!(reads < 400, "{reads}");
}

#[test]
fn a_cursor_reads_many_records_at_once() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 10));
    append(&log, 0..300);
    let reads = reads_of(&disk, || assert_eq!(log.records(0..).count(), 300));
    assert!(reads < 20, "{reads}");
}

#[test]
#[cfg(target_os = "linux")]
fn segments_that_nobody_reads_are_not_kept_open() {
    let directory = tempfile::tempdir().unwrap();
    let options = options().durability(proglog_log::Durability::Buffered);
    let log = proglog_log::Log::open(directory.path(), &options).unwrap();
    append(&log, 0..200);
    let kept = kept_open(directory.path());
    assert!(kept.len() <= 3, "{kept:?}");
    drop(log);
    assert_eq!(kept_open(directory.path()), [""; 0]);
}

/// The files of `directory`, and itself as `.`, that this process has open.
#[cfg(target_os = "linux")]
fn kept_open(directory: &std::path::Path) -> Vec<String> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let in_directory = targets.filter_map(|target| {
        let name = target.strip_prefix(directory).ok()?;
        Some(std::path::Path::new(".").join(name))
    });
    let names = in_directory.map(|name| name.to_string_lossy().into_owned());
    let mut names = names.collect::<Vec<_>>();
    names.sort_unstable();
    names
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_log_keeps_its_lock_and_one_segment_open() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions::new().idle_after(Duration::from_millis(20));
    let log = Log::open(directory.path(), &options).unwrap();
    // So many that the index has a full page.
    let append_many = |first: u64| {
        let values = (first..first + 3000).map(value);
        log.append_batch(values).unwrap();
    };
    for round in 0..2 {
        append_many(3000 * round);
        let begun = Instant::now();
        let expected = ["./00000000000000000000.log", "./LOCK"];
        while kept_open(directory.path()) != expected {
            let kept = kept_open(directory.path());
            assert!(begun.elapsed() < Duration::from_mins(1), "{kept:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    holds(&log, 0..6000);
    log.roll().unwrap();
    log.close().unwrap();
    let expected = ["./00000000000000006000.log"];
    assert_eq!(kept_open(directory.path()), expected);
    let log = Log::open(directory.path(), &options).unwrap();
    assert_eq!(log.recovery().indexes_rebuilt, 0);
    holds(&log, 0..6000);
}

#[test]
fn closing_a_log_whose_new_segment_could_not_be_made_leaves_no_index_of_the_old_one() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    // There is no room even once that of the old one is given back.
    for skip in 0..2 {
        let full = Fault::error(Io::StorageFull);
        disk.inject(When::Next(CallKind::Create, skip), full);
    }
    assert_eq!(log.reset(100).unwrap_err().kind(), ErrorKind::DiskFull);
    log.close().unwrap();
    let left = disk.file_names();
    assert!(
        !left.iter().any(|name| name.ends_with(".index")),
        "{left:?}"
    );
    holds(&open(&disk), 100..100);
}

#[test]
fn the_data_of_the_application_may_have_a_kibibyte_and_no_more() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let error = log.set_application_data(&[7; 1025]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(log.application_data(), [0; 0]);
    log.set_application_data(&[7; 1024]).unwrap();
    log.close().unwrap();
    assert_eq!(open(&disk).application_data(), [7; 1024]);
}
