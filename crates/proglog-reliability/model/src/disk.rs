//! A directory on the double, each call of which is a step.

use std::io;
use std::sync::Arc;

use proglog_model_sync::point;
use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::testing::SimDisk;

#[derive(Debug)]
struct Steps(Arc<dyn Directory>);

#[derive(Debug)]
struct File(Arc<dyn Storage>);

pub(crate) fn directory(disk: &SimDisk) -> Arc<dyn Directory> {
    Arc::new(Steps(disk.directory()))
}

impl Directory for Steps {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        point();
        Ok(Arc::new(File(self.0.open(name, mode)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        point();
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        point();
        self.0.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        point();
        self.0.list()
    }

    fn sync(&self) -> io::Result<()> {
        point();
        self.0.sync()
    }
}

impl Storage for File {
    fn len(&self) -> io::Result<u64> {
        point();
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        point();
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        point();
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        point();
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        point();
        self.0.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        point();
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        point();
        self.0.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        point();
        self.0.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        point();
        self.0.unlock()
    }
}
