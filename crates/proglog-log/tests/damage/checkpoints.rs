//! Valid checkpoints that do not fit the segments: opening refuses them, and repair drops no record.

use proglog_log::{CheckpointMismatch as Mismatch, Durability, Error, ErrorKind, Log, Reason};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::headers::{CHECKPOINT_COPIES, forge};
use proglog_harness::damage::fixture::{
    CHECKPOINT, Depth, Fixture, HEADER_LEN, assert_unchanged, both, index, options, places, store,
};

/// Places of these numbers in a copy.
const FLAGS_AT: usize = 12;
const LOG_ID_AT: usize = 24;
const START_AT: usize = 40;
pub(crate) const BASE_AT: usize = 48;
pub(crate) const POSITION_AT: usize = 56;
pub(crate) const FRAMES_AT: usize = 64;

pub(crate) fn forge_number(disk: &SimDisk, at: usize, number: u64) {
    forge(
        disk,
        CHECKPOINT,
        &CHECKPOINT_COPIES,
        at,
        &number.to_be_bytes(),
    );
}

/// Says that the log is being truncated.
fn forge_truncating(disk: &SimDisk) {
    forge(
        disk,
        CHECKPOINT,
        &CHECKPOINT_COPIES,
        FLAGS_AT,
        &[0, 0, 0, 3],
    );
}

/// Opening fails with an error like `expected`, and goes on to after a repair. Then all records are there.
fn mended(
    fixture: &Fixture,
    what: &str,
    change: impl Fn(&SimDisk),
    expected: impl Fn(&Error) -> bool,
) {
    let segments = |disk: &SimDisk| {
        fixture
            .bases
            .iter()
            .map(|base| disk.read_file(&store(*base)))
            .collect::<Vec<_>>()
    };
    let disk = fixture.disk.deep_clone();
    change(&disk);
    let before = segments(&disk);
    for _ in 0..2 {
        let error = Log::open_in(disk.directory(), &options()).unwrap_err();
        assert!(expected(&error), "{what}: {error:?}");
    }
    Log::repair_in(disk.directory()).unwrap();
    // Recovery may have closed the newest one with a mark.
    let kept = segments(&disk);
    let mut both = before.iter().zip(&kept);
    assert!(
        both.all(|(before, kept)| kept.starts_with(before)),
        "{what}"
    );
    fixture.assert_whole(&disk, what);
}

#[test]
fn a_start_past_the_end_is_refused_and_repaired() {
    for fixture in both("writer") {
        let end = fixture.end();
        for claim in [end + 1, end + 1000, u64::MAX] {
            let change = |disk: &SimDisk| forge_number(disk, START_AT, claim);
            mended(&fixture, &format!("a start at {claim}"), change, |error| {
                let facts = match &error.reason {
                    Reason::CheckpointMismatch {
                        file,
                        reason: Mismatch::StartPastEnd { start, end },
                    } => (&**file, start.get(), end.get()),
                    _ => return false,
                };
                facts == (CHECKPOINT, claim, end)
            });
        }
    }
}

#[test]
fn a_recovery_point_past_the_end_of_its_segment_is_refused_and_repaired() {
    for fixture in both("writer") {
        let active = fixture.active();
        let len = fixture.disk.read_file(&store(active)).len() as u64 - HEADER_LEN;
        for claim in [len + 1, len + 4096, u64::MAX] {
            let change = |disk: &SimDisk| {
                forge_number(disk, BASE_AT, active);
                forge_number(disk, POSITION_AT, claim);
            };
            mended(
                &fixture,
                &format!("durable up to {claim}"),
                change,
                |error| {
                    let Reason::CheckpointMismatch {
                        file,
                        reason:
                            Mismatch::RecoveryPointPastEnd {
                                segment,
                                recovery_point,
                                end,
                            },
                    } = &error.reason
                    else {
                        return false;
                    };
                    (&**file, &**segment) == (CHECKPOINT, &*store(active))
                        && *recovery_point == claim.saturating_add(HEADER_LEN)
                        && *end == len + HEADER_LEN
                },
            );
        }
    }
}

