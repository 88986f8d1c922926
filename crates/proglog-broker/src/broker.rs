//! The broker: logs by their names.

use std::sync::Arc;

use proglog_log::{Recovery, Stat};
use tokio::time::Instant;

use crate::admission::Admission;
use crate::backend::Backend;
use crate::config::LogConfig;
use crate::cursors::Cursors;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::logs::{Logs, Put};
use crate::meta::LogMeta;
use crate::name::LogName;
use crate::options::BrokerOptions;
use crate::slot::{Slot, State};
use crate::threads::Threads;
use crate::upkeep;

/// Logs by their names: created, opened, configured and deleted as they are used. Clones are the same broker.
///
/// A log that fails is opened again by itself, after 1, 2, 4 .. 30 seconds, and one that does not open is tried again
/// every 30 seconds. Other logs are not affected. Logs that nobody uses are closed.
///
/// It needs a tokio runtime with its timer enabled. What blocks runs on threads of its own. The last of its clones and
/// of the [handles](Handle) of its logs closes the logs, as well as it can without an error to return;
/// [`close`](Broker::close) does it at once.
#[derive(Debug, Clone)]
pub struct Broker {
    logs: Arc<Logs>,
    admission: Admission,
    cursors: Cursors,
}

/// What is known of a log; see [`Broker::describe`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Description {
    /// The name.
    pub name: LogName,
    /// The state.
    pub state: State,
    /// What is stored about it; `None` if that cannot be read.
    pub meta: Option<Arc<LogMeta>>,
    /// Its figures, as they were last known; `None` if it was never open.
    pub stat: Option<Stat>,
    /// What opening it has found; `None` of a log without files, and of one that was never open.
    pub recovery: Option<Recovery>,
    /// The reason for which it is poisoned or failed.
    pub failure: Option<Error>,
}

impl Broker {
    /// Opens the logs of `backend`, and creates the log `default` if there is none. No log is opened by that.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] and others of the backend; [`Error::InvalidConfig`] if `default` would have an impossible
    /// configuration.
    pub async fn open(backend: Arc<dyn Backend>, options: BrokerOptions) -> Result<Self> {
        let admission = Admission::new(options.append_inflight);
        let starting = Threads::start(1).call(move || Logs::start(backend, options));
        let logs = Arc::new(starting.await??);
        let default = LogName::default_log();
        if let Err(Error::NotFound { .. }) = logs.find(&default) {
            logs.put(&default, logs.options.log_defaults.clone())
                .await?;
        }
        let cleaned = Arc::clone(&logs);
        drop(logs.changes.call(move || cleaned.backend.clean_up()));
        logs.runtime.spawn(upkeep::run(Arc::downgrade(&logs)));
        Ok(Self {
            cursors: Cursors::new(Arc::clone(&logs)),
            logs,
            admission,
        })
    }

    /// Returns a log if it is open; `None` if [`log`](Broker::log) has to open it, or to say why it cannot. Never waits.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Closed`].
    pub fn try_log(&self, name: &LogName) -> Result<Option<Handle>> {
        let slot = self.logs.find(name)?;
        let log = slot.opened(Instant::now());
        Ok(log.map(|log| self.handle(slot, log)))
    }

    /// Returns a log, which is opened if it is not, and created if it does not exist and
    /// [that is wanted](BrokerOptions::auto_create). Waits for that for up to 5 seconds; the opening goes on after
    /// that.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Poisoned`] and [`Error::Failed`] of a log that has failed, until it is tried again;
    /// [`Error::Timeout`]; [`Error::Closed`].
    pub async fn log(&self, name: &LogName) -> Result<Handle> {
        let slot = match self.logs.find(name) {
            Err(Error::NotFound { .. }) if self.logs.options.auto_create => {
                self.logs.create(name).await?;
                self.logs.find(name)?
            }
            slot => slot?,
        };
        let log = self.logs.open(&slot).await?;
        Ok(self.handle(slot, log))
    }

