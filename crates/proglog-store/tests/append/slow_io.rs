//! Readers and appends continue while a write or a sync is slow.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use proglog_store::io::{Directory, OpenMode, Storage};
use proglog_store::testing::SimDisk;
use proglog_store::{Store, StoreOptions};

/// Blocks writes and syncs while it is closed.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let mut state = self
            .changed
            .wait_while(state, |state| state.closed)
            .unwrap();
        state.waiting -= 1;
    }

    /// Returns once a call is blocked.
    fn wait_for_one(&self) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_while(state, |state| state.waiting == 0);
        drop(waited.unwrap());
    }
}

#[derive(Debug)]
struct GatedDirectory(Arc<dyn Directory>, Arc<Gate>);

#[derive(Debug)]
struct GatedFile(Arc<dyn Storage>, Arc<Gate>);

impl Directory for GatedDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        let file = self.0.open(name, mode)?;
        Ok(Arc::new(GatedFile(file, Arc::clone(&self.1))))
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

impl Storage for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.1.pass();
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

fn open(buffer_len: usize) -> (Store, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let directory = GatedDirectory(SimDisk::new().directory(), Arc::clone(&gate));
    let options = StoreOptions::new().buffer_len(buffer_len);
    let store = Store::open_in(&directory, "a.store", &options).unwrap();
    (store, gate)
}

fn payloads(store: &Store) -> Vec<String> {
    store
        .frames(..)
        .map(|frame| String::from_utf8(frame.unwrap().payload.to_vec()).unwrap())
        .collect()
}

#[test]
fn what_is_being_written_can_be_read_and_appended_to() {
    let (store, gate) = open(1000);
    let file = store.append(b"in the file").unwrap().position;
    store.flush().unwrap();
    let written = store.append(b"being written").unwrap().position;
    gate.close();
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| store.flush());
        gate.wait_for_one();
        let buffered = store.append(b"in the buffer").unwrap().position;
        assert_eq!(store.read(file).unwrap(), "in the file");
        assert_eq!(store.read(written).unwrap(), "being written");
        assert_eq!(store.read(buffered).unwrap(), "in the buffer");
        let all = ["in the file", "being written", "in the buffer"];
        assert_eq!(payloads(&store), all);
        gate.open();
        assert_eq!(flush.join().unwrap().unwrap().frames, 2);
        assert_eq!(payloads(&store), all);
    });
}

#[test]
fn appends_and_readers_go_on_while_a_sync_runs() {
    let (store, gate) = open(1000);
    store.append(b"one").unwrap();
    store.flush().unwrap();
    gate.close();
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| store.sync());
        gate.wait_for_one();
        store.append(b"two").unwrap();
        assert_eq!(payloads(&store), ["one", "two"]);
        gate.open();
        assert_eq!(sync.join().unwrap().unwrap().frames, 1);
    });
}

#[test]
fn a_long_payload_is_seen_once_it_is_whole_and_others_are_read_until_then() {
    let (store, gate) = open(1000);
    let long = "long".repeat(1000);
    store.append(b"one").unwrap();
    store.flush().unwrap();
    let end = store.end();
    gate.close();
    std::thread::scope(|scope| {
        let append = scope.spawn(|| store.append(long.as_bytes()));
        gate.wait_for_one();
        assert_eq!(store.end(), end);
        assert_eq!(payloads(&store), ["one"]);
        // This one follows it.
        let second = scope.spawn(|| store.append(b"two"));
        gate.open();
        let long_at = append.join().unwrap().unwrap();
        let two_at = second.join().unwrap().unwrap();
        assert_eq!(long_at.position, end.position);
        assert_eq!(
            two_at.position,
            long_at.position.plus(long_at.bytes_written)
        );
    });
    assert_eq!(payloads(&store), ["one", &long, "two"]);
}
