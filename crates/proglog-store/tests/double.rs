//! The simulated disk loses, tears, reorders and refuses what a real one may, and nothing else.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{OpenMode, Storage};

const EIO: i32 = 5;

/// A disk with the empty file "log", its name durable, and a handle to it.
fn disk_with_log() -> (SimDisk, Arc<dyn Storage>) {
    let disk = SimDisk::new();
    disk.write_file("log", b"");
    let file = open(&disk, "log");
    (disk, file)
}

fn open(disk: &SimDisk, name: &str) -> Arc<dyn Storage> {
    disk.directory()
        .open(name, OpenMode::Write)
        .expect("the file exists")
}

fn create(disk: &SimDisk, name: &str) -> Arc<dyn Storage> {
    disk.directory()
        .open(name, OpenMode::CreateNew)
        .expect("the file is new")
}

/// The bytes of "log" after each subset of the pending changes survived.
fn logs_after_each_subset(disk: &SimDisk) -> BTreeSet<Vec<u8>> {
    (0..1_u64 << disk.pending())
        .map(|mask| disk.crash(Survivors::Ops(mask)).read_file("log"))
        .collect()
}

/// The names after each subset of the pending changes survived.
fn names_after_each_subset(disk: &SimDisk) -> BTreeSet<Vec<String>> {
    (0..1_u64 << disk.pending())
        .map(|mask| disk.crash(Survivors::Ops(mask)).file_names())
        .collect()
}

fn set<const N: usize>(logs: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    logs.into_iter().map(<[u8]>::to_vec).collect()
}

fn name_set<const N: usize>(lists: [&[&str]; N]) -> BTreeSet<Vec<String>> {
    lists
        .into_iter()
        .map(|list| list.iter().map(ToString::to_string).collect())
        .collect()
}

// Writes and syncs.

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

// Torn writes.

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

// Failed syncs.

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
fn the_same_bytes_written_again_after_a_failed_sync_are_kept_by_the_next() {
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
fn what_was_written_again_only_in_part_is_kept_only_in_part() {
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

// Names.

#[test]
fn a_name_never_synced_may_be_lost_though_its_bytes_were_synced() {
    let disk = SimDisk::new();
    let file = create(&disk, "log");
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(names_after_each_subset(&disk), name_set([&[], &["log"]]));
    disk.directory().sync().unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn a_synced_name_does_not_keep_the_bytes() {
    let disk = SimDisk::new();
    let file = create(&disk, "log");
    file.write_all_at(b"abc", 0).unwrap();
    disk.directory().sync().unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"", b"abc"]));
}

#[test]
fn an_unsynced_rename_leaves_the_old_or_the_new_never_both_or_none() {
    let disk = SimDisk::new();
    disk.write_file("new", b"2");
    disk.write_file("log", b"1");
    disk.directory().rename("new", "log").unwrap();
    assert_eq!(
        (disk.file_names(), disk.read_file("log")),
        (vec!["log".into()], b"2".to_vec())
    );
    assert_eq!(
        names_after_each_subset(&disk),
        name_set([&["log", "new"], &["log"]])
    );
    assert_eq!(logs_after_each_subset(&disk), set([b"1", b"2"]));
    disk.directory().sync().unwrap();
    assert_eq!(logs_after_each_subset(&disk), set([b"2"]));
}

#[test]
fn an_unsynced_removal_may_be_undone_by_a_crash() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    disk.directory().remove("log").unwrap();
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"abc");
    disk.directory().sync().unwrap();
    assert!(disk.crash(Survivors::LoseAll).file_names().is_empty());
    let mut buffer = [0; 3];
    assert_eq!(file.read_full_at(&mut buffer, 0).unwrap(), 3);
}

#[test]
fn a_later_name_may_survive_without_an_earlier_one() {
    let disk = SimDisk::new();
    create(&disk, "a");
    create(&disk, "b");
    let expected = name_set([&[], &["a"], &["b"], &["a", "b"]]);
    assert_eq!(names_after_each_subset(&disk), expected);
}

#[test]
fn a_failed_directory_sync_is_not_mended_by_a_second() {
    let disk = SimDisk::new();
    create(&disk, "log");
    disk.inject(When::Next(CallKind::SyncDirectory, 0), Fault::os_error(EIO));
    disk.directory().sync().unwrap_err();
    disk.directory().sync().unwrap();
    assert_eq!(names_after_each_subset(&disk), name_set([&[], &["log"]]));
}

