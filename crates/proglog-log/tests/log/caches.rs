//! Caches of open files and index pages: which logs share them, and their bounds.

use proglog_log::{Cache, Log, Offset, ReadOnlyLog, ReadOnlyOptions};
use proglog_store::testing::{CallKind, SimDisk};

use crate::support::{append, open_with, options, segments};

/// Enough for all segments of one log.
const ENOUGH: usize = 40;

fn cache_of(segments: usize) -> Cache {
    Cache::builder().open_segments_max(segments).build()
}

/// A log of 30 to 40 sealed segments that uses `cache`, all of it read.
fn log_of(disk: &SimDisk, cache: &Cache) -> Log {
    let log = open_with(disk, &options().cache(cache.clone()));
    append(&log, 0..200);
    assert!((30..ENOUGH).contains(&segments(disk).len()));
    read_all(&log);
    log
}

/// Reads one record after the other, and so looks up each.
fn read_all(log: &Log) {
    for offset in log.offsets() {
        log.read(offset).unwrap();
    }
}

/// Number of stores that `body` opens.
fn opened(disk: &SimDisk, body: impl FnOnce()) -> usize {
    disk.start_trace();
    body();
    let trace = disk.trace();
    let stores = trace
        .iter()
        .filter(|call| call.kind == CallKind::Open && call.name.ends_with(".log"));
    stores.count()
}

#[test]
fn logs_with_separate_caches_evict_nothing_of_one_another() {
    let disks = [SimDisk::new(), SimDisk::new()];
    let log = log_of(&disks[0], &cache_of(ENOUGH));
    log_of(&disks[1], &cache_of(ENOUGH));
    assert_eq!(opened(&disks[0], || read_all(&log)), 0);
}

#[test]
fn logs_that_are_given_one_cache_share_its_bound() {
    let disks = [SimDisk::new(), SimDisk::new()];
    let cache = cache_of(ENOUGH);
    let log = log_of(&disks[0], &cache);
    let other = log_of(&disks[1], &cache);
    let of_both = opened(&disks[0], || read_all(&log)) + opened(&disks[1], || read_all(&other));
    assert!(of_both >= segments(&disks[0]).len(), "{of_both}");
}

#[test]
fn no_more_sealed_segments_stay_open_than_the_cache_may_have() {
    for bound in [0, 1, 5] {
        let disk = SimDisk::new();
        let log = log_of(&disk, &cache_of(bound));
        let sealed = segments(&disk).len() - 1;
        let again = opened(&disk, || read_all(&log));
        assert!(again >= sealed - bound, "{again} with {bound}");
    }
}

#[test]
fn a_read_only_log_takes_the_cache_of_its_options() {
    let disk = SimDisk::new();
    let log = log_of(&disk, &cache_of(ENOUGH));
    for (bound, expected) in [(ENOUGH, 0..1), (0, 30..ENOUGH)] {
        let options = ReadOnlyOptions::new().cache(cache_of(bound));
        let reader = ReadOnlyLog::open_in_with(disk.directory(), &options).unwrap();
        let read_all = || {
            let last = log.end_offset().get() - 9;
            for offset in (0..last).step_by(5) {
                reader.read(Offset::new(offset)).unwrap();
            }
        };
        read_all();
        let again = opened(&disk, read_all);
        assert!(expected.contains(&again), "{again} with {bound}");
    }
}

#[test]
fn no_more_index_pages_stay_in_memory_than_the_cache_may_have() {
    for (bytes, reads_again) in [(4 << 10, 0), (0, 20)] {
        let disk = SimDisk::new();
        let cache = Cache::builder().index_bytes_max(bytes).build();
        let log = open_with(&disk, &options().segment_bytes_max(16 << 10).cache(cache));
        append(&log, 0..200);
        let read = || {
            for offset in 0..20 {
                log.read(offset).unwrap();
            }
        };
        read();
        disk.start_trace();
        read();
        let trace = disk.trace();
        let of_index = trace
            .iter()
            .filter(|call| call.kind == CallKind::Read && call.name.ends_with(".index"));
        assert_eq!(of_index.count(), reads_again, "with {bytes} bytes");
    }
}
