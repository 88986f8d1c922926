//! One bit of one file is turned.

use super::fixture::{CHECKPOINT, Depth, Fixture, HEADER_LEN, both, is_store};

/// Turns every bit of every file in turn.
fn flip_every_bit(fixture: &Fixture) {
    let begun = std::time::Instant::now();
    let mut tried = 0;
    for file in fixture.file_names() {
        let len = fixture.disk.read_file(&file).len() as u64;
        for byte in 0..len {
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

/// Every bit is looked behind; of padding less, and appending behind one bit of a byte is enough.
pub(crate) fn depth(file: &str, byte: u64, bit: u8) -> Depth {
    let is_padding = if file == CHECKPOINT {
        byte % 4096 >= 1100
    } else {
        is_store(file) && byte < HEADER_LEN && byte % 4096 >= 96
    };
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
    let hit = (0..)
        .zip(&fixture.places)
        .find(|(_, place)| place.file == file && place.bytes.contains(&byte))
        .map(|(offset, _)| offset);
    if seen.end < fixture.end() {
        assert!(!fixture.closed && seen.end == fixture.sure, "{what}");
        assert!(seen.recovery.set_aside.is_some(), "{what}");
        assert_eq!(seen.unreadable, [0; 0], "{what}");
    } else {
        assert_eq!(seen.recovery.set_aside, None, "{what}");
        assert_eq!(seen.unreadable, Vec::from_iter(hit), "{what}");
    }
    seen.end < fixture.end()
}

#[test]
fn any_bit_of_a_closed_log_takes_at_most_the_record_that_it_is_in() {
    let [closed, _] = both("writer");
    flip_every_bit(&closed);
}

#[test]
fn any_bit_of_a_killed_log_takes_at_most_its_record_or_the_last_group_which_is_set_aside() {
    let [_, killed] = both("writer");
    flip_every_bit(&killed);
}
