//! A file is missing, or is another one than its name says.

use proglog_log::{Error, Offset};
use proglog_store::testing::SimDisk;

use super::fixture::{
    CHECKPOINT, Depth, Fixture, HEADER_LEN, both, index, is_index, is_store, named_file, options,
    store,
};

#[test]
fn a_missing_segment_is_named() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            let disk = fixture.disk.deep_clone();
            disk.remove_file(&store(*base));
            let error = fixture.open(&disk, Depth::Read, "missing").unwrap_err();
            match error {
                Error::MissingSegment { base_offset } => assert_eq!(base_offset.get(), *base),
                other => panic!("segment {base}: {other:?}"),
            }
        }
        let disk = fixture.disk.deep_clone();
        for base in &fixture.bases {
            disk.remove_file(&store(*base));
        }
        let error = fixture.open(&disk, Depth::Read, "all missing").unwrap_err();
        assert!(matches!(error, Error::MissingSegment { .. }), "{error:?}");
    }
}

#[test]
fn a_missing_checkpoint_is_an_error_and_a_directory_without_segments_is_no_log() {
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        disk.remove_file(CHECKPOINT);
        let error = fixture.open(&disk, Depth::Read, "missing").unwrap_err();
        assert!(matches!(error, Error::CheckpointLost { .. }), "{error:?}");
        for base in &fixture.bases {
            disk.remove_file(&store(*base));
        }
        let error = fixture
            .open(&disk, Depth::Read, "only indexes")
            .unwrap_err();
        assert!(matches!(error, Error::NotALog { .. }), "{error:?}");
    }
}

#[test]
fn a_missing_index_is_made_again_and_a_missing_lock_too() {
    for fixture in both("writer") {
        for name in fixture.file_names() {
            if is_index(&name) || name == "LOCK" {
                let disk = fixture.disk.deep_clone();
                disk.remove_file(&name);
                fixture.assert_whole(&disk, &format!("{name} missing"));
            }
        }
    }
}

#[test]
fn a_file_with_the_content_of_any_other_is_named_or_does_no_harm() {
    let mut tried = 0;
    let foreign = both("editor");
    for fixture in both("writer") {
        let own = fixture.disk.deep_clone();
        for source in [&own, &foreign[0].disk, &foreign[1].disk] {
            for from in source.file_names() {
                for to in fixture.file_names() {
                    replace(&fixture, &to, source, &from);
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} exchanges tried");
}

/// Puts the bytes of the file `from` of `source` in the place of `to`, and checks what the log shows then.
pub(crate) fn replace(fixture: &Fixture, to: &str, source: &SimDisk, from: &str) {
    let disk = fixture.disk.deep_clone();
    disk.write_file(to, &source.read_file(from));
    replaced(fixture, &disk, to, &format!("{to} replaced by {from}"));
}

/// The file `to` has another content. The log is whole, or an error names the file (a checkpoint of
/// another log is known by the segments that it does not fit).
fn replaced(fixture: &Fixture, disk: &SimDisk, to: &str, what: &str) {
    let is_same = disk.read_file(to) == fixture.disk.read_file(to);
    if is_same || !(is_store(to) || to == CHECKPOINT) {
        fixture.assert_whole(disk, what);
        return;
    }
    let error = fixture.open(disk, Depth::Read, what).unwrap_err();
    let named = named_file(&error);
    if to == CHECKPOINT {
        let is_named = named.as_deref() == Some(CHECKPOINT);
        let is_foreign = matches!(error, Error::WrongSegment { .. });
        assert!(is_named || is_foreign, "{what}: {error:?}");
    } else {
        assert_eq!(named.as_deref(), Some(to), "{what}: {error:?}");
    }
}

#[test]
fn two_files_that_were_swapped_are_named_or_do_no_harm() {
    for fixture in both("writer") {
        for (first, second) in [(0, 1), (0, 2), (1, 2)] {
            let [first, second] = [first, second].map(|at: usize| fixture.bases[at]);
            let disk = fixture.disk.deep_clone();
            swap(&disk, &store(first), &store(second));
            let error = fixture.open(&disk, Depth::Read, "swapped").unwrap_err();
            assert!(matches!(error, Error::WrongSegment { .. }), "{error:?}");
        }
        let disk = fixture.disk.deep_clone();
        swap(&disk, &index(fixture.bases[0]), &index(fixture.bases[1]));
        fixture.assert_whole(&disk, "swapped indexes");
    }
}

fn swap(disk: &SimDisk, first: &str, second: &str) {
    let bytes = disk.read_file(first);
    disk.copy_file(second, first);
    disk.write_file(second, &bytes);
}

#[test]
fn a_segment_that_was_renamed_or_duplicated_is_named() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            for other in [base + 1, 1 << 40, u64::MAX] {
                let disk = fixture.disk.deep_clone();
                disk.copy_file(&store(*base), &store(other));
                for _ in 0..2 {
                    let error = fixture.open(&disk, Depth::Read, "duplicate").unwrap_err();
                    match error {
                        Error::WrongSegment { file, got, .. } => {
                            assert_eq!(*file, *store(other));
                            assert_eq!(got.base_offset, Offset::new(*base));
                        }
                        error => panic!("segment {base} as {other}: {error:?}"),
                    }
                    // And now renamed.
                    if disk.file_names().contains(&store(*base)) {
                        disk.remove_file(&store(*base));
                    }
                }
            }
        }
    }
}