#[test]
fn a_directory_keeps_the_contract_of_its_trait() {
    let disk = SimDisk::new();
    let directory = disk.directory();
    let kind = |result: io::Result<Arc<dyn Storage>>| result.map(drop).map_err(|e| e.kind());
    assert_eq!(
        kind(directory.open("a", OpenMode::Read)),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(
        kind(directory.open("a", OpenMode::Write)),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(kind(directory.open("a", OpenMode::CreateIfMissing)), Ok(()));
    assert_eq!(kind(directory.open("a", OpenMode::CreateIfMissing)), Ok(()));
    assert_eq!(
        kind(directory.open("a", OpenMode::CreateNew)),
        Err(ErrorKind::AlreadyExists)
    );
    assert_eq!(
        kind(directory.open("a/b", OpenMode::CreateNew)),
        Err(ErrorKind::InvalidInput)
    );
    let read_only = directory.open("a", OpenMode::Read).unwrap();
    assert_eq!(
        read_only.write_at(b"x", 0).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        read_only.set_len(1).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        directory.rename("b", "a").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        directory.remove("b").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(directory.list().unwrap(), ["a"]);
}

// Crashes.

#[test]
fn kill_keeps_the_page_cache_but_not_past_a_later_power_cut() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    create(&disk, "new");
    let killed = disk.crash(Survivors::KeepAll);
    assert_eq!(
        (killed.file_names(), killed.read_file("log")),
        (disk.file_names(), b"abc".to_vec())
    );
    assert_eq!(killed.pending(), 2);
    let cut = killed.crash(Survivors::LoseAll);
    assert_eq!(
        (cut.file_names(), cut.read_file("log")),
        (vec!["log".into()], vec![])
    );
    open(&killed, "log").sync_data().unwrap();
    assert_eq!(killed.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn what_a_power_cut_left_survives_the_next_one() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    let after = disk.crash(Survivors::Ops(1));
    assert_eq!(after.pending(), 0);
    assert_eq!(after.crash(Survivors::LoseAll).read_file("log"), b"abc");
}

#[test]
fn a_planned_crash_ends_every_call_on_every_handle() {
    let (disk, file) = disk_with_log();
    let other = open(&disk, "log");
    disk.inject(When::Call(disk.calls() + 1), Fault::crash());
    file.write_all_at(b"abc", 0).unwrap();
    assert!(!disk.has_crashed());
    file.write_all_at(b"d", 3).unwrap_err();
    assert!(disk.has_crashed());
    let calls = disk.calls();
    other.len().unwrap_err();
    other.sync_data().unwrap_err();
    other.try_lock().unwrap_err();
    other.read_at(&mut [0], 0).unwrap_err();
    let directory = disk.directory();
    directory.open("log", OpenMode::Read).unwrap_err();
    directory.list().unwrap_err();
    directory.sync().unwrap_err();
    assert_eq!(
        (disk.calls(), disk.read_file("log")),
        (calls, b"abc".to_vec())
    );
    let after = disk.crash(Survivors::KeepAll);
    assert_eq!((after.calls(), open(&after, "log").len().unwrap()), (0, 3));
}

#[test]
fn a_write_that_crashes_may_leave_its_beginning() {
    for (begun, expected) in [(0, &b""[..]), (2, b"ab"), (usize::MAX, b"abc")] {
        let (disk, file) = disk_with_log();
        let fault = Fault::crash().after_writing(begun);
        disk.inject(When::Next(CallKind::Write, 0), fault);
        file.write_all_at(b"abc", 0).unwrap_err();
        assert_eq!(logs_after_each_subset(&disk), set([b"", expected]));
    }
}

#[test]
fn a_crash_in_a_sync_leaves_its_changes_undecided() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.inject(When::Next(CallKind::Sync, 0), Fault::crash());
    file.sync_data().unwrap_err();
    let killed = disk.crash(Survivors::KeepAll);
    open(&killed, "log").sync_data().unwrap();
    assert_eq!(killed.crash(Survivors::LoseAll).read_file("log"), b"abc");
    assert_eq!(logs_after_each_subset(&disk), set([b"", b"abc"]));
}

#[test]
fn a_deep_clone_shares_nothing_with_the_original() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    let copy = disk.deep_clone();
    assert_eq!(
        (copy.pending(), copy.calls()),
        (disk.pending(), disk.calls())
    );
    open(&copy, "log").write_all_at(b"x", 0).unwrap();
    copy.flip("log", 1, 0);
    file.sync_data().unwrap();
    assert_eq!(
        (disk.read_file("log"), copy.read_file("log")),
        (b"abc".to_vec(), b"xcc".to_vec())
    );
    assert_eq!((disk.pending(), copy.pending()), (0, 2));
}

// Faults.

#[test]
fn each_call_can_be_made_to_fail_once() {
    let workload = |disk: &SimDisk| -> io::Result<()> {
        let directory = disk.directory();
        let file = directory.open("a", OpenMode::CreateIfMissing)?;
        file.try_lock()?;
        file.write_all_at(b"abc", 0)?;
        file.read_full_at(&mut [0; 3], 0)?;
        file.set_len(file.len()? - 1)?;
        file.sync_data()?;
        directory.rename("a", "b")?;
        directory.remove("b")?;
        directory.list()?;
        directory.sync()
    };
    let disk = SimDisk::new();
    workload(&disk).unwrap();
    assert_eq!(disk.calls(), 11);
    for call in 0..disk.calls() {
        let disk = SimDisk::new();
        disk.inject(
            When::Call(call),
            Fault::error(ErrorKind::ReadOnlyFilesystem),
        );
        assert_eq!(
            workload(&disk).unwrap_err().kind(),
            ErrorKind::ReadOnlyFilesystem
        );
        assert_eq!(disk.calls(), call + 1);
        workload(&disk).unwrap();
    }
}

#[test]
fn a_failed_write_may_leave_its_beginning() {
    let (disk, file) = disk_with_log();
    let fault = Fault::error(ErrorKind::StorageFull).after_writing(2);
    disk.inject(When::Next(CallKind::Write, 1), fault);
    file.write_all_at(b"abc", 0).unwrap();
    assert_eq!(
        file.write_at(b"def", 3).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(disk.read_file("log"), b"abcde");
    file.write_all_at(b"def", 3).unwrap();
    assert_eq!(disk.read_file("log"), b"abcdef");
}

#[test]
fn other_calls_that_fail_leave_everything_as_it_was() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    let directory = disk.directory();
    let fail = |kind| disk.inject(When::Next(kind, 0), Fault::os_error(EIO));
    let before = (disk.fingerprint(), disk.pending());
    fail(CallKind::SetLen);
    file.set_len(1).unwrap_err();
    fail(CallKind::Rename);
    directory.rename("log", "b").unwrap_err();
    fail(CallKind::Remove);
    directory.remove("log").unwrap_err();
    fail(CallKind::Create);
    directory.open("b", OpenMode::CreateNew).unwrap_err();
    assert_eq!((disk.fingerprint(), disk.pending()), before);
}

#[test]
fn calls_that_change_nothing_need_not_be_counted() {
    let disk = SimDisk::new();
    disk.count_only_changes();
    disk.start_trace();
    let file = create(&disk, "log");
    assert!(file.is_empty().unwrap());
    assert!(file.try_lock().unwrap());
    file.write_all_at(b"abc", 0).unwrap();
    file.read_full_at(&mut [0; 3], 0).unwrap();
    open(&disk, "log").sync_all().unwrap();
    assert_eq!(disk.calls(), 3);
    let numbers: Vec<_> = disk
        .trace()
        .iter()
        .map(|call| (call.number, call.kind))
        .collect();
    let expected = [
        (Some(0), CallKind::Create),
        (None, CallKind::Len),
        (None, CallKind::Lock),
        (Some(1), CallKind::Write),
        (None, CallKind::Read),
        (None, CallKind::Open),
        (Some(2), CallKind::Sync),
    ];
    assert_eq!(numbers, expected);
    let write = &disk.trace()[3];
    assert_eq!((&*write.name, write.offset, write.len), ("log", 0, 3));
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let (disk, file) = disk_with_log();
    disk.write_file("other", b"12345");
    disk.set_capacity(Some(12));
    assert_eq!(file.write_at(b"abcdefghij", 0).unwrap(), 7);
    assert_eq!(
        file.write_at(b"h", 7).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(file.set_len(8).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"xy", 5).unwrap(), 2);
    assert_eq!(disk.read_file("log"), b"abcdexy");
    disk.directory().remove("other").unwrap();
    assert_eq!(file.write_at(b"123456", 7).unwrap(), 5);
    disk.set_capacity(None);
    assert_eq!(file.write_at(b"6", 12).unwrap(), 1);
}

#[test]
fn a_removed_file_takes_space_while_it_is_open() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    disk.set_capacity(Some(4));
    disk.directory().remove("log").unwrap();
    disk.directory().sync().unwrap();
    let other = create(&disk, "other");
    assert_eq!(other.write_at(b"ab", 0).unwrap(), 1);
    drop(file);
    assert_eq!(other.write_at(b"bcde", 1).unwrap(), 3);
}

