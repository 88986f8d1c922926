//! State of the handlers: the log, bounded concurrency of calls into it, and the limits on requests.

use std::sync::Arc;
use std::time::Duration;

use proglog_broker::Threads;
use proglog_log::{Append, Attempt, Batch, CommitLog, Offset, ReadLog, Record, StoredRecord};
use tokio::sync::Semaphore;

use crate::error::Failure;
use crate::options::ServerOptions;

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
        }
    }

    /// Appends `record` and waits until it is as durable as the log promises.
    pub(crate) async fn append(&self, record: Record) -> Result<Offset, Failure> {
        self.in_time(async {
            let log = self.log.clone().ok_or(Failure::ReadOnly)?;
            let ticket = match log.try_submit(Append::new(Batch::from(record)))? {
                Attempt::Taken(ticket) => ticket,
                Attempt::Blocked(append) => {
                    let submit = move || log.submit_append(append);
                    self.call(&self.appends, submit).await?
                }
            };
            Ok(ticket.await?.start)
        })
        .await
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
