//! Figures of a log, its changes, and a retention policy that is replaced.

use std::time::Duration;

use futures::FutureExt;
use proglog_log::{CommitLog, ErrorKind, LogOptions, MemoryLog, Retention};
use proglog_store::testing::SimDisk;

use crate::support::{append, block_on, open, open_with, options, segments, value};

#[test]
fn the_figures_of_a_log_are_those_of_its_files() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let empty = log.stat().unwrap();
    assert_eq!(
        (empty.offsets, empty.bytes, empty.segments),
        ((0..0).into(), 0, 1)
    );
    append(&log, 0..50);
    let ticket = log.submit(value(50)).unwrap();
    let stat = log.stat().unwrap();
    assert_eq!(stat.offsets, 0..50);
    assert_eq!(
        (stat.recovery_point, stat.assigned_end),
        (50.into(), 51.into())
    );
    assert_eq!(stat.segments, segments(&disk).len());
    ticket.wait().unwrap();
    log.trim(40).unwrap();
    let stat = log.stat().unwrap();
    assert_eq!(
        (stat.offsets, stat.recovery_point),
        ((40..51).into(), 51.into())
    );
    let files = disk
        .file_names()
        .into_iter()
        .filter(|name| name.ends_with(".log"));
    let (lens, header) = (files.map(|name| disk.read_file(&name).len() as u64), 4096);
    let in_files = lens.map(|len| len - header).sum::<u64>();
    assert!(
        (40 * 11..=in_files).contains(&stat.bytes),
        "{stat:?}, {in_files}"
    );
    log.close().unwrap();
    assert_eq!(log.stat().unwrap_err().kind(), ErrorKind::Closed);
    let memory = MemoryLog::new();
    memory.append("a").unwrap();
    let stat = memory.stat().unwrap();
    assert_eq!(
        (stat.offsets, stat.assigned_end, stat.segments),
        ((0..1).into(), 1.into(), 0)
    );
}

#[test]
fn each_change_completes_what_waits_for_one() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let memory = MemoryLog::new();
    let logs: [&dyn CommitLog; 2] = [&log, &memory];
    for log in logs {
        let changed = |change: &dyn Fn()| {
            let mut notified = log.changes().notified();
            assert!((&mut notified).now_or_never().is_none());
            change();
            notified.now_or_never().is_some()
        };
        assert!(changed(&|| assert_eq!(log.append("a".into()).unwrap(), 0)));
        assert!(changed(&|| log.trim(1.into()).unwrap()));
        assert!(changed(&|| log.close().unwrap()));
    }
}

#[test]
fn a_retention_policy_that_is_set_is_applied_at_once_and_from_then_on() {
    let disk = SimDisk::new();
    let hour = Retention::new().age(Duration::from_hours(1));
    let log = open_with(&disk, &options().retention(hour));
    append(&log, 0..50);
    let gone = |log: &proglog_log::Log, start: u64| {
        let mut changed = log.changes().notified();
        while log.start_offset() < start {
            block_on(changed);
            changed = log.changes().notified();
        }
    };
    log.set_retention(Retention::new().records(10)).unwrap();
    gone(&log, 30);
    assert!(log.len() >= 10);
    // A pass by age was scheduled an hour from now.
    log.set_retention(Retention::new().age(Duration::from_millis(50)))
        .unwrap();
    gone(&log, 50);
    log.close().unwrap();
    let set = log.set_retention(hour);
    assert_eq!(set.unwrap_err().kind(), ErrorKind::Closed);
    let reopened = open_with(&disk, &LogOptions::new());
    assert_eq!(reopened.offsets(), 50..50);
}
