//! Backends of the model test: the directories in which its log is kept.

use proglog_log::{CommitLog, Log, LogOptions, MemoryLog};
use proglog_store::testing::{SimDisk, Survivors};
use tempfile::TempDir;

/// A place that keeps a log while it is not open.
pub(crate) trait Keeper {
    fn open(&self, options: &LogOptions) -> Opened;

    /// The process ends, if it can without closing the log. Returns whether it did.
    fn kill(&mut self) -> bool;

    /// True if a log that was closed can be opened again.
    fn reopens(&self) -> bool {
        true
    }
}

/// An open log, and once more if it is one on disk.
pub(crate) type Opened = (Box<dyn CommitLog>, Option<Log>);

fn opened(log: Log) -> Opened {
    // Only whole writes were made, so nothing is torn, and nothing was damaged.
    assert_eq!(log.recovery().set_aside, None);
    assert_eq!(log.recovery().damaged, None);
    assert_eq!(log.recovery().records.end, log.end_offset());
    (Box::new(log.clone()), Some(log))
}

impl Keeper for TempDir {
    fn open(&self, options: &LogOptions) -> Opened {
        opened(Log::open(self.path(), options).unwrap())
    }

    fn kill(&mut self) -> bool {
        false
    }
}

impl Keeper for SimDisk {
    fn open(&self, options: &LogOptions) -> Opened {
        opened(Log::open_in(self.directory(), options).unwrap())
    }

    fn kill(&mut self) -> bool {
        *self = self.crash(Survivors::KeepAll);
        true
    }
}

impl Keeper for MemoryLog {
    fn open(&self, _: &LogOptions) -> Opened {
        (Box::new(self.clone()), None)
    }

    fn kill(&mut self) -> bool {
        false
    }

    fn reopens(&self) -> bool {
        false
    }
}
