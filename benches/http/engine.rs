//! The engine by itself: what an append to the same log costs without HTTP.

use std::time::{Duration, Instant};

use benches::{median, payload};
use proglog_log::{Durability, Log, LogOptions};

use crate::Result;
use crate::works::RECORD_LEN;

/// Returns the median time of a synced append by one thread, over `time`.
pub(crate) fn synced_append(time: Duration) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let options = LogOptions::new().durability(Durability::Synced);
    let log = Log::open(directory.path(), &options)?;
    let record = payload(RECORD_LEN);
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || begun.elapsed() < time {
        let begun = Instant::now();
        log.append(record.clone())?;
        times.push(begun.elapsed().as_secs_f64());
    }
    log.close()?;
    Ok(Duration::from_secs_f64(median(&times)))
}
