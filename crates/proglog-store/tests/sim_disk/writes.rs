//! Writes that are synced, lost, torn, or whose sync fails.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use proglog_store::io::{OpenMode, Storage};
use proglog_store::testing::{CallKind, Fault, Survivors, When};

use crate::support::{EIO, create, disk_with_log, logs_after_each_subset, open, set};

#[test]
fn a_read_sees_what_was_written_and_not_synced() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 2).unwrap();
    let mut buffer = [9; 8];
    assert_eq!(open(&disk, "log").read_full_at(&mut buffer, 0).unwrap(), 5);
    assert_eq!(&buffer, b"\0\0abc\x09\x09\x09");
    assert_eq!(file.read_at(&mut buffer, 5).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, u64::MAX).unwrap(), 0);
}

#[test]
fn an_unsynced_write_may_be_lost() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"", b"abc"]));
}

#[test]
fn a_synced_write_survives_every_crash() {
    for sync in [<dyn Storage>::sync_data, <dyn Storage>::sync_all] {
        let (disk, file) = disk_with_log();
        file.write_all_at(b"abc", 0).unwrap();
        sync(&*file).unwrap();
        assert_eq!(disk.pending(), 0);
        assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
    }
}

#[test]
fn a_sync_keeps_the_writes_of_no_other_file() {
    let (disk, file) = disk_with_log();
    disk.write_file("other", b"");
    let other = open(&disk, "other");
    file.write_all_at(b"abc", 0).unwrap();
    other.write_all_at(b"abc", 0).unwrap();
    other.sync_data().unwrap();
    let after = disk.crash(Survivors::LoseAll);
    assert_eq!(
        (after.read_file("log"), after.read_file("other")),
        (vec![], b"abc".to_vec())
    );
}

#[test]
fn a_sync_through_one_handle_keeps_the_writes_of_another() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.directory()
        .open("log", OpenMode::Read)
        .unwrap()
        .sync_data()
        .unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn unsynced_writes_survive_in_any_combination() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"a", 0).unwrap();
    file.write_all_at(b"b", 1).unwrap();
    assert_eq!(
        logs_after_each_subset(&disk),
        set([b"", b"a", b"\0b", b"ab"])
    );
}

#[test]
fn the_later_of_two_surviving_writes_is_on_top() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"aa", 0).unwrap();
    file.write_all_at(b"b", 1).unwrap();
    assert_eq!(
        logs_after_each_subset(&disk),
        set([b"", b"aa", b"\0b", b"ab"])
    );
}

#[test]
fn an_unsynced_truncation_may_be_lost_under_a_later_write() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(
        logs_after_each_subset(&disk),
        set([b"abc", b"", b"xbc", b"x"])
    );
}

#[test]
fn changes_are_numbered_in_the_order_they_were_made_over_all_files_and_names() {
    let (disk, file) = disk_with_log();
    let new = create(&disk, "new");
    new.write_all_at(b"1", 0).unwrap();
    file.write_all_at(b"2", 0).unwrap();
    assert_eq!(disk.pending(), 3);
    let after = disk.crash(Survivors::Ops(0b011));
    assert_eq!(
        (after.read_file("new"), after.read_file("log")),
        (b"1".to_vec(), vec![])
    );
    assert_eq!(disk.crash(Survivors::Ops(0b100)).file_names(), ["log"]);
    assert_eq!(disk.crash(Survivors::Ops(0b100)).read_file("log"), b"2");
}

#[test]
fn a_torn_write_keeps_any_subset_of_its_sectors() {
    let (disk, file) = disk_with_log();
    file.set_len(1024).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[1; 24], 500).unwrap();
    assert_eq!((disk.pending(), disk.pending_parts()), (1, 2));
    let seen: BTreeSet<_> = (0..4)
        .map(|mask| {
            let log = disk.crash(Survivors::Parts(mask)).read_file("log");
            assert!(log[..500].iter().chain(&log[524..]).all(|byte| *byte == 0));
            assert_eq!(log.len(), 1024);
            (log[500..512].to_vec(), log[512..524].to_vec())
        })
        .collect();
    let (no, yes) = (vec![0; 12], vec![1; 12]);
    let both = [
        (no.clone(), no.clone()),
        (no.clone(), yes.clone()),
        (yes.clone(), no),
        (yes.clone(), yes),
    ];
    assert_eq!(seen, BTreeSet::from(both));
}

#[test]
fn a_longer_file_may_keep_its_length_without_its_bytes() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    assert_eq!(disk.pending_parts(), 2);
    let logs = (0..4).map(|mask| disk.crash(Survivors::Parts(mask)).read_file("log"));
    assert_eq!(logs.collect::<BTreeSet<_>>(), set([b"", b"abc", b"\0\0\0"]));
}

