//! Truncation of one file, at every length.

use proglog_harness::damage::cuts::cut;
use proglog_harness::damage::fixture::{
    Depth, Fixture, HEADER_LEN, both, index, named_file, store,
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

#[test]
fn a_truncated_file_of_a_closed_log_is_named_or_its_other_records_are_right() {
    let [closed, _] = both("writer");
    cut_every_file_at_every_length(&closed);
}

#[test]
fn a_truncated_file_of_a_killed_log_is_named_or_its_other_records_are_right() {
    let [_, killed] = both("writer");
    cut_every_file_at_every_length(&killed);
}

#[test]
fn an_emptied_file_is_recreated_or_named() {
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
