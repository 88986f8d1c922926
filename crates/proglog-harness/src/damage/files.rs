//! Missing and exchanged files.

use proglog_log::{Offset, Reason};
use proglog_store::testing::SimDisk;

use super::fixture::{CHECKPOINT, Depth, Fixture, HEADER_LEN, is_store, named_file, store};

/// True if the log needs this file: it rebuilds the others.
fn is_vital(name: &str) -> bool {
    is_store(name) || name == CHECKPOINT
}

/// Removes the file `name`, and checks what the log shows then.
pub fn missing(fixture: &Fixture, name: &str) {
    let what = &format!("{name} missing");
    let disk = fixture.disk.deep_clone();
    disk.remove_file(name);
    if !is_vital(name) {
        fixture.assert_whole(&disk, what);
        return;
    }
    let error = fixture.open(&disk, Depth::Read, what).expect_err(what);
    let is_told = match &error.reason {
        Reason::MissingSegment { base_offset } => store(base_offset.get()) == name,
        Reason::CheckpointLost { .. } => name == CHECKPOINT,
        _ => false,
    };
    assert!(is_told, "{what}: {error:?}");
}

/// Puts the bytes of the file `from` of `source` in the place of `to`, and checks what the log shows then.
pub fn replace(fixture: &Fixture, to: &str, source: &SimDisk, from: &str) {
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
    let error = fixture.open(disk, Depth::Read, what).expect_err(what);
    let named = named_file(&error);
    if to == CHECKPOINT {
        let is_named = named.as_deref() == Some(CHECKPOINT);
        let is_foreign = matches!(error.reason, Reason::WrongSegment { .. });
        assert!(is_named || is_foreign, "{what}: {error:?}");
    } else {
        assert_eq!(named.as_deref(), Some(to), "{what}: {error:?}");
    }
}

/// Puts two files in each other's place, and checks what the log shows then.
pub fn swapped(fixture: &Fixture, first: &str, second: &str) {
    let what = &format!("{first} and {second} swapped");
    let disk = fixture.disk.deep_clone();
    disk.copy_file(second, first);
    disk.write_file(second, &fixture.disk.read_file(first));
    if !is_vital(first) && !is_vital(second) {
        fixture.assert_whole(&disk, what);
        return;
    }
    let error = fixture.open(&disk, Depth::Read, what).expect_err(what);
    let named = named_file(&error);
    let is_named = [first, second].contains(&named.as_deref().unwrap_or_default());
    assert!(is_named, "{what}: {error:?}");
    if is_store(first) && is_store(second) {
        let is_told = matches!(error.reason, Reason::WrongSegment { .. });
        assert!(is_told, "{what}: {error:?}");
    }
}

/// Gives a segment a second name, as if it began at `other`, and then that one alone; checks what the log shows.
pub fn doubled_and_moved(fixture: &Fixture, base: u64, other: u64) {
    let disk = fixture.disk.deep_clone();
    disk.copy_file(&store(base), &store(other));
    told_of(fixture, &disk, base, other);
    disk.remove_file(&store(base));
    told_of(fixture, &disk, base, other);
}

/// An error says that the segment which is called `other` is the one of `base`.
fn told_of(fixture: &Fixture, disk: &SimDisk, base: u64, other: u64) {
    let what = &format!("segment {base} as {other}");
    match fixture
        .open(disk, Depth::Read, what)
        .expect_err(what)
        .reason
    {
        Reason::WrongSegment { file, got, .. } => {
            assert_eq!(*file, *store(other), "{what}");
            assert_eq!(got.base_offset, Offset::new(base), "{what}");
        }
        error => panic!("{what}: {error:?}"),
    }
}

/// Puts each segment of `older`, an earlier state, in the place of its later self, if that differs; returns how many, and how many of
/// these were ambiguous: records are gone without an error.
pub fn older_segments(fixture: &Fixture, older: &SimDisk) -> (usize, usize) {
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
        let error = fixture.open(disk, Depth::Read, what).expect_err(what);
        assert_eq!(named_file(&error), Some(store(base)), "{what}: {error:?}");
        return false;
    }
    assert!(len >= HEADER_LEN);
    let seen = fixture.opened(disk, Depth::Append, what);
    let gone = fixture.shown(|place| place.file == store(base) && place.bytes.end > len);
    let is_ambiguous = seen.end < fixture.end();
    if is_active {
        // Nothing that is left shows that there was more.
        let end = gone.first().copied().unwrap_or(fixture.end());
        assert_eq!((seen.end, &seen.unreadable[..]), (end, &[][..]), "{what}");
    } else {
        assert_eq!((seen.end, seen.unreadable), (fixture.end(), gone), "{what}");
    }
    is_ambiguous
}
