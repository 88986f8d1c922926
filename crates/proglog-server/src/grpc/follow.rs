//! The records of a log in order, with those that are still to come.
//!
//! A follower is an offset: nothing is queued for a client that is slow.

use std::sync::Arc;

use proglog_broker::Handle;
use proglog_log::{Offset, Offsets, StoredRecord};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::error::{Error, Result};
use crate::state::{App, FOLLOWERS_MAX};

/// A client's place in a log.
pub(super) struct Follower {
    app: App,
    pub(super) log: Handle,
    ends: watch::Receiver<Offsets>,
    /// The offset that is read next. May be past the end.
    pub(super) next: Offset,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Begins at `next`.
    pub(super) fn new(app: &App, log: Handle, next: Offset) -> Result<Self> {
        let permit = Arc::clone(&app.followers).try_acquire_owned();
        let permit = permit.map_err(|_| Error::TooManyFollowers { max: FOLLOWERS_MAX })?;
        Ok(Self {
            app: app.clone(),
            ends: log.ends(),
            log,
            next,
            _permit: permit,
        })
    }

    /// Returns the next records, at least one, and at most so many and so many bytes. Waits for them at the end of the
    /// log and past it.
    pub(super) async fn records(
        &mut self,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<StoredRecord>> {
        loop {
            self.wait().await?;
            let read = self.log.read(self.next, limit, bytes);
            let offset = self.next.get();
            let failed = |failure| Error::Read { offset, failure };
            let records = self.app.in_time(read).await.map_err(failed)?;
            if let Some(last) = records.last() {
                self.next = last.offset.saturating_add(1);
                return Ok(records);
            }
        }
    }

    /// Waits until the log goes beyond the next offset.
    async fn wait(&mut self) -> Result<()> {
        let next = self.next;
        loop {
            let is_open = tokio::select! {
                biased;
                () = self.app.draining.begun() => return Err(Error::Draining),
                arrived = self.ends.wait_for(|offsets| offsets.end > next) => arrived.is_ok(),
            };
            if is_open {
                return Ok(());
            }
            // It was closed, to be opened again or for good.
            let log = self.app.log(self.log.name()).await?;
            if log.id() != self.log.id() {
                return Err(Error::LogChanged { id: log.id() });
            }
            (self.ends, self.log) = (log.ends(), log);
        }
    }
}
