//! Creation of a store's file: its name is made durable, and obstacles are errors.

use std::io;
use std::sync::Arc;

use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};
use proglog_store::{Error, ErrorKind, Store, StoreOptions};

use crate::fixture::{NAME, THREE, closed, open, payloads, refused};

const TEMPORARY: &str = "a.store.tmp";

/// Makes the next call of this kind fail, after `skipped` others.
fn deny(disk: &SimDisk, kind: CallKind, skipped: u64) {
    let fault = Fault::error(io::ErrorKind::PermissionDenied);
    disk.inject(When::Next(kind, skipped), fault);
}

/// `error` is a refusal of a call on the file `name`.
fn assert_denied(error: &Error, name: &str) {
    let Error::Io { file, source, .. } = error else {
        panic!("{error:?}");
    };
    let found = (&**file, source.kind());
    assert_eq!(found, (name, io::ErrorKind::PermissionDenied));
}

#[test]
fn a_store_whose_name_could_not_be_made_durable_is_created_again() {
    let disk = SimDisk::new();
    deny(&disk, CallKind::SyncDirectory, 0);
    open(&disk).unwrap_err();
    let store = open(&disk).unwrap();
    store.append(b"kept").unwrap();
    store.sync().unwrap();
    let disk = disk.crash(Survivors::LoseAll);
    assert_eq!(payloads(&open(&disk).unwrap()), ["kept"]);
}

#[test]
fn a_store_that_cannot_be_opened_is_not_taken_for_one_that_is_missing() {
    let disk = closed(&THREE);
    deny(&disk, CallKind::Open, 0);
    assert_denied(&refused(&disk, &StoreOptions::new()), NAME);
    assert_eq!(payloads(&open(&disk).unwrap()).len(), 3);
}

#[test]
fn a_store_that_cannot_be_created_is_an_error() {
    let disk = SimDisk::new();
    deny(&disk, CallKind::Create, 0);
    assert_denied(&open(&disk).unwrap_err(), TEMPORARY);
    assert!(disk.file_names().is_empty());
    open(&disk).unwrap();
}

#[test]
fn what_an_interrupted_creation_left_is_no_obstacle_unless_it_cannot_be_opened() {
    let disk = SimDisk::new();
    disk.write_file(TEMPORARY, b"begun");
    // The calls before it find that there is no store, and that the name is taken.
    deny(&disk, CallKind::Open, 2);
    assert_denied(&open(&disk).unwrap_err(), TEMPORARY);
    assert_eq!(disk.file_names(), [TEMPORARY]);
    open(&disk).unwrap();
    assert_eq!(disk.file_names(), [NAME]);
}

/// A directory where a file is gone as soon as it was found: the creation that made it has ended.
#[derive(Debug)]
struct Vanishing(Arc<dyn Directory>);

impl Directory for Vanishing {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        let file = self.0.open(name, mode);
        if mode == OpenMode::CreateNew && file.is_err() {
            self.0.remove(name)?;
        }
        file
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_creation_that_ends_while_another_begins_is_no_obstacle() {
    let disk = SimDisk::new();
    disk.write_file(TEMPORARY, b"under way");
    let directory = Vanishing(disk.directory());
    let store = Store::open_in(&directory, NAME, &StoreOptions::new()).unwrap();
    store.append(b"new").unwrap();
    assert_eq!(payloads(&store), ["new"]);
    assert_eq!(disk.file_names(), [NAME]);
}

#[test]
fn a_store_that_a_full_disk_has_no_room_for_leaves_nothing() {
    let disk = SimDisk::new();
    for room in [0, 1, 4096, 8191] {
        disk.set_capacity(Some(room));
        let error = open(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
        assert!(disk.file_names().is_empty(), "with room for {room} bytes");
    }
    disk.set_capacity(Some(8192));
    open(&disk).unwrap();
}
