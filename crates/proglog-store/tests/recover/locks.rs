//! The lock of a store, while other processes have copies of its handles.

use std::io;
use std::sync::{Arc, Mutex};

use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::testing::SimDisk;
use proglog_store::{Store, StoreOptions};

use crate::fixture::{NAME, open};

/// A directory each of whose handles stays open, as while another thread starts a process, which has copies
/// of them for a moment.
#[derive(Debug)]
struct Copied {
    directory: Arc<dyn Directory>,
    copies: Mutex<Vec<Arc<dyn Storage>>>,
}

impl Directory for Copied {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        let file = self.directory.open(name, mode)?;
        self.copies.lock().unwrap().push(Arc::clone(&file));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync()
    }
}

#[test]
fn a_store_without_data_opens_though_there_are_copies_of_its_handles() {
    let disk = SimDisk::new();
    drop(open(&disk).unwrap());
    let copied = Copied {
        directory: disk.directory(),
        copies: Mutex::default(),
    };
    for _ in 0..2 {
        let store = Store::open_in(&copied, NAME, &StoreOptions::new()).unwrap();
        store.close().unwrap();
    }
}
