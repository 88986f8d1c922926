//! State of the handlers: the log, bounded concurrency of calls into it, and the limits on requests.

use std::sync::Arc;
use std::time::Duration;

use futures::future;
use futures::stream::{Stream, StreamExt, TryStreamExt};
use proglog_broker::Threads;
use proglog_log::{
    Append, Attempt, Batch, CommitLog, Offset, ReadLog, Record, StoredRecord, Ticket,
};
use tokio::sync::Semaphore;

use crate::draining::Draining;
use crate::error::Failure;
use crate::options::{Node, ServerOptions};

/// The most calls of a kind into the log at a time, each on a thread. Appends that need not wait for the device take
/// none, and all wait for their sync without one; one that begins a new segment holds up the others. Reads have a bound of their own, so that appends never hold them up.
const CALLS_MAX: usize = 64;

/// State shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// The log to append to; `None` if it is only read.
    log: Option<Arc<dyn CommitLog>>,
    reader: Arc<dyn ReadLog>,
    appends: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    threads: Arc<Threads>,
    pub(crate) record_bytes_max: usize,
    pub(crate) append_body_bytes_max: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) node: Arc<Node>,
    pub(crate) draining: Draining,
}

impl Api {
    pub(crate) fn new(log: Arc<dyn CommitLog>, options: &ServerOptions) -> Self {
        let reader: Arc<dyn ReadLog> = log.clone();
        Self {
            log: Some(log),
            ..Self::read_only(reader, options)
        }
    }

    pub(crate) fn read_only(reader: Arc<dyn ReadLog>, options: &ServerOptions) -> Self {
        Self {
            log: None,
            reader,
            appends: Arc::new(Semaphore::new(CALLS_MAX)),
            reads: Arc::new(Semaphore::new(CALLS_MAX)),
            threads: Arc::new(Threads::start(2 * CALLS_MAX)),
            record_bytes_max: options.record_bytes_max,
            append_body_bytes_max: options.append_body_bytes_max(),
            request_timeout: options.request_timeout,
            node: Arc::new(options.node.clone()),
            draining: Draining::new(),
        }
    }

    /// Appends `record` and waits until it is as durable as the log promises.
    pub(crate) async fn append(&self, record: Record) -> Result<Offset, Failure> {
        self.in_time(async {
            let ticket = self.take(record).await?;
            Ok(ticket.await?.start)
        })
        .await
    }

    /// Appends `record` after all that were submitted before. Returns as soon as the log has taken it.
    pub(crate) async fn submit(&self, record: Record) -> Result<Ticket, Failure> {
        self.in_time(self.take(record)).await
    }

    /// Waits until what was submitted is as durable as the log promises.
    pub(crate) async fn acknowledge(&self, ticket: Ticket) -> Result<Offset, Failure> {
        self.in_time(async { Ok(ticket.await?.start) }).await
    }

    async fn take(&self, record: Record) -> Result<Ticket, Failure> {
        let log = self.log.clone().ok_or(Failure::ReadOnly)?;
        match log.try_submit(Append::new(Batch::from(record)))? {
            Attempt::Taken(ticket) => Ok(ticket),
            Attempt::Blocked(append) => {
                let submit = move || log.submit_append(append);
                self.call(&self.appends, submit).await
            }
        }
    }

    /// Reads the records from `from` on, and waits for new ones at the end. `from` may be past the end.
    pub(crate) fn follow(
        &self,
        from: u64,
    ) -> impl Stream<Item = Result<StoredRecord, Failure>> + Send + 'static {
        let from = Offset::new(from);
        // Followers do not start past the end, but what comes up to there can be left out.
        let there = from.min(self.reader.end_offset());
        let records = self.reader.follow(there).into_stream();
        let records = records.map(|record| record.map_err(Failure::from));
        records.try_skip_while(move |record| future::ready(Ok(record.offset < from)))
    }

    pub(crate) async fn read(&self, offset: u64) -> Result<StoredRecord, Failure> {
        let log = Arc::clone(&self.reader);
        let read = move || log.read(Offset::new(offset));
        self.in_time(self.call(&self.reads, read)).await
    }

    /// Runs `call` on a thread that may block. Once begun, it completes even if its request is gone.
    async fn call<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        call: impl FnOnce() -> proglog_log::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = Arc::clone(permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let called = self.threads.call(move || {
            // Held by the call itself, which may outlive its request.
            let _permit = permit;
            call()
        });
        let Ok(result) = called.await else {
            return Err(Failure::Panicked);
        };
        Ok(result?)
    }

    /// Bounds `call` by the request timeout. The work that it has started is not cancelled.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let called = tokio::time::timeout(self.request_timeout, call).await;
        called.unwrap_or(Err(Failure::Timeout))
    }
}
