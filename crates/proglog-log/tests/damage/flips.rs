//! One bit of one file is turned.

use super::fixture::{Depth, Fixture, KINDS, both, is_index, is_padding};

/// Turns every bit of those bytes of every file in turn that are as `is_meant` says.
fn flip_every_bit(fixture: &Fixture, is_meant: fn(&str, u64) -> bool) {
    let begun = std::time::Instant::now();
    let mut tried = 0;
    for file in fixture.file_names() {
        let len = fixture.disk.read_file(&file).len() as u64;
        for byte in (0..len).filter(|byte| is_meant(&file, *byte)) {
            for bit in 0..8 {
                flip(fixture, &file, byte, bit, depth(&file, byte, bit));
                tried += 1;
            }
        }
    }
    println!(
        "{tried} bits turned in {:.1} s",
        begun.elapsed().as_secs_f32()
    );
}

/// Whether the byte says what not all kinds of logs say: it is of no padding, and of no index.
pub(crate) fn is_telling(file: &str, byte: u64) -> bool {
    !is_index(file) && !is_padding(file, byte)
}

/// Every bit is looked behind; of padding less, and appending behind one bit of a byte is enough.
pub(crate) fn depth(file: &str, byte: u64, bit: u8) -> Depth {
    let is_padding = is_padding(file, byte);
    let may_append = u64::from(bit) == byte % 8 && (!is_padding || byte.is_multiple_of(16));
    match (may_append, is_padding) {
        (true, _) => Depth::Append,
        (false, true) => Depth::Iterate,
        (false, false) => Depth::Read,
    }
}

/// Turns one bit, and checks what the log shows then. Returns whether it was ambiguous: no mark covers what was
/// damaged, so it looks like an unfinished write, and is set aside.
pub(crate) fn flip(fixture: &Fixture, file: &str, byte: u64, bit: u8, depth: Depth) -> bool {
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

#[test]
fn any_bit_of_a_closed_log_takes_at_most_the_record_that_it_is_in() {
    let [closed, _] = both("writer");
    flip_every_bit(&closed, |_, _| true);
}

#[test]
fn any_bit_of_a_killed_log_takes_at_most_its_record_or_the_last_group_which_is_set_aside() {
    let [_, killed] = both("writer");
    flip_every_bit(&killed, |_, _| true);
}

#[test]
fn any_bit_takes_no_more_of_a_log_from_which_records_were_dropped() {
    for kind in &KINDS[1..] {
        for fixture in kind("writer") {
            flip_every_bit(&fixture, is_telling);
        }
    }
}