#[test]
fn seeds_keep_lose_tear_and_reorder() {
    let (disk, file) = disk_with_log();
    for at in 0..4 {
        file.write_all_at(&[1; 1024], at * 1024).unwrap();
    }
    let survived = |log: &[u8], at: usize| {
        let sectors = [at * 1024, at * 1024 + 512].map(|at| log.get(at) == Some(&1));
        sectors.into_iter().filter(|survived| *survived).count()
    };
    let logs: Vec<_> = (0..400)
        .map(|seed| disk.crash(Survivors::Seeded(seed)).read_file("log"))
        .collect();
    let any = |fact: &dyn Fn([usize; 4]) -> bool| {
        logs.iter()
            .any(|log| fact([0, 1, 2, 3].map(|at| survived(log, at))))
    };
    assert!(any(&|kept| kept == [0; 4]), "all lost");
    assert!(any(&|kept| kept == [2; 4]), "all kept");
    assert!(
        any(&|kept| kept[0] == 0 && kept[3] == 2),
        "the last without the first"
    );
    assert!(
        any(&|kept| kept == [2, 1, 0, 0]),
        "a beginning, its end torn"
    );
    assert!(
        any(&|kept| kept[1] == 1 && kept[2] == 2),
        "torn below a whole one"
    );
    assert!(
        logs.iter()
            .any(|log| log.len() == 4096 && log.ends_with(&[0; 512])),
        "only the length"
    );
}

#[test]
fn some_seeds_keep_a_beginning_and_tear_the_write_after_it() {
    let (disk, file) = disk_with_log();
    file.set_len(16 * 1024).unwrap();
    file.sync_data().unwrap();
    for at in 0..16 {
        file.write_all_at(&[1; 1024], at * 1024).unwrap();
    }
    let is_torn_beginning = |seed| {
        let log = disk.crash(Survivors::Seeded(seed)).read_file("log");
        let kept = log.iter().take_while(|byte| **byte == 1).count();
        (4096..12_000).contains(&kept) && kept % 1024 == 512 && log[kept..].iter().all(|b| *b == 0)
    };
    assert!((0..400).any(is_torn_beginning));
}

#[test]
fn the_same_seed_has_the_same_outcome() {
    let prints = || {
        let (disk, file) = disk_with_log();
        for at in 0..20 {
            file.write_all_at(&[1; 700], at * 700).unwrap();
        }
        (0..100)
            .map(|seed| disk.crash(Survivors::Seeded(seed)).fingerprint())
            .collect::<Vec<_>>()
    };
    assert_eq!(prints(), prints());
    assert!(prints().into_iter().collect::<BTreeSet<_>>().len() > 50);
}

#[test]
fn a_failed_sync_is_not_mended_by_a_second() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(EIO));
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
    file.sync_data().unwrap();
    assert_eq!(disk.read_file("log"), b"abc");
    assert_eq!(logs_after_each_subset(&disk), set([b"", b"abc"]));
}

#[test]
fn the_same_bytes_rewritten_after_a_failed_sync_are_kept_by_the_next() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(
        When::Next(CallKind::Sync, 0),
        Fault::error(ErrorKind::Other),
    );
    file.sync_data().unwrap_err();
    file.write_all_at(b"a", 0).unwrap();
    file.write_all_at(b"bc", 1).unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.pending(), 0);
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn what_was_rewritten_only_in_part_is_kept_only_in_part() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(
        When::Next(CallKind::Sync, 0),
        Fault::error(ErrorKind::Other),
    );
    file.sync_data().unwrap_err();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"x", b"xbc"]));
}

#[test]
fn a_lost_write_never_comes_back_over_a_later_synced_one() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"aaaa", 0).unwrap();
    disk.inject(
        When::Next(CallKind::Sync, 0),
        Fault::error(ErrorKind::Other),
    );
    file.sync_data().unwrap_err();
    file.write_all_at(b"bb", 1).unwrap();
    file.sync_data().unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"\0bb", b"abba"]));
}

#[test]
fn a_sync_before_the_failed_one_still_counts() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(
        When::Next(CallKind::Sync, 1),
        Fault::error(ErrorKind::Other),
    );
    file.sync_data().unwrap();
    file.write_all_at(b"d", 3).unwrap();
    file.sync_data().unwrap_err();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn a_kill_after_a_failed_sync_leaves_the_lost_bytes_visible_and_beyond_every_sync() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(
        When::Next(CallKind::Sync, 0),
        Fault::error(ErrorKind::Other),
    );
    file.sync_data().unwrap_err();
    let disk = disk.crash(Survivors::KeepAll);
    let file = open(&disk, "log");
    assert_eq!(disk.read_file("log"), b"abc");
    file.sync_data().unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"");
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
}
