//! The contract of the traits `Directory` and `Storage`, of the file system and of the simulated disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::sync::Arc;

use proglog_store::io::{Directory, FsDirectory, OpenMode, Storage};
use proglog_store::testing::SimDisk;

/// Runs `check` on an empty directory of each kind.
fn on_each(check: impl Fn(&dyn Directory)) {
    let folder = tempfile::tempdir().unwrap();
    check(&FsDirectory::open(&folder).unwrap());
    check(&*SimDisk::new().directory());
}

fn names(directory: &dyn Directory) -> BTreeSet<String> {
    directory.list().unwrap().into_iter().collect()
}

fn bytes(file: &dyn Storage) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(file.len().unwrap()).unwrap() + 10];
    let read = file.read_full_at(&mut bytes, 0).unwrap();
    bytes.truncate(read);
    bytes
}

#[test]
fn files_are_made_found_and_listed_by_their_names() {
    on_each(|directory| {
        let failing = |name, mode| directory.open(name, mode).unwrap_err().kind();
        assert_eq!(failing("a", OpenMode::Read), ErrorKind::NotFound);
        assert_eq!(failing("a", OpenMode::Write), ErrorKind::NotFound);
        assert!(names(directory).is_empty());
        let a = directory.open("a", OpenMode::CreateNew).unwrap();
        a.write_all_at(b"1", 0).unwrap();
        directory.open("b", OpenMode::CreateIfMissing).unwrap();
        assert_eq!(failing("a", OpenMode::CreateNew), ErrorKind::AlreadyExists);
        for mode in [OpenMode::CreateIfMissing, OpenMode::Write, OpenMode::Read] {
            let reopened = directory.open("a", mode).unwrap();
            assert_eq!(bytes(&*reopened), b"1");
        }
        assert_eq!(names(directory), ["a", "b"].map(str::to_owned).into());
    });
}

#[test]
fn a_file_that_is_opened_to_be_read_is_not_written() {
    on_each(|directory| {
        directory.open("a", OpenMode::CreateNew).unwrap();
        let file = directory.open("a", OpenMode::Read).unwrap();
        file.write_at(b"1", 0).unwrap_err();
        assert_eq!(bytes(&*file), b"");
    });
}

#[test]
fn a_renamed_file_replaces_another_and_a_removed_one_is_still_read_by_its_handle() {
    on_each(|directory| {
        let a = directory.open("a", OpenMode::CreateNew).unwrap();
        a.write_all_at(b"1", 0).unwrap();
        directory.open("b", OpenMode::CreateNew).unwrap();
        directory.rename("a", "b").unwrap();
        assert_eq!(names(directory), [String::from("b")].into());
        let b = directory.open("b", OpenMode::Write).unwrap();
        assert_eq!(bytes(&*b), b"1");
        directory.remove("b").unwrap();
        assert!(names(directory).is_empty());
        assert_eq!(bytes(&*b), b"1");
        let kind = directory.remove("b").unwrap_err().kind();
        assert_eq!(kind, ErrorKind::NotFound);
        let kind = directory.rename("b", "c").unwrap_err().kind();
        assert_eq!(kind, ErrorKind::NotFound);
        directory.sync().unwrap();
    });
}

#[test]
fn bytes_are_written_anywhere_and_what_lies_between_is_zero() {
    on_each(|directory| {
        let file = directory.open("a", OpenMode::CreateNew).unwrap();
        assert!(file.is_empty().unwrap());
        file.write_all_at(b"abcdef", 2).unwrap();
        assert!(!file.is_empty().unwrap());
        assert_eq!(file.len().unwrap(), 8);
        let other = directory.open("a", OpenMode::Read).unwrap();
        assert_eq!(bytes(&*other), b"\0\0abcdef");
        let mut two = [0; 2];
        assert_eq!(file.read_full_at(&mut two, 3).unwrap(), 2);
        assert_eq!(two, *b"bc");
        assert_eq!(file.read_at(&mut two, 8).unwrap(), 0);
        assert_eq!(file.read_full_at(&mut two, 9).unwrap(), 0);
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        assert_eq!(bytes(&*other), b"\0\0ab\0\0");
    });
}

