//! The place of a log in a broker: whether it is open, and what comes next if it is not.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use proglog_log::{ErrorKind, Outcome, Recovery, Stat};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::backend::Backend;
use crate::backoff::Backoff;
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::meta::LogMeta;
use crate::name::LogName;
use crate::open_log::OpenLog;

/// The state of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It is open.
    Open,
    /// It is closed, and opened by the next use.
    Idle,
    /// It has failed while it was open, for example in a sync. It is opened again, which recovers it.
    Poisoned,
    /// It could not be opened. That is tried again.
    Failed,
}

/// The place of a log.
///
/// What changes the state takes the turn, which is held while files are opened and closed; the lock of the content is
/// not, and neither blocks for long.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: LogName,
    /// A single permit.
    turn: Arc<Semaphore>,
    content: RwLock<Content>,
}

/// The right to change the state of a slot. One exists at a time.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "dropped with this")] OwnedSemaphorePermit);

#[derive(Debug)]
struct Content {
    status: Status,
    known: Known,
    backoff: Backoff,
}

/// What was last known of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) meta: Option<Arc<LogMeta>>,
    pub(crate) stat: Option<Stat>,
    pub(crate) recovery: Option<Recovery>,
}

#[derive(Debug)]
enum Status {
    /// It is being made.
    New,
    Idle,
    Open(Arc<OpenLog>),
    Poisoned {
        /// Still to be closed.
        log: Option<Arc<OpenLog>>,
        failure: Arc<proglog_log::Error>,
        retry_at: Instant,
    },
    Failed {
        failure: Arc<Error>,
        retry_at: Instant,
    },
    Deleted,
}

/// Why a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is used, which does not open a log that has failed before its next try is due.
    Use,
    /// It was configured.
    Again,
}

/// What is to be done for a log that nobody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chore {
    /// It has failed, and is to be closed.
    Close,
    /// It has failed, and the next try is due.
    Open,
    /// It was unused for long.
    CloseIdle,
}

impl Slot {
    /// Returns the slot of a log that exists.
    pub(crate) fn new(name: LogName) -> Self {
        Self::with_status(name, Status::Idle)
    }

    /// Returns the slot of a log that is going to be made, and the turn to do so.
    pub(crate) fn unmade(name: LogName) -> (Arc<Self>, Turn) {
        let slot = Arc::new(Self::with_status(name, Status::New));
        let turn = slot.try_turn().expect("nothing else has the slot");
        (slot, turn)
    }

    fn with_status(name: LogName, status: Status) -> Self {
        Self {
            name,
            turn: Arc::new(Semaphore::new(1)),
            content: RwLock::new(Content {
                status,
                known: Known::default(),
                backoff: Backoff::default(),
            }),
        }
    }