    /// Returns the names of logs in their order: of those that are after `after` and begin with `prefix`, the first
    /// `limit`; and whether there are more.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn list(
        &self,
        after: Option<&str>,
        prefix: &str,
        limit: usize,
    ) -> Result<(Vec<LogName>, bool)> {
        self.logs.list(after, prefix, limit)
    }

    /// Creates a log, or replaces the configuration of the one that there is, durably. If the stored description of the
    /// log is damaged or gone, it gets a new one with another id, and keeps its records.
    ///
    /// A log that is open is closed and opened again for that, unless nothing changes, or nothing but its retention, which
    /// applies at once. A log that has failed is opened again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`], [`Error::Storage`], [`Error::Unsupported`]; [`Error::Timeout`] if the log is being opened
    /// or changed; [`Error::Failed`] if it has the configuration now, and cannot be opened; [`Error::Closed`].
    pub async fn put(&self, name: &LogName, config: LogConfig) -> Result<Put> {
        self.logs.put(name, config).await
    }

    /// Changes the configuration of a log; otherwise as [`put`](Broker::put).
    ///
    /// # Errors
    ///
    /// As [`put`](Broker::put); [`Error::NotFound`]; [`Error::Meta`] and [`Error::MetaLost`] if there is no configuration
    /// to change.
    pub async fn configure(
        &self,
        name: &LogName,
        change: impl FnOnce(&mut LogConfig) + Send + 'static,
    ) -> Result<Arc<LogMeta>> {
        self.logs.configure(name, change).await
    }

    /// Deletes a log with its records, durably. Its appends that are under way are completed before. Its files are
    /// removed after that.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::DefaultLog`]; [`Error::Storage`] and [`Error::Unsupported`];
    /// [`Error::Timeout`] if the log is being opened or changed; [`Error::Closed`].
    pub async fn delete(&self, name: &LogName) -> Result<()> {
        self.logs.delete(name).await
    }

    /// Describes a log, also one that has failed. Opens it if nothing is known of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Timeout`]; [`Error::Closed`].
    pub async fn describe(&self, name: &LogName) -> Result<Description> {
        let slot = self.logs.find(name)?;
        if slot.state() == Some(State::Idle) && slot.known().stat.is_none() {
            let opened = self.logs.open(&slot).await;
            if let Err(error @ (Error::NotFound { .. } | Error::Timeout { .. } | Error::Closed)) =
                opened
            {
                return Err(error);
            }
            // The other errors are those of its state.
        }
        let stat = self.stat(&slot).await?;
        let known = slot.known();
        Ok(Description {
            state: slot.state().ok_or_else(|| Error::not_found(name.clone()))?,
            name: name.clone(),
            meta: known.meta,
            stat: stat.or(known.stat),
            recovery: known.recovery,
            failure: slot.failure(Instant::now()),
        })
    }

    /// Returns the figures of a log that is open.
    async fn stat(&self, slot: &Arc<Slot>) -> Result<Option<Stat>> {
        let Some(log) = slot.peek() else {
            return Ok(None);
        };
        let stat = self.logs.reads.call_if_awaited(move || log.log.stat());
        // It may be closed meanwhile.
        Ok(stat.await?.ok())
    }

    /// Returns the bound on the memory of appends that are under way, for what receives them.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Returns the places of consumers in the logs.
    #[must_use]
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Finishes the appends that were taken, and closes all logs. Every operation fails with [`Error::Closed`] from then
    /// on. Does nothing if it is closed already.
    ///
    /// # Errors
    ///
    /// The first failure to close a log. All are closed all the same.
    pub async fn close(&self) -> Result<()> {
        self.logs.close().await
    }

    fn handle(&self, slot: Arc<Slot>, log: Arc<crate::open_log::OpenLog>) -> Handle {
        Handle::new(Arc::clone(&self.logs), slot, log)
    }
}