#[test]
fn space_that_is_allocated_is_zero_and_what_was_there_stays() {
    on_each(|directory| {
        let file = directory.open("a", OpenMode::CreateNew).unwrap();
        file.write_all_at(b"abc", 0).unwrap();
        for (len, expected) in [(2, 3), (3, 3), (200_000, 200_000), (5, 200_000)] {
            file.allocate(len).unwrap();
            assert_eq!(file.len().unwrap(), expected, "{len} asked for");
        }
        let bytes = bytes(&*file);
        assert!(bytes.starts_with(b"abc"));
        assert!(bytes[3..].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn a_lock_is_held_by_one_handle_until_it_is_given_up_or_dropped() {
    on_each(|directory| {
        let first = directory.open("a", OpenMode::CreateNew).unwrap();
        let second = directory.open("a", OpenMode::Write).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        first.unlock().unwrap();
        assert!(second.try_lock().unwrap());
        assert!(!first.try_lock().unwrap());
        drop(second);
        assert!(first.try_lock().unwrap());
    });
}

#[test]
#[cfg(unix)]
fn a_file_has_an_identity_that_its_name_leads_to() {
    on_each(|directory| {
        assert!(directory.is_in_place().unwrap());
        let a = directory.open("a", OpenMode::CreateNew).unwrap();
        let id = a.id().unwrap().unwrap();
        assert_eq!(directory.id_of("a").unwrap(), Some(id));
        assert_eq!(
            directory.id_of("b").unwrap_err().kind(),
            ErrorKind::NotFound
        );
        directory.rename("a", "b").unwrap();
        directory.open("a", OpenMode::CreateNew).unwrap();
        assert_eq!(directory.id_of("b").unwrap(), Some(id));
        assert_ne!(directory.id_of("a").unwrap(), Some(id));
        directory.remove("b").unwrap();
        directory.open("c", OpenMode::CreateNew).unwrap();
        assert_ne!(directory.id_of("c").unwrap(), Some(id), "it is open");
        assert_eq!(a.id().unwrap(), Some(id));
    });
}

#[test]
fn a_simulated_directory_that_has_moved_is_another_than_the_one_in_its_place() {
    let disk = SimDisk::new();
    let directory = disk.directory();
    directory.open("a", OpenMode::CreateNew).unwrap();
    let there = disk.exchange();
    assert!(!directory.is_in_place().unwrap());
    assert!(there.directory().is_in_place().unwrap());
    directory.open("b", OpenMode::CreateNew).unwrap();
    assert_eq!(disk.file_names(), ["a", "b"]);
    assert!(there.file_names().is_empty());
}

#[test]
fn only_a_regular_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    let directory = FsDirectory::open(&folder).unwrap();
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateIfMissing] {
        let kind = directory.open("a", mode).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidInput, "{mode:?}");
    }
    let kind = directory.open("a", OpenMode::CreateNew).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::AlreadyExists);
}

#[test]
#[cfg(unix)]
fn a_pipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("a");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let directory = FsDirectory::open(&folder).unwrap();
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateIfMissing] {
        let kind = directory.open("a", mode).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidInput, "{mode:?}");
    }
}

#[test]
fn a_name_never_leads_to_another_directory() {
    on_each(|directory| {
        directory.open("a", OpenMode::CreateNew).unwrap();
        for name in ["", ".", "..", "../a", "/a", "b/a", "a\0"] {
            let refused = [
                directory.open(name, OpenMode::Read).map(drop),
                directory.open(name, OpenMode::CreateIfMissing).map(drop),
                directory.rename("a", name),
                directory.rename(name, "a"),
                directory.remove(name),
            ];
            for refused in refused {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
            }
        }
        assert_eq!(names(directory), [String::from("a")].into());
    });
}

