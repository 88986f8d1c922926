//! The cursors of a broker: their log, opened again when it has failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use proglog_log::ErrorKind;

use crate::backend::Backend;
use crate::cursor::cursor_log::CursorLog;
use crate::error::{Error, Result};
use crate::name::LogName;

/// The name of the log of cursors.
const NAME: &str = "cursors";

/// The shortest time between attempts to open the log again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct CursorStore {
    backend: Arc<dyn Backend>,
    current: RwLock<Arc<CursorLog>>,
    /// Whether and when the log is opened again; held meanwhile.
    reopening: Mutex<Reopening>,
    /// Held while the log is compacted.
    compacting: Mutex<()>,
}

#[derive(Debug, Default)]
struct Reopening {
    last: Option<Instant>,
    is_closed: bool,
}

impl CursorStore {
    /// Opens the log of cursors.
    pub(crate) fn open(backend: Arc<dyn Backend>) -> Result<Self> {
        let log = CursorLog::open(backend.open_system(NAME)?)?;
        Ok(Self {
            backend,
            current: RwLock::new(Arc::new(log)),
            reopening: Mutex::default(),
            compacting: Mutex::new(()),
        })
    }

    pub(crate) fn current(&self) -> Arc<CursorLog> {
        Arc::clone(&self.current.read())
    }

    /// Calls the log. If it has failed, it is opened again before this returns the failure.
    pub(crate) fn call<T>(&self, call: impl FnOnce(&CursorLog) -> Result<T>) -> Result<T> {
        let log = self.current();
        let result = call(&log);
        if let Err(error) = &result {
            self.reopen_after(&log, error);
        }
        result
    }

    /// Returns whether the log has failed by this error, so that it has to be opened again.
    pub(crate) fn is_failure(error: &Error) -> bool {
        let Error::Log(error) = error else {
            return false;
        };
        matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Closed)
    }

    /// Opens the log again, if `error` says that it has failed. Blocks.
    pub(crate) fn reopen_after(&self, log: &Arc<CursorLog>, error: &Error) {
        if !Self::is_failure(error) {
            return;
        }
        let mut reopening = self.reopening.lock();
        let is_soon = reopening.last.is_some_and(|at| at.elapsed() < RETRY_AFTER);
        if is_soon || reopening.is_closed || !Arc::ptr_eq(log, &self.current.read()) {
            return;
        }
        reopening.last = Some(Instant::now());
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the log of cursors has failed"
        );
        // What is not closed keeps it locked.
        log.close().ok();
        let opened = self.backend.open_system(NAME).and_then(CursorLog::open);
        match opened {
            Ok(opened) => *self.current.write() = Arc::new(opened),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot open the log of cursors"
                );
            }
        }
    }

    /// Deletes the cursors of logs that are gone, where a process has stopped before it could.
    pub(crate) fn delete_orphans(&self, names: &[LogName]) -> Result<()> {
        let mut orphans = self.current().logs();
        for name in names {
            if orphans.is_empty() {
                return Ok(());
            }
            match self.backend.meta(name) {
                Ok(meta) => orphans.retain(|log| *log != meta.id),
                // Some may be of this one.
                Err(_) => return Ok(()),
            }
        }
        for log in orphans {
            self.call(|cursors| cursors.delete_all(log))?;
        }
        Ok(())
    }

    /// Compacts the log, if that is due and no other thread does it.
    pub(crate) fn compact_if_due(&self) {
        let Some(_compacting) = self.compacting.try_lock() else {
            return;
        };
        if let Err(error) = self.call(CursorLog::compact_if_due) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot compact the log of cursors"
            );
        }
    }

    /// Closes the log.
    pub(crate) fn close(&self) -> Result<()> {
        self.reopening.lock().is_closed = true;
        self.current().close()
    }
}
