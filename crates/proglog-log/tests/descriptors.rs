//! File descriptors that run out. The limit is one of the process, so this is a test program of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proglog_log::{Cache, Durability, ErrorKind, Log, LogOptions, ReadOnlyLog};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Far fewer than the segments that are read, but enough for the files that are in use at one moment.
const DESCRIPTORS_MAX: u64 = 40;

#[test]
fn appends_rolls_and_trims_go_on_while_more_segments_are_read_than_there_are_descriptors() {
    let limit = Rlimit {
        current: Some(DESCRIPTORS_MAX),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    // The first is sized by the limit; the second takes all descriptors that there are.
    let unlimited = Cache::builder().open_segments_max(10_000).build();
    for cache in [Cache::global(), unlimited] {
        let directory = tempfile::tempdir().unwrap();
        let options = LogOptions::new().segment_bytes_max(1 << 10).cache(cache);
        let options = options.durability(Durability::INTERVAL);
        let log = Log::open(directory.path(), &options).unwrap();
        log.append_batch((0..10).map(value)).unwrap();
        for number in 0..700 {
            log.append(value(number)).unwrap();
        }
        let segments = directory.path().read_dir().unwrap().count() / 2;
        assert!(segments as u64 > 2 * DESCRIPTORS_MAX, "{segments}");
        read_while(&log, || {
            for number in 0..300 {
                log.append(value(number)).unwrap();
                if number % 10 == 0 {
                    log.trim(log.start_offset() + 10).unwrap();
                }
            }
            let follower = ReadOnlyLog::open(directory.path()).unwrap();
            assert!(follower.read(log.start_offset()).is_ok());
        });
        log.close().unwrap();
    }
}

fn value(number: u64) -> String {
    format!("{number:>100}")
}

/// Reads the records of all segments on several threads during `work`.
fn read_while(log: &Log, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for step in [7, 11, 13] {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    for offset in log.offsets().into_iter().step_by(step) {
                        match log.read(offset) {
                            Err(error) if error.kind() == ErrorKind::Trimmed => {}
                            read => assert_eq!(read.unwrap().value.len(), 100),
                        }
                    }
                }
            });
        }
        let over = SetWhenDropped(&is_over);
        thread::sleep(Duration::from_millis(100));
        work();
        drop(over);
    });
}

/// Ends the readers, also after a panic.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
