//! One file is cut, at every length that is shorter than it was.

use proglog_log::Error;

use super::fixture::{
    CHECKPOINT, Depth, Fixture, HEADER_LEN, SLOT_USED, both, index, is_index, named_file, store,
};

fn cut_every_file_at_every_length(fixture: &Fixture) {
    let mut tried = 0;
    for file in fixture.file_names() {
        for len in 0..fixture.disk.read_file(&file).len() as u64 {
            cut(fixture, &file, len);
            tried += 1;
        }
    }
    println!("{tried} cuts tried");
}

/// Cuts one file, and checks what the log shows then. Returns whether it was ambiguous: records are gone, and no
/// error tells of them.
pub(crate) fn cut(fixture: &Fixture, file: &str, len: u64) -> bool {
    let disk = fixture.disk.deep_clone();
    disk.truncate_file(file, len);
    let what = &format!("{file} cut to {len} bytes");
    if file == CHECKPOINT {
        checkpoint_cut(fixture, &disk, len, what);
    } else if is_index(file) {
        fixture.assert_whole(&disk, what);
    } else {
        return segment_cut(fixture, &disk, file, len, what);
    }
    false
}

fn checkpoint_cut(fixture: &Fixture, disk: &proglog_store::testing::SimDisk, len: u64, what: &str) {
    // The first slot is enough to open.
    if len < SLOT_USED {
        let error = fixture.open(disk, Depth::Read, what).unwrap_err();
        assert!(matches!(error, Error::CheckpointLost { .. }), "{what}");
    } else {
        fixture.assert_whole(disk, what);
    }
}

fn segment_cut(
    fixture: &Fixture,
    disk: &proglog_store::testing::SimDisk,
    file: &str,
    len: u64,
    what: &str,
) -> bool {
    let is_active = file == store(fixture.active());
    if len < HEADER_LEN || (is_active && fixture.is_sure()) {
        let error = fixture.open(disk, Depth::Read, what).unwrap_err();
        assert_eq!(named_file(&error).as_deref(), Some(file), "{what}: {error}");
        return false;
    }
    let seen = fixture.opened(disk, Depth::Append, what);
    let cut_off = fixture.shown(|place| place.file == file && place.bytes.end > len);
    if !is_active {
        assert_eq!(seen.end, fixture.end(), "{what}");
        assert_eq!(seen.unreadable, cut_off, "{what}");
        return false;
    }
    // Whole batches are kept, and what is left of another is set aside. That the rest was there is
    // told by nothing that is left: no checkpoint was written, and the marks are gone with it.
    let mut end = cut_off.first().copied().unwrap_or(fixture.end());
    while end > fixture.active() && !fixture.places[usize::try_from(end).unwrap() - 1].ends_batch {
        end -= 1;
    }
    assert_eq!(seen.end, end, "{what}");
    assert_eq!(seen.unreadable, [0; 0], "{what}");
    let kept = seen.recovery.set_aside.map_or(0, |torn| torn.bytes);
    let file_len = disk.read_file(file).len() as u64;
    assert!(kept > 0 || file_len >= len, "{what}: bytes are gone");
    !cut_off.is_empty()
}

#[test]
fn a_file_of_a_closed_log_that_was_cut_is_named_or_its_other_records_are_right() {
    let [closed, _] = both("writer");
    cut_every_file_at_every_length(&closed);
}

#[test]
fn a_file_of_a_killed_log_that_was_cut_is_named_or_its_other_records_are_right() {
    let [_, killed] = both("writer");
    cut_every_file_at_every_length(&killed);
}

#[test]
fn a_file_that_was_emptied_is_made_again_or_named() {
    for fixture in both("writer") {
        for base in &fixture.bases {
            let disk = fixture.disk.deep_clone();
            disk.write_file(&index(*base), b"");
            let recovery = fixture.assert_whole(&disk, "an empty index");
            let is_sealed = *base != fixture.active();
            assert_eq!(
                recovery.indexes_rebuilt,
                usize::from(is_sealed),
                "index {base}"
            );
        }
    }
}

#[test]
fn a_log_that_does_not_open_keeps_its_torn_end_until_it_does() {
    let [_, fixture] = both("writer");
    let disk = fixture.disk.deep_clone();
    let (older, active) = (fixture.bases[1], store(fixture.active()));
    disk.write_file(&active, &[&disk.read_file(&active)[..], b"torn"].concat());
    disk.truncate_file(&store(older), HEADER_LEN);
    disk.remove_file(&index(older));
    let error = fixture.open(&disk, Depth::Read, "two faults").unwrap_err();
    assert_eq!(named_file(&error), Some(store(older)), "{error:?}");
    disk.write_file(&store(older), &fixture.disk.read_file(&store(older)));
    let recovery = fixture.assert_whole(&disk, "one mended");
    assert_eq!(recovery.set_aside.unwrap().bytes, 4);
}