    /// Waits for the turn.
    pub(crate) async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.turn).acquire_owned().await;
        Turn(permit.expect("the semaphore is never closed"))
    }

    /// Returns the turn, if nothing has it.
    pub(crate) fn try_turn(&self) -> Option<Turn> {
        Arc::clone(&self.turn).try_acquire_owned().ok().map(Turn)
    }

    /// Returns the state; `None` of a log that is not made yet, or deleted.
    pub(crate) fn state(&self) -> Option<State> {
        match self.content.read().status {
            Status::Open(_) => Some(State::Open),
            Status::Idle => Some(State::Idle),
            Status::Poisoned { .. } => Some(State::Poisoned),
            Status::Failed { .. } => Some(State::Failed),
            Status::New | Status::Deleted => None,
        }
    }

    /// Returns whether the log is being made.
    pub(crate) fn is_unmade(&self) -> bool {
        matches!(self.content.read().status, Status::New)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        matches!(self.content.read().status, Status::Deleted)
    }

    /// Returns the log if it is open, which is no use of it.
    pub(crate) fn peek(&self) -> Option<Arc<OpenLog>> {
        match &self.content.read().status {
            Status::Open(log) => Some(Arc::clone(log)),
            _ => None,
        }
    }

    /// Returns the log, if it is open.
    pub(crate) fn opened(&self, now: Instant) -> Option<Arc<OpenLog>> {
        let log = self.peek()?;
        log.touch(now);
        Some(log)
    }

    /// Returns when the log was last used, if it is open and nothing uses it now.
    pub(crate) fn unused_since(&self) -> Option<Instant> {
        match &self.content.read().status {
            Status::Open(log) if !log.is_transient && !log.is_used() => Some(log.used_at()),
            _ => None,
        }
    }

    /// Returns the error of a log that has failed and is not to be opened yet.
    pub(crate) fn refusal(&self, now: Instant) -> Option<Error> {
        match &self.content.read().status {
            Status::Poisoned { retry_at, .. } | Status::Failed { retry_at, .. }
                if now < *retry_at => {}
            _ => return None,
        }
        self.failure(now)
    }

    /// Returns the error of a log that has failed.
    pub(crate) fn failure(&self, now: Instant) -> Option<Error> {
        let log = self.name.clone();
        match &self.content.read().status {
            Status::Poisoned {
                failure, retry_at, ..
            } => Some(Error::Poisoned {
                log,
                retry_in: retry_at.saturating_duration_since(now),
                source: Arc::clone(failure),
            }),
            Status::Failed { failure, retry_at } => Some(Error::Failed {
                log,
                retry_in: retry_at.saturating_duration_since(now),
                source: Arc::clone(failure),
            }),
            _ => None,
        }
    }

    /// Returns what was last known of the log.
    pub(crate) fn known(&self) -> Known {
        self.content.read().known.clone()
    }

    /// Returns the configuration and id of the log.
    pub(crate) fn meta(&self, _turn: &Turn, backend: &dyn Backend) -> Result<Arc<LogMeta>> {
        if let Some(meta) = &self.content.read().known.meta {
            return Ok(Arc::clone(meta));
        }
        let meta = Arc::new(backend.meta(&self.name)?);
        self.content.write().known.meta = Some(Arc::clone(&meta));
        Ok(meta)
    }

    /// Returns the log, opened if it is not.
    pub(crate) fn open(
        &self,
        turn: &Turn,
        backend: &dyn Backend,
        now: Instant,
        opening: Opening,
        open: impl FnOnce() -> Result<OpenLog>,
    ) -> Result<Arc<OpenLog>> {
        if let Some(log) = self.opened(now) {
            return Ok(log);
        }
        if self.is_deleted() {
            return Err(Error::not_found(self.name.clone()));
        }
        if opening == Opening::Use
            && let Some(error) = self.refusal(now)
        {
            return Err(error);
        }
        // A poisoned one, whose closing reports the failure that is known.
        self.release(turn).ok();
        match open() {
            Ok(log) => {
                let log = Arc::new(log);
                let mut content = self.content.write();
                content.known.meta = Some(log.meta());
                content.known.recovery.clone_from(&log.recovery);
                content.status = Status::Open(Arc::clone(&log));
                Ok(log)
            }
            Err(error) => Err(self.fail(backend, error, now)),
        }
    }

    /// Takes note of a failure to open the log.
    fn fail(&self, backend: &dyn Backend, error: Error, now: Instant) -> Error {
        if matches!(error, Error::NotFound { .. }) {
            self.content.write().status = Status::Deleted;
            return error;
        }
        tracing::error!(log = %self.name, error = &error as &dyn std::error::Error, "cannot open a log");
        let meta = backend.meta(&self.name).ok().map(Arc::new);
        let mut content = self.content.write();
        let retry_in = content.backoff.after_opening(now);
        content.known.meta = meta;
        let (failure, retry_at) = (Arc::new(error), now + retry_in);
        content.status = Status::Failed {
            failure: Arc::clone(&failure),
            retry_at,
        };
        Error::Failed {
            log: self.name.clone(),
            retry_in,
            source: failure,
        }
    }

    /// Takes note of an error of `log`. If it is poisoned, it is closed and opened again after a second, or after up to 30
    /// if that does not help. Returns the error to answer, and whether there is something to do.
    pub(crate) fn report(
        &self,
        log: &Arc<OpenLog>,
        error: proglog_log::Error,
        now: Instant,
    ) -> (Error, bool) {
        // A transient log cannot be opened again.
        if error.kind() != ErrorKind::Poisoned || log.is_transient {
            return (Error::Log(error), false);
        }
        let error = Arc::new(error);
        let mut content = self.content.write();
        let is_news = matches!(&content.status, Status::Open(open) if Arc::ptr_eq(open, log));
        if is_news {
            tracing::error!(log = %self.name, error = &error as &dyn std::error::Error, "a log has failed");
            let retry_at = now + content.backoff.after_failure(now);
            content.status = Status::Poisoned {
                log: Some(Arc::clone(log)),
                failure: Arc::clone(&error),
                retry_at,
            };
        }
        if error.outcome() != Outcome::NotAppended {
            return (Error::Log(error.as_ref().clone()), is_news);
        }
        let retry_in = match &content.status {
            Status::Poisoned { retry_at, .. } | Status::Failed { retry_at, .. } => {
                retry_at.saturating_duration_since(now)
            }
            _ => Duration::ZERO,
        };
        let poisoned = Error::Poisoned {
            log: self.name.clone(),
            retry_in,
            source: error,
        };
        (poisoned, is_news)
    }

    /// Closes the log if it is open or has failed. The next use opens it again.
    ///
    /// # Errors
    ///
    /// Those of closing it, of a log that has not failed before. It is closed all the same.
    pub(crate) fn release(&self, turn: &Turn) -> proglog_log::Result<()> {
        let mut content = self.content.write();
        let log = match &mut content.status {
            Status::Open(log) => Some(Arc::clone(log)),
            Status::Poisoned { log, .. } => log.take(),
            _ => None,
        };
        let was_open = matches!(content.status, Status::Open(_));
        if was_open {
            content.status = Status::Idle;
        }
        drop(content);
        let Some(log) = log else { return Ok(()) };
        let closed = self.close(turn, &log);
        if was_open { closed } else { Ok(()) }
    }

    /// Closes the log if nothing uses it, nor has since `unused_since`.
    pub(crate) fn release_unused(&self, turn: &Turn, unused_since: Instant) {
        // A use takes the log from the content. So while that is locked, an unused log stays unused.
        let mut content = self.content.write();
        let unused = match &content.status {
            Status::Open(log)
                if !log.is_transient && log.used_at() <= unused_since && !log.is_used() =>
            {
                Arc::clone(log)
            }
            _ => return,
        };
        content.status = Status::Idle;
        drop(content);
        // The error is logged, and nobody waits for it.
        _ = self.close(turn, &unused);
    }

    fn close(&self, _turn: &Turn, log: &OpenLog) -> proglog_log::Result<()> {
        let stat = log.log.stat().ok();
        let closed = log.close();
        if let Err(error) = &closed {
            tracing::warn!(log = %self.name, error = error as &dyn std::error::Error, "closed a log with an error");
        }
        let mut content = self.content.write();
        content.known.stat = stat.or(content.known.stat.take());
        closed
    }

    /// Makes the log. Returns `None` if it is there already, for example since an earlier attempt failed at its end.
    pub(crate) fn create(
        &self,
        _turn: &Turn,
        backend: &dyn Backend,
        config: &LogConfig,
    ) -> Result<Option<Arc<LogMeta>>> {
        let made = match backend.create(&self.name, config) {
            Err(Error::AlreadyExists { .. }) => None,
            made => Some(Arc::new(made?)),
        };
        let mut content = self.content.write();
        content.known.meta.clone_from(&made);
        content.status = Status::Idle;
        Ok(made)
    }

    /// Replaces the configuration. The log is closed for that if it is open, unless its retention alone changes or it is
    /// transient.
    pub(crate) fn configure(
        &self,
        turn: &Turn,
        backend: &dyn Backend,
        config: &LogConfig,
    ) -> Result<Arc<LogMeta>> {
        let open = self.peek();
        if let Some(meta) = open.as_ref().map(|log| log.meta())
            && meta.config == *config
        {
            return Ok(meta);
        }
        let stays_open = |log: &OpenLog| log.is_transient || log.meta().config.has_rest_of(config);
        if !open.as_deref().is_some_and(stays_open) {
            // The error is logged. Opening the log again recovers it.
            self.release(turn).ok();
        }
        let meta = Arc::new(backend.configure(&self.name, config)?);
        self.content.write().known.meta = Some(Arc::clone(&meta));
        if let Some(log) = open {
            let applied = log.log.set_retention(config.retention.policy());
            if applied.is_err() && !log.is_transient {
                // It applies once the log is opened again.
                self.release(turn).ok();
            }
            log.set_meta(Arc::clone(&meta));
        }
        Ok(meta)
    }

    /// Closes the log, and removes it.
    pub(crate) fn delete(&self, turn: &Turn, backend: &dyn Backend) -> Result<()> {
        // What cannot be made durable is removed.
        self.release(turn).ok();
        match backend.remove(&self.name) {
            Ok(()) | Err(Error::NotFound { .. }) => {
                self.content.write().status = Status::Deleted;
                Ok(())
            }
            failed => failed,
        }
    }

    /// Gives the slot up if its log was not made.
    pub(crate) fn give_up_unmade(&self, _turn: &Turn) {
        let mut content = self.content.write();
        if matches!(content.status, Status::New) {
            content.status = Status::Deleted;
        }
    }

    /// Returns what is to be done by itself, or when something may be. Counts a log that is in use as used now.
    pub(crate) fn chore(
        &self,
        now: Instant,
        idle_close: Duration,
    ) -> Result<Chore, Option<Instant>> {
        let due = |at: Instant, chore| if at <= now { Ok(chore) } else { Err(Some(at)) };
        match &self.content.read().status {
            Status::Poisoned { log: Some(_), .. } => Ok(Chore::Close),
            Status::Poisoned { retry_at, .. } | Status::Failed { retry_at, .. } => {
                due(*retry_at, Chore::Open)
            }
            Status::Open(log) if log.is_used() => {
                log.touch(now);
                Err(None)
            }
            Status::Open(log) if !log.is_transient => match log.used_at().checked_add(idle_close) {
                Some(at) => due(at, Chore::CloseIdle),
                None => Err(None),
            },
            _ => Err(None),
        }
    }
}
