//! Shared helpers.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use proglog_log::{Durability, Log, LogOptions};
use proglog_store::testing::SimDisk;

pub(crate) const ALL_DURABILITIES: [Durability; 3] = [
    Durability::Synced,
    Durability::Interval(Duration::from_millis(1)),
    Durability::Buffered,
];

pub(crate) fn options(durability: Durability) -> LogOptions {
    LogOptions::new()
        .segment_bytes_max(2 << 10)
        .durability(durability)
}

pub(crate) fn open(disk: &SimDisk, options: &LogOptions) -> Log {
    Log::open_in(disk.directory(), options).unwrap()
}

/// Runs `body`, and fails where it never ends. One at a time: each has more threads that never sleep than
/// machines have cores, and several take them from each other for so long that it looks like for ever.
pub(crate) fn watched(body: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed is not this one's concern.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (alive, ended) = channel::<()>();
    let thread = thread::spawn(move || {
        let _alive = alive;
        body();
    });
    match ended.recv_timeout(Duration::from_mins(1)) {
        Err(RecvTimeoutError::Timeout) => panic!("somebody waits for ever"),
        _ => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}