#[test]
fn a_recovery_point_with_a_wrong_count_is_refused_and_repaired() {
    for fixture in both("writer") {
        let active = fixture.active();
        // Before the second record of the newest segment.
        let at = usize::try_from(active + 1).unwrap();
        let position = fixture.places[at].bytes.start - HEADER_LEN;
        for frames in [0, 2, 3] {
            let change = |disk: &SimDisk| {
                forge_number(disk, BASE_AT, active);
                forge_number(disk, POSITION_AT, position);
                forge_number(disk, FRAMES_AT, frames);
            };
            mended(&fixture, &format!("{frames} frames"), change, |error| {
                let Reason::CheckpointMismatch {
                    reason: Mismatch::RecoveryPointMoved { expected, got, .. },
                    ..
                } = &error.reason
                else {
                    return false;
                };
                (expected.get(), got.get()) == (active + frames, active + 1)
            });
        }
    }
}

#[test]
fn a_missing_newest_segment_is_refused_and_repaired() {
    for fixture in both("writer") {
        for base in [1, fixture.active() + 1, u64::MAX] {
            let change = |disk: &SimDisk| forge_number(disk, BASE_AT, base);
            mended(
                &fixture,
                &format!("the newest is {base}"),
                change,
                |error| matches!(error.reason, Reason::MissingSegment { base_offset } if base_offset.get() == base),
            );
            // It would be cut before the others go.
            let change = |disk: &SimDisk| {
                forge_number(disk, BASE_AT, base);
                forge_number(disk, POSITION_AT, 100);
                forge_truncating(disk);
            };
            mended(
                &fixture,
                &format!("cut in {base}"),
                change,
                |error| matches!(error.reason, Reason::MissingSegment { base_offset } if base_offset.get() == base),
            );
        }
    }
}

#[test]
fn a_truncation_past_the_end_of_its_segment_is_refused_and_repaired() {
    for fixture in both("writer") {
        let base = fixture.bases[1];
        let change = |disk: &SimDisk| {
            forge_number(disk, BASE_AT, base);
            forge_number(disk, POSITION_AT, 1 << 20);
            forge_truncating(disk);
        };
        mended(
            &fixture,
            "a cut",
            change,
            |error| matches!(&error.reason, Reason::CheckpointMismatch { reason: Mismatch::RecoveryPointPastEnd { segment, .. }, .. } if **segment == *store(base)),
        );
    }
}

#[test]
fn the_checkpoint_of_another_log_is_refused_and_replaced() {
    for fixture in both("writer") {
        let change = |disk: &SimDisk| forge_number(disk, LOG_ID_AT, 7);
        mended(&fixture, "another log's", change, |error| {
            matches!(error.reason, Reason::WrongSegment { .. })
        });
    }
}

#[test]
fn the_checkpoint_of_another_log_that_is_being_truncated_is_refused_and_replaced() {
    for fixture in both("writer") {
        // In an existing segment, everything after one, and everything.
        for (base, position, start) in
            [(fixture.bases[1], 50, 0), (1, 0, 0), (0, 0, 0), (99, 0, 99)]
        {
            let change = |disk: &SimDisk| {
                forge_number(disk, LOG_ID_AT, 7);
                forge_number(disk, START_AT, start);
                forge_number(disk, BASE_AT, base);
                forge_number(disk, POSITION_AT, position);
                forge_number(disk, FRAMES_AT, 0);
                forge_truncating(disk);
            };
            mended(&fixture, "another log's", change, |error| {
                matches!(error.reason, Reason::WrongSegment { .. })
            });
        }
    }
}

#[test]
fn repair_keeps_what_fits_of_a_checkpoint_that_does_not() {
    for cut in [false, true] {
        let disk = SimDisk::new();
        let log = Log::open_in(disk.directory(), &options()).unwrap();
        for number in 0..20 {
            log.append(format!("{number:90}")).unwrap();
        }
        log.trim(12).unwrap();
        log.set_application_data(b"own").unwrap();
        log.close().unwrap();
        let fits = disk.read_file(CHECKPOINT);
        Log::repair_in(disk.directory()).unwrap();
        assert_eq!(disk.read_file(CHECKPOINT), fits, "it was left as it is");
        forge_number(&disk, POSITION_AT, 1 << 30);
        if cut {
            forge_truncating(&disk);
        }
        let error = Log::open_in(disk.directory(), &options()).unwrap_err();
        assert!(
            matches!(
                error.reason,
                Reason::CheckpointMismatch {
                    reason: Mismatch::RecoveryPointPastEnd { .. },
                    ..
                }
            ),
            "{error:?}"
        );
        Log::repair_in(disk.directory()).unwrap();
        let log = Log::open_in(disk.directory(), &options()).unwrap();
        assert_eq!(log.start_offset().get(), 12);
        assert_eq!(log.records(12..).count(), 8);
        assert_eq!(log.application_data(), b"own");
    }
}

