//! Bit flips in one file.

use super::fixture::{Depth, Fixture, is_index, is_padding};

/// True for a byte that differs between kinds of logs: outside of padding, and of indexes.
pub fn is_telling(file: &str, byte: u64) -> bool {
    !is_index(file) && !is_padding(file, byte)
}

/// The depth of a check: less for padding, and an append for one bit of each byte.
pub fn depth(file: &str, byte: u64, bit: u8) -> Depth {
    let is_padding = is_padding(file, byte);
    let may_append = u64::from(bit) == byte % 8 && (!is_padding || byte.is_multiple_of(16));
    match (may_append, is_padding) {
        (true, _) => Depth::Append,
        (false, true) => Depth::Iterate,
        (false, false) => Depth::Read,
    }
}

/// Flips one bit, and checks the log. Returns whether it was ambiguous: no mark covers the damage, so it looks like an
/// unfinished write, and is set aside.
pub fn flip(fixture: &Fixture, file: &str, byte: u64, bit: u8, depth: Depth) -> bool {
    let disk = fixture.disk.deep_clone();
    disk.flip(file, byte, bit);
    let what = &format!("bit {bit} of byte {byte} of {file}");
    let seen = fixture.opened(&disk, depth, what);
    if seen.end < fixture.end() {
        assert_eq!(seen.end, fixture.sure, "{what}");
        assert!(seen.recovery.set_aside.is_some(), "{what}");
        assert_eq!(seen.unreadable, [0; 0], "{what}");
    } else {
        assert_eq!(seen.recovery.set_aside, None, "{what}");
        let hit = fixture.shown(|place| place.file == file && place.bytes.contains(&byte));
        assert_eq!(seen.unreadable, hit, "{what}");
    }
    seen.end < fixture.end()
}
