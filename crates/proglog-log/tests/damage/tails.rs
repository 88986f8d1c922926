//! Extra bytes after the end of a file, and frames with a wrong length.

use proglog_harness::damage::fixture::{HEADER_LEN, both, options, store};
use proglog_harness::damage::tails::{copy_over, lengthen, slice, takes_one, words};
use proglog_log::Log;

#[test]
fn bytes_after_the_end_of_any_file_take_nothing_from_a_log() {
    let mut tried = 0;
    for fixture in both("writer") {
        for file in fixture.file_names() {
            tried += lengthen(&fixture, &file);
        }
    }
    println!("{tried} tails tried");
}

#[test]
fn a_length_that_is_not_a_records_own_takes_that_record_alone() {
    let mut tried = 0;
    for fixture in both("writer") {
        for (offset, place) in (0..).zip(&fixture.places) {
            let bytes = fixture.disk.read_file(&place.file);
            let left = u32::try_from(bytes.len() as u64 - place.bytes.start).unwrap();
            let own = &slice(&bytes, &place.bytes)[..4];
            for word in words(left) {
                let word = word.to_be_bytes();
                if word == own {
                    continue;
                }
                let mut damaged = bytes.clone();
                let at = usize::try_from(place.bytes.start).unwrap();
                damaged[at..at + 4].copy_from_slice(&word);
                let disk = fixture.disk.deep_clone();
                disk.write_file(&place.file, &damaged);
                let what = &format!("word {word:02x?} for record {offset}");
                takes_one(&fixture, &disk, offset, what);
                tried += 1;
            }
        }
    }
    println!("{tried} lengths tried");
}

#[test]
fn a_frame_that_was_copied_over_another_takes_that_record_alone() {
    let [closed, killed] = both("writer");
    for fixture in [&closed, &killed] {
        for offset in 0..fixture.end() {
            copy_over(fixture, fixture, offset);
        }
    }
    assert!(closed.places[0].bytes.start >= HEADER_LEN);
}

#[test]
fn a_log_whose_end_was_torn_ever_so_often_opens_and_keeps_the_newest_tails() {
    let [_, killed] = both("writer");
    let options = options().set_aside_files_max(2);
    let disk = killed.disk.deep_clone();
    let file = store(killed.active());
    let mut kept: Vec<String> = Vec::new();
    for round in 0..5_u8 {
        let bytes = disk.read_file(&file);
        disk.write_file(&file, &[&bytes[..], &[1, round, 1]].concat());
        let log = Log::open_in(disk.directory(), &options).unwrap();
        let recovery = log.recovery();
        let set_aside = recovery.set_aside.clone().unwrap();
        let removed = set_aside.removed.clone();
        assert_eq!(removed.len(), usize::from(round >= 2), "{recovery}");
        for name in &removed {
            assert!(
                recovery
                    .to_string()
                    .contains(&format!("{name}, was removed"))
            );
            assert_eq!(kept.remove(0), *name, "the oldest goes");
        }
        kept.push(set_aside.file);
        let mut there = disk.file_names();
        there.retain(|name| name.contains(".torn-"));
        there.sort();
        let mut expected = kept.clone();
        expected.sort();
        assert_eq!(there, expected);
        assert_eq!(disk.read_file(kept.last().unwrap()), [1, round, 1]);
        log.append("more").unwrap();
        log.close().unwrap();
    }
}
