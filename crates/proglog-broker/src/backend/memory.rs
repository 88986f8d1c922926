//! Logs in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use proglog_log::{CommitLog, MemoryLog};

use crate::backend::{Backend, Opened, Snapshot};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::meta::LogMeta;
use crate::name::LogName;

/// Logs in memory, which are gone with the broker.
///
/// Of its configuration such a log heeds the limits on records and batches that it was made with. The others are
/// stored and change nothing.
#[derive(Debug, Default)]
pub struct Memory {
    logs: Mutex<BTreeMap<LogName, Kept>>,
}

#[derive(Debug)]
struct Kept {
    log: MemoryLog,
    meta: LogMeta,
    snapshot: Arc<SnapshotBytes>,
}

#[derive(Debug, Default)]
struct SnapshotBytes(Mutex<Option<Vec<u8>>>);

impl Memory {
    /// Returns a backend without logs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backend for Memory {
    fn list(&self) -> Result<Vec<LogName>> {
        Ok(self.logs.lock().keys().cloned().collect())
    }

    fn create(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let mut logs = self.logs.lock();
        if logs.contains_key(name) {
            return Err(Error::AlreadyExists { log: name.clone() });
        }
        let meta =
            LogMeta::new(config.clone()).map_err(|error| Error::storage(name.as_str(), error))?;
        let kept = Kept {
            log: MemoryLog::with_options(&config.options())?,
            meta: meta.clone(),
            snapshot: Arc::default(),
        };
        logs.insert(name.clone(), kept);
        Ok(meta)
    }

    fn meta(&self, name: &LogName) -> Result<LogMeta> {
        let logs = self.logs.lock();
        let kept = logs
            .get(name)
            .ok_or_else(|| Error::not_found(name.clone()))?;
        Ok(kept.meta.clone())
    }

    fn open(&self, name: &LogName) -> Result<Opened> {
        let logs = self.logs.lock();
        let kept = logs
            .get(name)
            .ok_or_else(|| Error::not_found(name.clone()))?;
        Ok(Opened {
            snapshot: Some(kept.snapshot.clone()),
            is_transient: true,
            ..Opened::new(Arc::new(kept.log.clone()), kept.meta.clone())
        })
    }

    fn configure(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let mut logs = self.logs.lock();
        let kept = logs
            .get_mut(name)
            .ok_or_else(|| Error::not_found(name.clone()))?;
        kept.meta.config = config.clone();
        Ok(kept.meta.clone())
    }

    fn remove(&self, name: &LogName) -> Result<()> {
        let removed = self.logs.lock().remove(name);
        removed
            .map(drop)
            .ok_or_else(|| Error::not_found(name.clone()))
    }

    fn open_system(&self, _name: &str) -> Result<Arc<dyn CommitLog>> {
        Ok(Arc::new(MemoryLog::new()))
    }
}

impl Snapshot for SnapshotBytes {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().clone())
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock() = Some(bytes.to_owned());
        Ok(())
    }
}