#[test]
fn files_of_other_names_are_left_alone() {
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        disk.copy_file(&store(fixture.bases[0]), "copy of 00000000000000000000.log");
        disk.copy_file(&store(fixture.bases[1]), "00000000000000000007.log.bak");
        disk.copy_file(&store(fixture.bases[1]), "7.log");
        disk.write_file("notes.txt", b"mine");
        disk.write_file("00000000000000009999.index", b"of no segment");
        disk.write_file("00000000000000009999.log.tmp", b"begun");
        let recovery = fixture.assert_whole(&disk, "with other files");
        assert_eq!(recovery.left_over, ["00000000000000009999.log.tmp"]);
        assert_eq!(disk.read_file("notes.txt"), b"mine");
        assert_eq!(
            disk.read_file("00000000000000009999.index"),
            b"of no segment"
        );
    }
}

#[test]
fn an_older_copy_of_an_index_or_a_checkpoint_does_no_harm() {
    let mut tried = 0;
    for fixture in both("writer") {
        for (age, older) in fixture.history.iter().enumerate() {
            for name in older.file_names() {
                if is_store(&name) {
                    continue;
                }
                let disk = fixture.disk.deep_clone();
                disk.write_file(&name, &older.read_file(&name));
                fixture.assert_whole(&disk, &format!("{name} of step {age}"));
                tried += 1;
            }
        }
    }
    println!("{tried} older indexes and checkpoints tried");
}

#[test]
fn an_older_copy_of_a_segment_is_named_or_its_missing_records_are() {
    for fixture in both("writer") {
        for older in &fixture.history {
            older_segments(&fixture, older);
        }
    }
}

/// Puts each segment of `older`, an earlier state, in the place of its later self; returns how many.
pub(crate) fn older_segments(fixture: &Fixture, older: &SimDisk) -> usize {
    let mut tried = 0;
    for base in &fixture.bases {
        let name = store(*base);
        if !older.file_names().contains(&name) {
            continue;
        }
        let disk = fixture.disk.deep_clone();
        let bytes = older.read_file(&name);
        disk.write_file(&name, &bytes);
        let what = &format!("{name} of {} bytes", bytes.len());
        older_segment(fixture, &disk, *base, bytes.len() as u64, what);
        tried += 1;
    }
    tried
}

fn older_segment(fixture: &Fixture, disk: &SimDisk, base: u64, len: u64, what: &str) {
    let is_active = base == fixture.active();
    if is_active && fixture.closed {
        let error = fixture.open(disk, Depth::Read, what).unwrap_err();
        assert_eq!(named_file(&error), Some(store(base)), "{what}: {error:?}");
        return;
    }
    assert!(len >= HEADER_LEN);
    let seen = fixture.opened(disk, Depth::Append, what);
    let gone = (0..).zip(&fixture.places);
    let gone = gone.filter(|(_, place)| place.file == store(base) && place.bytes.end > len);
    let gone = gone.map(|(offset, _)| offset).collect::<Vec<u64>>();
    if is_active {
        // Nothing that is left tells that there was more.
        let end = gone.first().copied().unwrap_or(fixture.end());
        assert_eq!((seen.end, &seen.unreadable[..]), (end, &[][..]), "{what}");
    } else {
        assert_eq!((seen.end, seen.unreadable), (fixture.end(), gone), "{what}");
    }
}

#[test]
fn segments_of_one_log_and_the_checkpoint_of_another_are_refused() {
    let [mine, _] = both("writer");
    let [theirs, _] = both("editor");
    let disk = mine.disk.deep_clone();
    for name in theirs.file_names() {
        if is_store(&name) {
            disk.write_file(&name, &theirs.disk.read_file(&name));
        }
    }
    let error = proglog_log::Log::open_in(disk.directory(), &options()).unwrap_err();
    assert!(matches!(error, Error::WrongSegment { .. }), "{error:?}");
}
