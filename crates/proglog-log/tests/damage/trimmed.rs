//! Damage to trimmed records in the file of a record that was not trimmed.

use std::time::Duration;

use proglog_log::{Batch, Durability, Log};
use proglog_store::testing::{SimDisk, Survivors};

use proglog_harness::damage::fixture::{options, places, store};

#[test]
fn a_damaged_record_that_was_trimmed_takes_none_that_was_not() {
    let durabilities = [
        Durability::Synced,
        Durability::Interval(Duration::MAX),
        Durability::Buffered,
    ];
    let values: Vec<_> = (0..4).map(|offset| format!("{offset:>90}")).collect();
    for durability in durabilities {
        for batched_from in [1, 4] {
            let options = options().durability(durability);
            let disk = SimDisk::new();
            let log = Log::open_in(disk.directory(), &options).unwrap();
            for value in &values[..batched_from] {
                log.append(value.clone()).unwrap();
            }
            let batch: Batch = values[batched_from..].iter().cloned().collect();
            log.append_batch(batch).unwrap();
            log.trim(3).unwrap();
            let left = disk.crash(Survivors::KeepAll);
            drop(log);
            for trimmed in &places(&left, &values)[..3] {
                let what = format!("{durability:?}, {batched_from}, {trimmed:?}");
                let left = left.deep_clone();
                left.flip(&store(0), trimmed.bytes.start + 9, 2);
                let log = Log::open_in(left.directory(), &options).unwrap();
                let range = log.start_offset().get()..log.end_offset().get();
                assert_eq!(range, 3..4, "{what}");
                assert_eq!(log.read(3).unwrap().value, values[3], "{what}");
            }
        }
    }
}

#[test]
fn a_trimmed_segment_that_was_left_with_a_damaged_header_is_reported_and_stays() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    while disk
        .file_names()
        .iter()
        .filter(|name| name.ends_with(".log"))
        .count()
        < 3
    {
        log.append(format!("{:>90}", 0)).unwrap();
    }
    let whole = disk.read_file(&store(0));
    log.trim(log.end_offset()).unwrap();
    log.close().unwrap();
    assert!(!disk.file_names().contains(&store(0)));
    let mut damaged = whole.clone();
    damaged[..8192].fill(0x55);
    for left in [&damaged[..], &whole[..100], &[]] {
        let disk = disk.deep_clone();
        disk.write_file(&store(0), left);
        let log = Log::open_in(disk.directory(), &options()).unwrap();
        assert_eq!(log.recovery().left_over, [store(0)]);
        assert!(disk.read_file(&store(0)) == left);
        log.append("more").unwrap();
    }
    // With its header it is recognized, and removed.
    disk.write_file(&store(0), &whole);
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    assert!(log.recovery().left_over.is_empty());
    assert!(!disk.file_names().contains(&store(0)));
}
