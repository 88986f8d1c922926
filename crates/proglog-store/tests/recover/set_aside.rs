//! Set-aside files: dropped bytes are kept beside the store, once, and up to a limit.

use proglog_store::testing::{CallKind, Fault, SimDisk, When};
use proglog_store::{ErrorKind, StoreOptions};

use crate::fixture::{NAME, THREE, extend, killed, open, open_with, payloads};

const TORN: &[u8] = b"\x40torn";

/// A store with a torn end, and the name that it would be set aside under.
fn torn() -> (SimDisk, String) {
    let disk = killed(&THREE);
    extend(&disk, TORN);
    let recovered = disk.deep_clone();
    let set_aside = open(&recovered).unwrap().recovery().set_aside.clone();
    (disk, set_aside.unwrap().file)
}

#[test]
fn the_name_of_a_set_aside_file_has_the_store_and_the_position() {
    let (disk, name) = torn();
    let end = disk.read_file(NAME).len() - 8192 - TORN.len();
    assert_eq!(name, format!("{NAME}.torn-{end}"));
}

#[test]
fn what_an_interrupted_recovery_set_aside_is_reused() {
    let (disk, name) = torn();
    disk.write_file(&name, TORN);
    let options = StoreOptions::new().set_aside_files_max(0);
    let store = open_with(&disk, &options).unwrap();
    assert_eq!(store.recovery().set_aside.as_ref().unwrap().file, name);
    assert_eq!(disk.file_names(), [NAME, &name]);
}

#[test]
fn a_name_that_other_bytes_have_gets_a_number() {
    let (disk, name) = torn();
    let others = [&b"older"[..], b"\x40tor", b"\x40torn\0", b""];
    for (number, other) in others.iter().enumerate() {
        let taken = if number == 0 {
            name.clone()
        } else {
            format!("{name}.{number}")
        };
        disk.write_file(&taken, other);
        let disk = disk.deep_clone();
        let store = open(&disk).unwrap();
        let file = &store.recovery().set_aside.as_ref().unwrap().file;
        assert_eq!(*file, format!("{name}.{}", number + 1));
        assert_eq!(disk.read_file(file), TORN);
        assert_eq!(disk.read_file(&taken), *other, "it was left alone");
    }
}

#[test]
fn a_copy_that_was_never_finished_is_made_again() {
    let (disk, name) = torn();
    disk.write_file(
        &format!("{name}.tmp"),
        b"half of something else, and longer",
    );
    open(&disk).unwrap();
    assert_eq!(disk.read_file(&name), TORN);
    assert_eq!(disk.file_names(), [NAME, &name]);
}

#[test]
fn a_torn_store_opens_however_many_files_are_set_aside_and_the_oldest_go() {
    let (disk, name) = torn();
    let others = ["torn-9", "torn-11.2", "torn-11", "torn-11.10"].map(|it| format!("{NAME}.{it}"));
    let by_age = [0, 2, 1, 3].map(|number: usize| others[number].clone());
    for name in &others {
        disk.write_file(name, name.as_bytes());
    }
    // No name of a set-aside file, or one of another store.
    let kept = [format!("{NAME}.torn-9.tmp"), "b.store.torn-9".into()];
    for name in &kept {
        disk.write_file(name, b"kept");
    }
    for (max, left) in [(0, 0), (1, 0), (2, 1), (4, 3), (5, 4), (9, 4)] {
        let disk = disk.deep_clone();
        let options = StoreOptions::new().set_aside_files_max(max);
        let store = open_with(&disk, &options).unwrap();
        let set_aside = store.recovery().set_aside.clone().unwrap();
        let removed = by_age.len() - left;
        assert_eq!(
            (&set_aside.file, &set_aside.removed[..]),
            (&name, &by_age[..removed])
        );
        assert_eq!(disk.read_file(&name), TORN, "the newest never goes");
        let names = disk.file_names();
        assert!(
            by_age
                .iter()
                .all(|other| names.contains(other) != set_aside.removed.contains(other))
        );
        assert!(kept.iter().all(|other| names.contains(other)));
        assert_eq!(payloads(&store).len(), 3);
    }
}

#[test]
fn a_set_aside_file_that_cannot_be_removed_keeps_no_store_from_opening() {
    let (disk, name) = torn();
    disk.write_file(&format!("{NAME}.torn-1"), b"a");
    disk.inject(When::Next(CallKind::Remove, 0), Fault::os_error(13));
    let store = open_with(&disk, &StoreOptions::new().set_aside_files_max(1)).unwrap();
    let set_aside = store.recovery().set_aside.clone().unwrap();
    assert_eq!(
        (set_aside.file, set_aside.removed),
        (name, Vec::<String>::new())
    );
}

#[test]
fn a_limit_stops_no_store_that_has_nothing_to_set_aside() {
    let disk = killed(&THREE);
    disk.write_file(&format!("{NAME}.torn-1"), b"a");
    let store = open_with(&disk, &StoreOptions::new().set_aside_files_max(0)).unwrap();
    assert_eq!(payloads(&store).len(), 3);
}

#[test]
fn set_aside_files_of_another_store_do_not_count() {
    let (disk, _) = torn();
    disk.write_file("b.store.torn-1", b"a");
    open_with(&disk, &StoreOptions::new().set_aside_files_max(1)).unwrap();
}

#[test]
fn on_a_full_disk_a_torn_end_is_kept_where_it_is_until_there_is_room_for_its_copy() {
    let (disk, name) = torn();
    let before = disk.read_file(NAME);
    for room in 0..TORN.len() as u64 {
        disk.set_capacity(Some(before.len() as u64 + room));
        let error = open(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
        assert!(disk.read_file(NAME) == before);
        assert_eq!(disk.file_names(), [NAME], "nothing takes room in vain");
    }
    disk.set_capacity(Some((before.len() + TORN.len()) as u64));
    let store = open(&disk).unwrap();
    assert_eq!(store.recovery().set_aside.as_ref().unwrap().file, name);
    assert_eq!(payloads(&store).len(), 3);
}