/// Two directories with a file `a` of one byte each, `1` and `2`, and a way to open the first and have the
/// second at its path.
#[cfg(unix)]
fn exchanged(exchange: impl Fn(&Path) -> std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, byte) in [("first", "1"), ("second", "2")] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("a"), byte).unwrap();
    }
    std::os::unix::fs::symlink("first", folder.path().join("link")).unwrap();
    let directory = FsDirectory::open(folder.path().join("link")).unwrap();
    assert!(directory.is_in_place().unwrap());
    let first = exchange(folder.path());
    assert!(!directory.is_in_place().unwrap());
    let there = FsDirectory::open(directory.path()).unwrap();
    assert_eq!(bytes(&*there.open("a", OpenMode::Read).unwrap()), b"2");

    let a = directory.open("a", OpenMode::Write).unwrap();
    assert_eq!(bytes(&*a), b"1");
    a.write_all_at(b"3", 0).unwrap();
    directory.open("b", OpenMode::CreateNew).unwrap();
    directory.rename("a", "c").unwrap();
    directory.remove("b").unwrap();
    directory.open("d", OpenMode::CreateIfMissing).unwrap();
    directory.sync().unwrap();
    let expected = BTreeSet::from(["c", "d"].map(str::to_owned));
    assert_eq!(names(&directory), expected);
    assert_eq!(names(&directory.clone()), expected);
    assert_eq!(names(&FsDirectory::open(first).unwrap()), expected);

    assert_eq!(names(&there), [String::from("a")].into());
    assert_eq!(bytes(&*there.open("a", OpenMode::Read).unwrap()), b"2");
}

#[test]
#[cfg(unix)]
fn an_open_directory_is_the_same_though_a_link_is_switched_or_another_gets_its_name() {
    exchanged(|folder| {
        std::fs::remove_file(folder.join("link")).unwrap();
        std::os::unix::fs::symlink("second", folder.join("link")).unwrap();
        folder.join("first")
    });
    exchanged(|folder| {
        std::fs::rename(folder.join("first"), folder.join("old")).unwrap();
        std::fs::rename(folder.join("second"), folder.join("first")).unwrap();
        folder.join("old")
    });
}

#[test]
fn only_a_directory_is_opened_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    File::create(&file).unwrap();
    let failing = |path: &Path| FsDirectory::open(path).unwrap_err().kind();
    assert_eq!(failing(&folder.path().join("none")), ErrorKind::NotFound);
    assert_eq!(failing(&file), ErrorKind::NotADirectory);
    assert_eq!(FsDirectory::open(&folder).unwrap().path(), folder.path());
    // The current directory.
    let here = std::env::current_dir().unwrap();
    assert_eq!(FsDirectory::open("").unwrap().path(), here);
    FsDirectory::create(file.join("in a file")).unwrap_err();
}

#[test]
fn a_directory_that_is_gone_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let directory = FsDirectory::create(folder.path().join("a")).unwrap();
    std::fs::remove_dir(directory.path()).unwrap();
    #[cfg(unix)]
    assert!(!directory.is_in_place().unwrap());
    assert_eq!(directory.list().unwrap_err().kind(), ErrorKind::NotFound);
    // Elsewhere there is nothing to sync.
    #[cfg(unix)]
    assert_eq!(directory.sync().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_directory_is_made_with_those_above_it() {
    let folder = tempfile::tempdir().unwrap();
    is_made(&folder.path().join("a/b/c"));
    #[cfg(unix)]
    is_made(&relative(&folder.path().join("d/e/f")));
}

fn is_made(path: &Path) {
    for _ in 0..2 {
        let made = FsDirectory::create(path).unwrap();
        assert_eq!(made.path(), std::path::absolute(path).unwrap());
        assert!(made.list().unwrap().is_empty());
    }
}

/// The path from the current directory to an absolute path.
#[cfg(unix)]
fn relative(path: &Path) -> std::path::PathBuf {
    let here = std::env::current_dir().unwrap();
    let up = here
        .ancestors()
        .skip(1)
        .map(|_| "..")
        .collect::<std::path::PathBuf>();
    up.join(path.strip_prefix("/").unwrap())
}

#[test]
fn a_directory_may_be_made_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let path = folder.path().join(format!("{round}/a/b"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| FsDirectory::create(&path).unwrap());
            }
        });
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_directory_whose_name_cannot_be_synced_is_no_hindrance() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    // Its parent is in /proc, which takes no sync.
    FsDirectory::create("/proc/self/fd").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::create_dir(&path).unwrap();
    // A privileged user may read this too.
    std::fs::set_permissions(&folder, Permissions::from_mode(0o300)).unwrap();
    FsDirectory::create(&path).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
}