#[test]
fn repair_leaves_a_checkpoint_as_it_is_wherever_opening_was_stopped_before() {
    let whole = SimDisk::new();
    let options = options().durability(Durability::Buffered);
    let log = Log::open_in(whole.directory(), &options).unwrap();
    for number in 0..4 {
        log.append(format!("{number:90}")).unwrap();
    }
    // They are synced, and no mark says so yet: opening cuts the file below the start, and writes them again.
    log.trim(3).unwrap();
    let whole = whole.crash(Survivors::KeepAll);
    for call in 0.. {
        let disk = whole.deep_clone();
        disk.inject(When::Call(call), Fault::crash());
        let is_over = Log::open_in(disk.directory(), &options).is_ok();
        let disk = disk.crash(Survivors::KeepAll);
        let checkpoint = disk.read_file(CHECKPOINT);
        Log::repair_in(disk.directory()).unwrap();
        assert!(
            disk.read_file(CHECKPOINT) == checkpoint,
            "stopped at {call}"
        );
        let log = Log::open_in(disk.directory(), &options).unwrap();
        let range = (log.start_offset().get(), log.end_offset().get());
        assert_eq!(range, (3, 4), "stopped at {call}");
        if is_over {
            assert!(call > 10, "{call}");
            return;
        }
    }
}

#[test]
fn a_log_whose_oldest_or_newest_segment_is_gone_is_one_of_the_others_after_a_repair() {
    for fixture in both("writer") {
        let [first, second, newest] = fixture.bases[..] else {
            panic!("there are three segments");
        };
        for (gone, start, end) in [(first, second, fixture.end()), (newest, first, newest)] {
            let disk = fixture.disk.deep_clone();
            disk.remove_file(&store(gone));
            if disk.file_names().contains(&index(gone)) {
                disk.remove_file(&index(gone));
            }
            // What was killed may know the newest segment from nothing but its file.
            if let Err(error) = Log::open_in(disk.directory(), &options()) {
                assert!(
                    matches!(error.reason, Reason::MissingSegment { .. }),
                    "{error:?}"
                );
            }
            Log::repair_in(disk.directory()).unwrap();
            let log = Log::open_in(disk.directory(), &options()).unwrap();
            assert_eq!(
                (log.start_offset().get(), log.end_offset().get()),
                (start, end)
            );
            let values = log.records(start..).map(|record| record.unwrap().value);
            let places = &fixture.places[usize::try_from(start).unwrap()..];
            assert!(
                values
                    .zip(places)
                    .all(|(value, place)| value == place.value)
            );
        }
    }
}

#[test]
fn a_closed_log_whose_newest_segment_is_shorter_is_repaired_to_what_is_left() {
    let [closed, _] = both("writer");
    let name = store(closed.active());
    let places = closed.places.iter().filter(|place| place.file == name);
    for place in places {
        let disk = closed.disk.deep_clone();
        disk.truncate_file(&name, place.bytes.start + 5);
        let error = closed.open(&disk, Depth::Read, "cut").unwrap_err();
        assert!(
            matches!(
                error.reason,
                Reason::CheckpointMismatch {
                    reason: Mismatch::RecoveryPointPastEnd { .. },
                    ..
                }
            ),
            "{error:?}"
        );
        Log::repair_in(disk.directory()).unwrap();
        let seen = closed.opened(&disk, Depth::Append, "cut and mended");
        assert_eq!(seen.unreadable, [0; 0]);
        let whole = closed
            .places
            .iter()
            .filter(|other| other.file != name || other.bytes.end <= place.bytes.start);
        // Of a batch nothing is left.
        let whole = whole.count() as u64;
        assert!(
            seen.end == whole || !closed.places[usize::try_from(whole).unwrap() - 1].ends_batch
        );
    }
}

#[test]
fn repair_keeps_a_recovery_point_that_fits() {
    let [closed, _] = both("writer");
    let disk = closed.disk.deep_clone();
    forge_number(&disk, START_AT, closed.end() + 1);
    // The newest record, and the mark after it: only the checkpoint knows that it was synced.
    let last = closed.places.last().unwrap();
    disk.flip(&last.file, last.bytes.start + 9, 0);
    disk.flip(&last.file, last.bytes.end + 9, 0);
    Log::repair_in(disk.directory()).unwrap();
    let seen = closed.opened(&disk, Depth::Append, "mended");
    assert_eq!(seen.end, closed.end());
    assert_eq!(seen.unreadable, [closed.end() - 1]);
}

