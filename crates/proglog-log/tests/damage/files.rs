//! Missing and exchanged files.

use proglog_harness::damage::files::{
    doubled_and_moved, missing, older_segments, replace, swapped,
};
use proglog_harness::damage::fixture::{CHECKPOINT, Depth, both, is_store, options, store};
use proglog_log::Reason;

#[test]
fn a_missing_segment_or_checkpoint_is_named_and_any_other_file_is_recreated() {
    for fixture in both("writer") {
        for name in fixture.file_names() {
            missing(&fixture, &name);
        }
    }
}

#[test]
fn a_directory_without_segments_is_no_log() {
    for fixture in both("writer") {
        let disk = fixture.disk.deep_clone();
        for base in &fixture.bases {
            disk.remove_file(&store(*base));
        }
        let error = fixture.open(&disk, Depth::Read, "all missing").unwrap_err();
        assert!(
            matches!(error.reason, Reason::MissingSegment { .. }),
            "{error:?}"
        );
        disk.remove_file(CHECKPOINT);
        let error = fixture
            .open(&disk, Depth::Read, "only indexes")
            .unwrap_err();
        assert!(matches!(error.reason, Reason::NotALog { .. }), "{error:?}");
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
    assert!(
        matches!(error.reason, Reason::WrongSegment { .. }),
        "{error:?}"
    );
}
