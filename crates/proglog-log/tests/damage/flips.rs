//! Bit flips in one file.

use proglog_harness::damage::fixture::{Fixture, KINDS, both};
use proglog_harness::damage::flips::{depth, flip, is_telling};

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
