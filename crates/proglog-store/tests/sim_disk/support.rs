//! Disks to start with, and their states after a crash.

use std::collections::BTreeSet;
use std::sync::Arc;

use proglog_store::io::{OpenMode, Storage};
use proglog_store::testing::{SimDisk, Survivors};

pub(crate) const EIO: i32 = 5;

/// A disk with the empty file "log", its name durable, and a handle to it.
pub(crate) fn disk_with_log() -> (SimDisk, Arc<dyn Storage>) {
    let disk = SimDisk::new();
    disk.write_file("log", b"");
    let file = open(&disk, "log");
    (disk, file)
}

pub(crate) fn open(disk: &SimDisk, name: &str) -> Arc<dyn Storage> {
    disk.directory()
        .open(name, OpenMode::Write)
        .expect("the file exists")
}

pub(crate) fn create(disk: &SimDisk, name: &str) -> Arc<dyn Storage> {
    disk.directory()
        .open(name, OpenMode::CreateNew)
        .expect("the file is new")
}

/// The bytes of "log" after each subset of the pending changes survived.
pub(crate) fn logs_after_each_subset(disk: &SimDisk) -> BTreeSet<Vec<u8>> {
    (0..1_u64 << disk.pending())
        .map(|mask| disk.crash(Survivors::Ops(mask)).read_file("log"))
        .collect()
}

/// The names after each subset of the pending changes survived.
pub(crate) fn names_after_each_subset(disk: &SimDisk) -> BTreeSet<Vec<String>> {
    (0..1_u64 << disk.pending())
        .map(|mask| disk.crash(Survivors::Ops(mask)).file_names())
        .collect()
}

pub(crate) fn set<const N: usize>(logs: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    logs.into_iter().map(<[u8]>::to_vec).collect()
}

pub(crate) fn name_set<const N: usize>(lists: [&[&str]; N]) -> BTreeSet<Vec<String>> {
    lists
        .into_iter()
        .map(|list| list.iter().map(ToString::to_string).collect())
        .collect()
}
