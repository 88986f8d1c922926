//! Calls that fail, and bytes that are damaged.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

use proglog_store::io::OpenMode;
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{EIO, create, disk_with_log, open};

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
fn a_full_disk_that_writes_copies_refuses_every_change_but_a_removal() {
    let (disk, file) = disk_with_log();
    let (directory, full) = (disk.directory(), ErrorKind::StorageFull);
    disk.write_file("other", b"12345");
    disk.write_copies();
    disk.set_capacity(Some(12));
    file.write_all_at(b"abcd", 0).unwrap();
    assert_eq!(file.write_at(b"efgh", 0).unwrap(), 3);
    assert_eq!(file.write_at(b"xyz", 4).unwrap(), 3);
    assert_eq!(disk.read_file("log"), b"efgdxyz");
    assert_eq!(file.write_at(b"a", 0).unwrap_err().kind(), full);
    for len in [8, 7, 1] {
        assert_eq!(file.set_len(len).unwrap_err().kind(), full);
    }
    assert_eq!(directory.rename("log", "new").unwrap_err().kind(), full);
    let created = directory.open("new", OpenMode::CreateNew);
    assert_eq!(created.unwrap_err().kind(), full);
    directory.remove("other").unwrap();
    file.set_len(1).unwrap();
    directory.rename("log", "new").unwrap();
    assert_eq!(file.write_at(b"past the end", 4).unwrap(), 8);
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
fn a_fingerprint_depends_on_names_lengths_and_bytes_and_nothing_else() {
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

#[test]
fn what_was_evicted_is_not_found_until_it_is_read_or_where_it_cannot_be() {
    let (disk, file) = disk_with_log();
    file.write_all_at(&vec![7; 20_000], 0).unwrap();
    let try_read = |offset| file.try_read_at(&mut [0; 5000], offset).unwrap();
    assert_eq!(try_read(0), Some(5000));
    assert_eq!(try_read(18_000), Some(2000));
    assert_eq!(try_read(20_000), Some(0));
    disk.evict("log", 10_000..10_001);
    for (offset, found) in [(0, true), (4000, false), (10_000, false), (12_288, true)] {
        assert_eq!(try_read(offset).is_some(), found, "at {offset}");
    }
    assert_eq!(file.read_at(&mut [0], 9000).unwrap(), 1);
    assert_eq!(try_read(4000), Some(5000));
    disk.fail_reads("log", 6000..6001);
    assert_eq!(try_read(2000), None);
    let fault = Fault::error(ErrorKind::Other);
    disk.inject(When::Next(CallKind::TryRead, 0), fault);
    assert!(file.try_read_at(&mut [0], 0).is_err());
    assert_eq!(try_read(0), Some(5000));
}
