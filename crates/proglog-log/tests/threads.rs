//! Threads that cannot be had any more once a log is open, and those that have to be left free.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::pin::pin;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use futures::StreamExt;
use proglog_log::{Durability, Log, LogOptions, ReadOnlyLog, Retention};
use proglog_store::io::{Directory, FsDirectory, OpenMode, Storage};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const NAME: &str = "a_log_completes_everything_with_the_thread_that_it_has_since_opening";
/// Set in the process that gets no more threads.
const MARK: &str = "PROGLOG_TEST_NO_MORE_THREADS";
/// The stack of a thread there.
const STACK_BYTES: u64 = 128 << 20;
const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_log_completes_everything_with_the_thread_that_it_has_since_opening() {
    if env::var_os(MARK).is_some() {
        return with_one_thread();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(MARK, "1")
        .env("RUST_MIN_STACK", STACK_BYTES.to_string())
        // Otherwise the C library reserves 64 MiB for a thread that has just started, and nothing may be left.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("1 passed"), "{stdout}");
}

/// Keeps this process from starting threads: the memory for one more stack is more than it may have.
fn deny_threads() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib = size.unwrap().trim().strip_suffix(" kB").unwrap();
    let limit = Rlimit {
        current: Some((kib.parse::<u64>().unwrap() << 10) + STACK_BYTES / 2),
        ..getrlimit(Resource::As)
    };
    setrlimit(Resource::As, limit).unwrap();
    thread::Builder::new().spawn(|| {}).unwrap_err();
}

fn with_one_thread() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions::new()
        .segment_bytes_max(1 << 10)
        .retention(Retention::new().records(100));
    let synced = Log::open(directory.path().join("synced"), &options).unwrap();
    let interval = Durability::Interval(Duration::from_millis(10));
    let options = LogOptions::new().durability(interval);
    let interval = Log::open(directory.path().join("interval"), &options).unwrap();
    let reader = ReadOnlyLog::open(directory.path().join("interval")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    deny_threads();

    let (sender, called) = channel();
    let mut stream = pin!(synced.follow(0).into_stream());
    for number in 0..100 {
        let offsets = runtime.block_on(synced.submit(format!("{number:>100}")).unwrap());
        assert_eq!(offsets.unwrap(), number..number + 1);
        let record = runtime.block_on(stream.next()).unwrap().unwrap();
        assert_eq!(record.offset, number);
        let sender = sender.clone();
        let ticket = interval.submit(format!("{number}")).unwrap();
        ticket.on_complete(move |outcome| sender.send(outcome.unwrap().start).unwrap());
    }
    // Each of them may wait for the device, with others after it.
    for number in 0..100 {
        assert_eq!(called.recv_timeout(LONG).unwrap(), number);
    }
    // The syncs at the interval, and the looks of the reader.
    for number in 0..100 {
        let mut follower = reader.follow(number);
        assert_eq!(follower.recv_timeout(LONG).unwrap().offset, number);
    }
}

/// A directory that can be opened, and afterwards blocks looks at it.
#[derive(Debug)]
struct Gated {
    directory: FsDirectory,
    gate: Arc<RwLock<()>>,
}

impl Directory for Gated {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        drop(self.gate.read());
        self.directory.open(name, mode)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }
    fn list(&self) -> io::Result<Vec<String>> {
        drop(self.gate.read());
        self.directory.list()
    }
    fn sync(&self) -> io::Result<()> {
        self.directory.sync()
    }
}

#[test]
fn looks_that_take_for_ever_hold_up_no_sync() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path().join("log"), &LogOptions::new()).unwrap();
    let followed = directory.path().join("followed");
    Log::open(&followed, &LogOptions::new())
        .unwrap()
        .close()
        .unwrap();
    let gate = Arc::new(RwLock::new(()));
    let open = |_| {
        let directory = FsDirectory::open(&followed).unwrap();
        let gate = Arc::clone(&gate);
        ReadOnlyLog::open_in(Arc::new(Gated { directory, gate })).unwrap()
    };
    let readers = (0..9).map(open).collect::<Vec<_>>();
    let closed = gate.write().unwrap();
    let followers = readers.iter().map(|reader| reader.follow(0));
    let followers = followers.collect::<Vec<_>>();
    // For longer than it takes until all looks are due.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        let (sender, synced) = channel();
        let ticket = log.submit("news").unwrap();
        ticket.on_complete(move |outcome| sender.send(outcome.is_ok()).unwrap());
        assert!(synced.recv_timeout(LONG).unwrap());
    }
    drop(closed);
    drop(followers);
}
