//! One log that exists already.

use std::sync::Arc;

use proglog_log::{CommitLog, MemoryLog};

use crate::backend::{Backend, Opened};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::meta::LogMeta;
use crate::name::LogName;

/// One log that exists already, as the log `default`. No other can be made, and this one cannot be configured.
///
/// The broker does not close it, unless it is closed itself. What it keeps for itself, such as cursors, is in memory.
#[derive(Debug)]
pub struct Single {
    log: Arc<dyn CommitLog>,
    meta: LogMeta,
}

impl Single {
    /// Returns a backend with `log` alone. It is described by the default configuration, and has a new id.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the operating system has no random numbers.
    pub fn new(log: Arc<dyn CommitLog>) -> Result<Self> {
        let meta = LogMeta::new(LogConfig::default())
            .map_err(|error| Error::storage(LogName::DEFAULT, error))?;
        Ok(Self { log, meta })
    }

    fn check(name: &LogName) -> Result<()> {
        if name.as_str() == LogName::DEFAULT {
            Ok(())
        } else {
            Err(Error::not_found(name.clone()))
        }
    }
}

impl Backend for Single {
    fn list(&self) -> Result<Vec<LogName>> {
        Ok(vec![LogName::default_log()])
    }

    fn create(&self, _name: &LogName, _config: &LogConfig) -> Result<LogMeta> {
        let operation = "created";
        Err(Error::Unsupported { operation })
    }

    fn meta(&self, name: &LogName) -> Result<LogMeta> {
        Self::check(name)?;
        Ok(self.meta.clone())
    }

    fn open(&self, name: &LogName) -> Result<Opened> {
        Self::check(name)?;
        Ok(Opened {
            is_transient: true,
            ..Opened::new(Arc::clone(&self.log), self.meta.clone())
        })
    }

    fn configure(&self, _name: &LogName, _config: &LogConfig) -> Result<LogMeta> {
        let operation = "configured";
        Err(Error::Unsupported { operation })
    }

    fn remove(&self, _name: &LogName) -> Result<()> {
        let operation = "deleted";
        Err(Error::Unsupported { operation })
    }

    fn open_system(&self, _name: &str) -> Result<Arc<dyn CommitLog>> {
        Ok(Arc::new(MemoryLog::new()))
    }
}