/// A directory at `path` with the files `a` and `lock`, which is released; and that file, which is open.
#[cfg(target_os = "linux")]
fn released(path: &Path) -> (FsDirectory, Arc<dyn Storage>) {
    std::fs::create_dir(path).unwrap();
    std::fs::write(path.join("a"), "1").unwrap();
    let directory = FsDirectory::open(path).unwrap();
    let lock = directory.open("lock", OpenMode::CreateNew).unwrap();
    assert!(is_open(path));
    directory.release("lock", &lock);
    assert!(!is_open(path));
    (directory, lock)
}

/// Returns whether this process has the file or directory at `path` open.
#[cfg(target_os = "linux")]
fn is_open(path: &Path) -> bool {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.any(|target| target == path)
}

#[test]
#[cfg(target_os = "linux")]
fn a_released_directory_is_found_also_after_it_was_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, old) = (folder.path().join("first"), folder.path().join("old"));
    let (directory, lock) = released(&first);
    for is_renamed in [false, true] {
        if is_renamed {
            std::fs::rename(&first, &old).unwrap();
            // Another one at its path.
            let (other, _lock) = released(&first);
            assert!(other.is_in_place().unwrap());
        }
        assert_eq!(directory.is_in_place().unwrap(), !is_renamed);
        assert_eq!(directory.id_of("lock").unwrap(), lock.id().unwrap());
        assert_eq!(bytes(&*directory.open("a", OpenMode::Read).unwrap()), b"1");
        directory.open("b", OpenMode::CreateNew).unwrap();
        directory.rename("b", "c").unwrap();
        directory.sync().unwrap();
        let expected = BTreeSet::from(["a", "c", "lock"].map(str::to_owned));
        assert_eq!(names(&directory), expected);
        directory.remove("c").unwrap();
        assert!(!is_open(&first) && !is_open(&old));
    }
    assert_eq!(names(&FsDirectory::open(&first).unwrap()).len(), 2);
    directory.hold().unwrap();
    assert!(is_open(&old));
    directory.release("lock", &lock);
    assert!(is_open(&old), "it is not at its path");
}

#[test]
#[cfg(target_os = "linux")]
fn no_other_directory_is_taken_for_a_released_one() {
    type Way = fn(&Path, Arc<dyn Storage>);
    let ways: [Way; 5] = [
        |path, lock| {
            std::fs::remove_file(path.join("lock")).unwrap();
            std::fs::write(path.join("lock"), "2").unwrap();
            std::mem::forget(lock);
        },
        |path, lock| {
            // It may get the number of the first.
            std::fs::remove_dir_all(path).unwrap();
            std::fs::create_dir(path).unwrap();
            for name in ["a", "lock"] {
                std::fs::write(path.join(name), "2").unwrap();
            }
            std::mem::forget(lock);
        },
        |path, lock| {
            let (other, kept) = (path.with_extension("other"), path.with_extension("kept"));
            std::fs::create_dir(&other).unwrap();
            std::fs::hard_link(path.join("lock"), other.join("lock")).unwrap();
            std::fs::write(other.join("a"), "2").unwrap();
            std::fs::remove_file(path.join("lock")).unwrap();
            std::fs::rename(path, kept).unwrap();
            std::fs::rename(other, path).unwrap();
            std::mem::forget(lock);
        },
        |path, lock| {
            std::fs::rename(path.join("lock"), path.join("b")).unwrap();
            std::mem::forget(lock);
        },
        // Another file may get its identity.
        |_, lock| drop(lock),
    ];
    for way in ways {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first");
        let (directory, lock) = released(&path);
        way(&path, lock);
        let before = names(&FsDirectory::open(&path).unwrap());
        let refused = [
            directory.open("a", OpenMode::Read).map(drop),
            directory.open("c", OpenMode::CreateIfMissing).map(drop),
            directory.rename("a", "c"),
            directory.remove("a"),
            directory.list().map(drop),
            directory.sync(),
            directory.id_of("a").map(drop),
            directory.hold(),
        ];
        for refused in refused {
            let kind = refused.unwrap_err().kind();
            assert_eq!(kind, ErrorKind::StaleNetworkFileHandle);
        }
        assert_eq!(names(&FsDirectory::open(&path).unwrap()), before);
    }
}