#[test]
fn repair_keeps_a_start_after_a_damaged_record() {
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    let values = [0, 1, 2, 3].map(|number| format!("{number:90}"));
    log.append(values[0].as_str()).unwrap();
    log.append_batch(values[1..].iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    log.trim(3).unwrap();
    log.close().unwrap();
    let places = places(&disk, &values);
    disk.flip(&store(0), places[1].bytes.start + 9, 0);
    // The mark after the newest record.
    disk.flip(&store(0), places[3].bytes.end + 9, 0);
    let before = disk.deep_clone();
    Log::repair_in(disk.directory()).unwrap();
    assert_unchanged(&before, &disk, "it fits");
    let log = Log::open_in(disk.directory(), &options()).unwrap();
    assert_eq!(log.start_offset().get(), 3);
    assert_eq!(log.read(3).unwrap().value, values[3]);
}

#[test]
fn repair_fails_with_a_read_that_fails_and_changes_nothing() {
    for fixture in both("writer") {
        let damaged = fixture.disk.deep_clone();
        forge_number(&damaged, START_AT, fixture.end() + 1);
        let disk = damaged.deep_clone();
        disk.start_trace();
        Log::repair_in(disk.directory()).unwrap();
        let calls = disk.trace().into_iter();
        let reads = calls.filter(|call| call.kind == CallKind::Read);
        let reads = reads.collect::<Vec<_>>();
        // The newest segment is looked through for where it ends.
        let last = reads.iter().rposition(|read| read.offset >= HEADER_LEN);
        let disk = damaged.deep_clone();
        let failing = When::Next(CallKind::Read, last.unwrap() as u64);
        // Not permitted, which is no fault of the device.
        disk.inject(failing, Fault::os_error(1));
        let error = Log::repair_in(disk.directory()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
        assert_unchanged(&damaged, &disk, "a read has failed");
        Log::repair_in(disk.directory()).unwrap();
        fixture.assert_whole(&disk, "tried again");
    }
}

#[test]
fn repair_that_cannot_read_leaves_a_truncation_pending() {
    let (disk, options) = (SimDisk::new(), options().preallocate_max(0));
    let log = Log::open_in(disk.directory(), &options).unwrap();
    for offset in 0..6_u64 {
        assert_eq!(log.append(offset.to_string()).unwrap().get(), offset);
    }
    log.roll().unwrap();
    disk.inject(When::Next(CallKind::SetLen, 0), Fault::crash());
    log.truncate(3).unwrap_err();
    let left = disk.crash(Survivors::KeepAll);
    let disk = left.deep_clone();
    disk.start_trace();
    Log::repair_in(disk.directory()).unwrap();
    let trace = disk.trace();
    let reads = trace.iter().filter(|call| call.kind == CallKind::Read);
    let mut told = 0;
    for read in 0..reads.count() {
        let disk = left.deep_clone();
        disk.inject(When::Next(CallKind::Read, read as u64), Fault::os_error(1));
        if let Err(error) = Log::repair_in(disk.directory()) {
            assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
            assert_unchanged(&left, &disk, "a read has failed");
            told += 1;
        }
        let log = Log::open_in(disk.directory(), &options).unwrap();
        assert_eq!(log.end_offset().get(), 3, "read {read} failed");
    }
    assert!(told > 0);
}

#[test]
fn repair_leaves_a_log_that_never_had_a_segment_and_names_the_one_that_is_gone() {
    let mut left = 0;
    for call in 0.. {
        let disk = SimDisk::new();
        disk.inject(When::Call(call), Fault::crash());
        let is_over = Log::open_in(disk.directory(), &options()).is_ok();
        let disk = disk.crash(Survivors::KeepAll);
        let names = disk.file_names();
        if names.contains(&CHECKPOINT.to_owned()) && !names.contains(&store(0)) {
            Log::repair_in(disk.directory()).unwrap();
            let log = Log::open_in(disk.directory(), &options()).unwrap();
            assert_eq!(log.end_offset().get(), 0, "stopped at {call}");
            left += 1;
        }
        if is_over {
            break;
        }
    }
    assert!(left > 0);
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        for base in &fixture.bases {
            disk.remove_file(&store(*base));
        }
        let before = disk.deep_clone();
        let error = Log::repair_in(disk.directory()).unwrap_err();
        let Reason::MissingSegment { base_offset } = error.reason else {
            panic!("{error:?}");
        };
        assert_eq!(base_offset.get(), fixture.active());
        assert_unchanged(&before, &disk, "no segment");
    }
}
