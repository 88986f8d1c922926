//! Truncation of one file, at every length.

use proglog_log::Reason;

use super::fixture::{
    CHECKPOINT, COPY_USED, Depth, Fixture, HEADER_LEN, is_index, named_file, store,
};

/// The length of a slot of the checkpoint: two copies.
const SLOT_LEN: u64 = 8192;

/// Truncates one file, and checks the log. Returns whether it was ambiguous: records are gone without an error.
pub fn cut(fixture: &Fixture, file: &str, len: u64) -> bool {
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
    if len < COPY_USED {
        let error = fixture.open(disk, Depth::Read, what).expect_err(what);
        assert!(
            matches!(error.reason, Reason::CheckpointLost { .. }),
            "{what}"
        );
    } else if len < SLOT_LEN + COPY_USED
        && fixture.start > 0
        && let Err(error) = fixture.open(&disk.deep_clone(), Depth::Read, what)
    {
        // Of the first slot alone a copy is left. It is the older one, from before a trim, whose segments are gone.
        assert!(
            matches!(error.reason, Reason::MissingSegment { .. }),
            "{what}: {error}"
        );
    } else {
        // A slot is enough to open.
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
        let error = fixture.open(disk, Depth::Read, what).expect_err(what);
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
    // Whole batches are kept, and what is left of another is set aside. Nothing that
    // is left shows the rest: no checkpoint was written, and the marks are gone with it.
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
