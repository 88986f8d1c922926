//! A log that is open.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use proglog_log::{Append, Attempt, CommitLog, Offsets, Recovery, Result, Ticket};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::backend::{Opened, Snapshot};
use crate::ends::Ends;
use crate::meta::LogMeta;

/// A log that is open, as all its handles share it.
#[derive(Debug)]
pub(crate) struct OpenLog {
    pub(crate) log: Arc<dyn CommitLog>,
    pub(crate) recovery: Option<Recovery>,
    #[expect(dead_code, reason = "for the table of producers")]
    pub(crate) snapshot: Option<Arc<dyn Snapshot>>,
    pub(crate) is_transient: bool,
    /// Replaced when the retention changes.
    meta: RwLock<Arc<LogMeta>>,
    /// True once the log takes no more appends. Held while one is submitted, so that closing never meets one half way.
    is_closing: RwLock<bool>,
    ends: Arc<Ends>,
    used_at: Mutex<Instant>,
    /// The log's place among those that may be open, which it has until it is closed.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

/// The outcome of a submission.
#[derive(Debug)]
pub(crate) enum Submitted {
    Taken(Ticket),
    /// The append would have to wait.
    Blocked(Append),
    /// The log is closed, or being closed, by the broker: it is to be submitted to the one that is opened after it.
    Closing(Append),
}

impl OpenLog {
    pub(crate) fn new(opened: Opened, now: Instant, place: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            log: opened.log,
            recovery: opened.recovery,
            snapshot: opened.snapshot,
            is_transient: opened.is_transient,
            meta: RwLock::new(Arc::new(opened.meta)),
            is_closing: RwLock::new(false),
            ends: Arc::default(),
            used_at: Mutex::new(now),
            place: Mutex::new(place),
        }
    }

    pub(crate) fn meta(&self) -> Arc<LogMeta> {
        Arc::clone(&self.meta.read())
    }

    pub(crate) fn set_meta(&self, meta: Arc<LogMeta>) {
        *self.meta.write() = meta;
    }

    pub(crate) fn touch(&self, now: Instant) {
        let mut used_at = self.used_at.lock();
        *used_at = now.max(*used_at);
    }

    pub(crate) fn used_at(&self) -> Instant {
        *self.used_at.lock()
    }

    /// Returns whether anything but its slot has this log.
    pub(crate) fn is_used(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || self.ends.is_watched()
    }

    pub(crate) fn ends(&self, runtime: &Handle) -> watch::Receiver<Offsets> {
        self.ends.subscribe(&self.log, runtime)
    }

    /// Submits an append, unless it would have to wait.
    pub(crate) fn try_submit(&self, append: Append) -> Result<Submitted> {
        let Some(is_closing) = self.is_closing.try_read() else {
            return Ok(Submitted::Closing(append));
        };
        if *is_closing {
            return Ok(Submitted::Closing(append));
        }
        Ok(match self.log.try_submit(append)? {
            Attempt::Taken(ticket) => Submitted::Taken(ticket),
            Attempt::Blocked(append) => Submitted::Blocked(append),
        })
    }

    /// Submits an append, and waits for the device if it has to.
    pub(crate) fn submit(&self, append: Append) -> Result<Submitted> {
        let is_closing = self.is_closing.read();
        if *is_closing {
            return Ok(Submitted::Closing(append));
        }
        self.log.submit_append(append).map(Submitted::Taken)
    }

    /// Takes no more appends, finishes those that were taken, and closes the log.
    pub(crate) fn close(&self) -> Result<()> {
        *self.is_closing.write() = true;
        let closed = self.log.close();
        *self.place.lock() = None;
        closed
    }
}
