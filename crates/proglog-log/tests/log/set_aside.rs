//! Files of bytes that opening set aside: they go with the segment that they come from.

use proglog_log::{Log, Retention};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{append, killed, open, open_with, options, segments};

/// A log of some segments with a set-aside file of 5,000 bytes beside each of the first two, and their names.
fn with_set_aside() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    log.close().unwrap();
    let bases = segments(&disk);
    let names = bases[..2]
        .iter()
        .map(|base| format!("{base:020}.log.torn-77"));
    let names: Vec<_> = names.collect();
    for name in &names {
        disk.write_file(name, &[1; 5000]);
    }
    (disk, names)
}

fn left(disk: &SimDisk) -> Vec<String> {
    let mut names = disk.file_names();
    names.retain(|name| name.contains(".torn-"));
    names
}

#[test]
fn a_trim_takes_along_what_was_set_aside_from_the_segments_that_it_drops() {
    let (disk, names) = with_set_aside();
    let bases = segments(&disk);
    let log = open(&disk);
    log.trim(bases[1] - 1).unwrap();
    assert_eq!(left(&disk), names);
    log.trim(bases[1]).unwrap();
    assert_eq!(left(&disk), names[1..]);
    log.trim(log.end_offset()).unwrap();
    assert_eq!(left(&disk), [""; 0]);
}

#[test]
fn retention_takes_along_what_was_set_aside() {
    let (disk, _) = with_set_aside();
    let log = open_with(&disk, &options().retention(Retention::new().records(1)));
    log.apply_retention().unwrap();
    assert_eq!(left(&disk), [""; 0]);
}

#[test]
fn retention_by_bytes_takes_nothing_that_was_set_aside_for_records() {
    let (disk, _) = with_set_aside();
    let len = |base: &u64| disk.read_file(&format!("{base:020}.log")).len() as u64;
    let bytes = segments(&disk).iter().map(len).sum();
    let policy = Retention::new().bytes(bytes);
    let log = open_with(&disk, &options().retention(policy));
    assert_eq!(log.apply_retention().unwrap(), 0);
}

#[test]
fn a_trim_that_a_crash_interrupted_is_completed_with_what_was_set_aside() {
    let (disk, names) = with_set_aside();
    let begin = |disk: &SimDisk| -> proglog_log::Result<()> {
        let log = Log::open_in(disk.directory(), &options())?;
        disk.inject(When::Next(CallKind::Remove, 0), Fault::crash());
        log.trim(39)
    };
    begin(&disk).unwrap_err();
    let disk = disk.crash(Survivors::KeepAll);
    assert_eq!(left(&disk), names);
    open(&disk);
    assert_eq!(left(&disk), [""; 0]);
}

#[test]
fn a_torn_end_that_was_just_set_aside_goes_with_its_segment() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    let disk = killed(&disk, &log);
    let file = format!("{:020}.log", 0);
    let bytes = disk.read_file(&file);
    disk.write_file(&file, &[&bytes[..], &[1; 60]].concat());
    let log = open(&disk);
    assert_eq!(left(&disk).len(), 1);
    append(&log, 3..40);
    log.trim(39).unwrap();
    assert_eq!(left(&disk), [""; 0]);
}
