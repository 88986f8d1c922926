//! A log that is open.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use proglog_log::{Append, CommitLog, Offset, Offsets, Recovery, Result};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::backend::Opened;
use crate::ends::Ends;
use crate::meta::LogMeta;
use crate::producers::{self, LogProducers};

/// A log that is open, as all its handles share it.
#[derive(Debug)]
pub(crate) struct OpenLog {
    pub(crate) log: Arc<dyn CommitLog>,
    pub(crate) recovery: Option<Recovery>,
    /// All appends go through this.
    pub(crate) producers: LogProducers,
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

/// The outcome of a submission to a log that may be closed meanwhile.
#[derive(Debug)]
pub(crate) enum Gated {
    Done(producers::Submitted),
    /// The log is closed, or being closed, by the broker: it is to be submitted to the one that is opened after it.
    Closing(Append),
}

impl OpenLog {
    pub(crate) fn new(
        opened: Opened,
        producers: LogProducers,
        now: Instant,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            log: opened.log,
            recovery: opened.recovery,
            producers,
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
    pub(crate) fn try_submit(&self, append: Append) -> Result<Gated> {
        let Some(is_closing) = self.is_closing.try_read() else {
            return Ok(Gated::Closing(append));
        };
        if *is_closing {
            return Ok(Gated::Closing(append));
        }
        self.producers.try_submit(append).map(Gated::Done)
    }

    /// Submits an append, and waits for the device if it has to.
    pub(crate) fn submit(&self, append: Append) -> Result<Gated> {
        let is_closing = self.is_closing.read();
        if *is_closing {
            return Ok(Gated::Closing(append));
        }
        self.producers.submit(append).map(Gated::Done)
    }

    /// Drops the records below `start`. What they say of producers is in a snapshot then, unless the device is full.
    pub(crate) fn trim(&self, start: Offset) -> Result<Offsets> {
        self.store_snapshot();
        self.log.trim(start)?;
        Ok(self.log.offsets())
    }

    /// Stores a snapshot of the producers. Without it more is read when the log is opened the next time, or some are not
    /// known.
    pub(crate) fn store_snapshot(&self) {
        if let Err(error) = self.producers.store_snapshot() {
            let log = self.log.name();
            tracing::warn!(
                log,
                error = &error as &dyn std::error::Error,
                "cannot store a snapshot of producers"
            );
        }
    }

    /// Takes no more appends, finishes those that were taken, and closes the log.
    pub(crate) fn close(&self) -> Result<()> {
        *self.is_closing.write() = true;
        self.store_snapshot();
        let closed = self.log.close();
        *self.place.lock() = None;
        closed
    }
}
