//! Damage to what an opening has shown, to a segment that the checkpoint lags behind, and to the record that holds
//! the time of the newest append.

use std::time::Duration;

use proglog_log::{Log, Offset, Retention};
use proglog_store::testing::{SimDisk, Survivors};

use super::checkpoints::{BASE_AT, FRAMES_AT, POSITION_AT, forge_number};
use proglog_harness::damage::fixture::{Depth, HEADER_LEN, both, options, store};

#[test]
fn damage_to_what_an_opening_has_shown_is_reported_even_if_nothing_was_done_since() {
    let [_, killed] = both("writer");
    let disk = killed.disk.deep_clone();
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    assert_eq!(log.end_offset().get(), killed.end());
    let left = disk.crash(Survivors::KeepAll);
    let last = killed.places.last().unwrap();
    left.flip(&last.file, last.bytes.start + 9, 2);
    let seen = killed.opened(&left, Depth::Append, "the last record damaged");
    assert_eq!(seen.end, killed.end());
    assert_eq!(seen.unreadable, [killed.end() - 1]);
}

#[test]
fn opening_a_closed_log_writes_to_no_checkpoint() {
    let [closed, _] = both("writer");
    let disk = closed.disk.deep_clone();
    let before = disk.read_file("checkpoint");
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    assert_eq!(log.end_offset().get(), closed.end());
    assert!(disk.read_file("checkpoint") == before);
}

#[test]
fn a_segment_that_is_not_the_newest_loses_no_more_than_its_records_though_the_checkpoint_is_of_it()
{
    for fixture in both("writer") {
        let (disk, second) = (fixture.disk.deep_clone(), fixture.bases[1]);
        let lags_at = fixture.places[1].bytes.start;
        forge_number(&disk, BASE_AT, 0);
        forge_number(&disk, POSITION_AT, lags_at - HEADER_LEN);
        forge_number(&disk, FRAMES_AT, 1);
        fixture.assert_whole(&disk.deep_clone(), "a checkpoint that lags behind");
        disk.truncate_file(&store(0), HEADER_LEN + 5);
        let seen = fixture.opened(&disk, Depth::Read, "cut below the recovery point");
        assert_eq!(seen.end, fixture.end());
        assert_eq!(seen.unreadable, (0..second).collect::<Vec<_>>());
    }
}

#[test]
fn a_record_of_unknown_age_is_not_dropped_for_its_age() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    log.append("young").unwrap();
    log.close().unwrap();
    disk.flip(&store(0), HEADER_LEN + 9, 2);
    let day = Retention::new().age(Duration::from_hours(24));
    let log = Log::open_in(disk.directory(), &options().retention(day)).unwrap();
    assert_eq!(log.apply_retention().unwrap(), Offset::ZERO);
    assert_eq!(log.end_offset(), Offset::new(1));
}