#[test]
fn allocated_space_is_there_when_the_disk_is_full() {
    let (disk, file) = disk_with_log();
    file.allocate(10_000).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
    disk.set_capacity(Some(0));
    file.write_all_at(&[1; 10_000], 0).unwrap();
    file.write_all_at(&[1], 10_000).unwrap_err();
}

#[test]
fn short_and_interrupted_transfers_lose_nothing() {
    let (disk, file) = disk_with_log();
    let data: Vec<u8> = (0..=255).cycle().take(5000).collect();
    disk.set_short_transfers(Some(7));
    let outcomes: Vec<_> = (0..50).map(|_| file.write_at(&data, 0)).collect();
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Ok(5000))));
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Ok(1..5000)))
    );
    let kinds = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(
        kinds
            .map(io::Error::kind)
            .any(|kind| kind == ErrorKind::Interrupted)
    );
    file.set_len(0).unwrap();
    file.write_all_at(&data, 0).unwrap();
    let mut buffer = vec![0; 6000];
    assert_eq!(file.read_full_at(&mut buffer, 0).unwrap(), 5000);
    assert_eq!(buffer[..5000], data);
}

#[test]
fn a_stray_offset_is_an_error_and_not_an_allocation() {
    let (_disk, file) = disk_with_log();
    for offset in [1 << 31, 1 << 40, u64::MAX] {
        assert_eq!(
            file.write_at(b"x", offset).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
    }
    assert_eq!(
        file.set_len(u64::MAX).unwrap_err().kind(),
        ErrorKind::FileTooLarge
    );
    assert_eq!(file.write_at(b"", u64::MAX).unwrap(), 0);
}

// Locks.

#[test]
fn a_lock_is_held_until_its_handle_is_dropped() {
    let (disk, file) = disk_with_log();
    let (again, other) = (Arc::clone(&file), open(&disk, "log"));
    assert!(file.try_lock().unwrap());
    assert!(again.try_lock().unwrap());
    assert!(!other.try_lock().unwrap());
    drop(file);
    assert!(!other.try_lock().unwrap());
    drop(again);
    assert!(other.try_lock().unwrap());
}

#[test]
fn a_crash_releases_every_lock() {
    let (disk, file) = disk_with_log();
    assert!(file.try_lock().unwrap());
    for survivors in [Survivors::KeepAll, Survivors::LoseAll] {
        assert!(open(&disk.crash(survivors), "log").try_lock().unwrap());
    }
    assert!(!open(&disk, "log").try_lock().unwrap());
}

// Damage and edits.

#[test]
fn a_flipped_bit_is_read_and_stays_after_a_crash() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    disk.flip("log", 1, 3);
    let mut buffer = [0; 3];
    file.read_full_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"ajc");
    assert_eq!(disk.crash(Survivors::LoseAll).read_file("log"), b"ajc");
}

