//! A file is missing, or is another one than its name says.

use proglog_log::{Error, Offset};
use proglog_store::testing::SimDisk;

use super::fixture::{
    CHECKPOINT, Depth, Fixture, HEADER_LEN, both, is_store, named_file, options, store,
};

#[test]
fn a_missing_segment_or_checkpoint_is_named_and_any_other_missing_file_is_made_again() {
    for fixture in both("writer") {
        for name in fixture.file_names() {
            missing(&fixture, &name);
        }
    }
}

/// Whether the log needs this file: it makes the others again.
fn is_vital(name: &str) -> bool {
    is_store(name) || name == CHECKPOINT
}

/// Removes the file `name`, and checks what the log shows then.
pub(crate) fn missing(fixture: &Fixture, name: &str) {
    let what = &format!("{name} missing");
    let disk = fixture.disk.deep_clone();
    disk.remove_file(name);
    if !is_vital(name) {
        fixture.assert_whole(&disk, what);
        return;
    }
    let error = fixture.open(&disk, Depth::Read, what).unwrap_err();
    let is_told = match &error {
        Error::MissingSegment { base_offset } => store(base_offset.get()) == name,
        Error::CheckpointLost { .. } => name == CHECKPOINT,
        _ => false,
    };
    assert!(is_told, "{what}: {error:?}");
}

#[test]
fn a_directory_without_segments_is_no_log() {
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        for base in &fixture.bases {
            disk.remove_file(&store(*base));
        }
        let error = fixture.open(&disk, Depth::Read, "all missing").unwrap_err();
        assert!(matches!(error, Error::MissingSegment { .. }), "{error:?}");
        disk.remove_file(CHECKPOINT);
        let error = fixture
            .open(&disk, Depth::Read, "only indexes")
            .unwrap_err();
        assert!(matches!(error, Error::NotALog { .. }), "{error:?}");
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
    if is_same || !is_vital(to) {
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
        let names = fixture.file_names();
        for (at, first) in names.iter().enumerate() {
            for second in &names[at + 1..] {
                swapped(&fixture, first, second);
            }
        }
    }
}

/// Puts two files in each other's place, and checks what the log shows then.
pub(crate) fn swapped(fixture: &Fixture, first: &str, second: &str) {
    let what = &format!("{first} and {second} swapped");
    let disk = fixture.disk.deep_clone();
    disk.copy_file(second, first);
    disk.write_file(second, &fixture.disk.read_file(first));
    if !is_vital(first) && !is_vital(second) {
        fixture.assert_whole(&disk, what);
        return;
    }
    let error = fixture.open(&disk, Depth::Read, what).unwrap_err();
    let named = named_file(&error);
    let is_named = [first, second].contains(&named.as_deref().unwrap_or_default());
    assert!(is_named, "{what}: {error:?}");
    if is_store(first) && is_store(second) {
        let is_told = matches!(error, Error::WrongSegment { .. });
        assert!(is_told, "{what}: {error:?}");
    }
}

#[test]
fn a_segment_that_was_doubled_or_moved_is_named() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            for other in [base + 1, 1 << 40, u64::MAX] {
                doubled_and_moved(&fixture, *base, other);
            }
        }
    }
}

/// Gives a segment a second name, as if it began at `other`, and then that one alone; checks what the log shows.
pub(crate) fn doubled_and_moved(fixture: &Fixture, base: u64, other: u64) {
    let disk = fixture.disk.deep_clone();
    disk.copy_file(&store(base), &store(other));
    told_of(fixture, &disk, base, other);
    disk.remove_file(&store(base));
    told_of(fixture, &disk, base, other);
}

/// An error says that the segment which is called `other` is the one of `base`.
fn told_of(fixture: &Fixture, disk: &SimDisk, base: u64, other: u64) {
    let what = &format!("segment {base} as {other}");
    match fixture.open(disk, Depth::Read, what).unwrap_err() {
        Error::WrongSegment { file, got, .. } => {
            assert_eq!(*file, *store(other), "{what}");
            assert_eq!(got.base_offset, Offset::new(base), "{what}");
        }
        error => panic!("{what}: {error:?}"),
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

/// Puts each segment of `older`, an earlier state, in the place of its later self, if that differs; returns how many, and how many of
/// these were ambiguous: records are gone, and no error tells of them.
pub(crate) fn older_segments(fixture: &Fixture, older: &SimDisk) -> (usize, usize) {
    let (mut tried, mut ambiguous) = (0, 0);
    for base in &fixture.bases {
        let name = store(*base);
        if !older.file_names().contains(&name) {
            continue;
        }
        let bytes = older.read_file(&name);
        if bytes == fixture.disk.read_file(&name) {
            continue;
        }
        let disk = fixture.disk.deep_clone();
        disk.write_file(&name, &bytes);
        let what = &format!("{name} of {} bytes", bytes.len());
        let is_ambiguous = older_segment(fixture, &disk, *base, bytes.len() as u64, what);
        ambiguous += usize::from(is_ambiguous);
        tried += 1;
    }
    (tried, ambiguous)
}

fn older_segment(fixture: &Fixture, disk: &SimDisk, base: u64, len: u64, what: &str) -> bool {
    let is_active = base == fixture.active();
    if is_active && fixture.is_sure() {
        let error = fixture.open(disk, Depth::Read, what).unwrap_err();
        assert_eq!(named_file(&error), Some(store(base)), "{what}: {error:?}");
        return false;
    }
    assert!(len >= HEADER_LEN);
    let seen = fixture.opened(disk, Depth::Append, what);
    let gone = fixture.shown(|place| place.file == store(base) && place.bytes.end > len);
    let is_ambiguous = seen.end < fixture.end();
    if is_active {
        // Nothing that is left tells that there was more.
        let end = gone.first().copied().unwrap_or(fixture.end());
        assert_eq!((seen.end, &seen.unreadable[..]), (end, &[][..]), "{what}");
    } else {
        assert_eq!((seen.end, seen.unreadable), (fixture.end(), gone), "{what}");
    }
    is_ambiguous
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