#[test]
fn an_unreadable_range_fails_reads_that_reach_it_until_it_is_mended() {
    let (disk, file) = disk_with_log();
    file.write_all_at(b"abcdef", 0).unwrap();
    file.sync_data().unwrap();
    disk.fail_reads("log", 2..4);
    let mut buffer = [0; 6];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, 4).unwrap(), 2);
    assert_eq!(
        file.read_at(&mut buffer[..1], 3)
            .unwrap_err()
            .raw_os_error(),
        Some(EIO)
    );
    assert_eq!(
        file.read_full_at(&mut buffer, 0)
            .unwrap_err()
            .raw_os_error(),
        Some(EIO)
    );
    let after = disk.crash(Survivors::LoseAll);
    assert!(open(&after, "log").read_at(&mut buffer, 2).is_err());
    disk.mend_reads("log");
    assert_eq!(file.read_full_at(&mut buffer, 0).unwrap(), 6);
}

#[test]
fn edits_are_durable_at_once_whatever_is_pending() {
    let disk = SimDisk::new();
    let file = create(&disk, "a");
    file.write_all_at(b"abc", 0).unwrap();
    disk.truncate_file("a", 2);
    disk.copy_file("a", "b");
    disk.write_file("c", b"c");
    disk.remove_file("c");
    let after = disk.crash(Survivors::LoseAll);
    assert_eq!(after.file_names(), ["a", "b"]);
    assert_eq!(
        (after.read_file("a"), after.read_file("b")),
        (b"ab".to_vec(), b"ab".to_vec())
    );
    assert_eq!(file.len().unwrap(), 2);
}

#[test]
fn a_fingerprint_tells_names_lengths_and_bytes_apart_and_nothing_else() {
    let image = |name: &str, bytes: &[u8]| {
        let disk = SimDisk::new();
        disk.write_file(name, bytes);
        disk
    };
    let images = [
        ("a", &b""[..]),
        ("b", b""),
        ("a", b"\0"),
        ("a", b"\x01"),
        ("a", &[0; 4097]),
    ];
    let prints = images.map(|(name, bytes)| image(name, bytes).fingerprint());
    assert_eq!(BTreeSet::from(prints).len(), images.len());
    let disk = SimDisk::new();
    let file = create(&disk, "a");
    file.write_all_at(b"x", 4096).unwrap();
    file.write_all_at(&[0; 1], 4096).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    assert_eq!(disk.fingerprint(), image("a", &[0; 4097]).fingerprint());
}
