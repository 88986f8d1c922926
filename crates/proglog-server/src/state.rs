//! State of the handlers: the broker, its limits, and whether the server is shutting down.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::vec;

use futures::future;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use proglog_broker::{Appended, Broker, BrokerOptions, Handle, LogName, Pending, Single};
use proglog_log::{Append, Batch, CommitLog, ErrorKind, Offset, Offsets, Record, StoredRecord};
use tokio::sync::{OnceCell, Semaphore, watch};

use crate::draining::Draining;
use crate::error::Failure;
use crate::options::{Node, ServerOptions};

/// The most streams that follow logs at a time.
pub(crate) const FOLLOWERS_MAX: usize = 10_000;

/// The most records and bytes of values that a follower reads at a time.
const READ_RECORDS_MAX: usize = 1_000;
const READ_BYTES_MAX: usize = 64 << 10;

/// State shared by all handlers.
#[derive(Clone)]
pub(crate) struct App(Arc<State>);

pub(crate) struct State {
    broker: OnceCell<Broker>,
    /// The log of a broker that the first call opens.
    single: Option<Arc<dyn CommitLog>>,
    default: LogName,
    is_read_only: bool,
    /// True if the last append that needed space had none.
    is_disk_full: AtomicBool,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) draining: Draining,
    pub(crate) node: Node,
    pub(crate) options: ServerOptions,
    pub(crate) record_bytes_max: usize,
    pub(crate) append_body_bytes_max: usize,
    pub(crate) request_timeout: Duration,
    /// True if the server listens on this machine alone.
    pub(crate) is_loopback: bool,
}

impl App {
    /// The state of a server of `broker`.
    pub(crate) fn of_broker(broker: Broker, options: &ServerOptions, is_loopback: bool) -> Self {
        let state = State::new(options, is_loopback);
        Self(Arc::new(State {
            broker: OnceCell::new_with(Some(broker)),
            ..state
        }))
    }

    /// The state of a server of one log.
    pub(crate) fn of_log(
        log: Arc<dyn CommitLog>,
        options: &ServerOptions,
        is_loopback: bool,
    ) -> Self {
        let state = State::new(options, is_loopback);
        Self(Arc::new(State {
            single: Some(log),
            ..state
        }))
    }

    /// As [`App::of_log`], but nothing is ever written.
    pub(crate) fn read_only(log: Arc<dyn CommitLog>, options: &ServerOptions) -> Self {
        let state = State::new(options, false);
        Self(Arc::new(State {
            single: Some(log),
            is_read_only: true,
            ..state
        }))
    }
}

impl App {
    /// Reads the records of the log `default` from `from` on, and waits for new ones at the end. `from` may be past the
    /// end. The first failure ends it.
    pub(crate) fn follow(&self, from: u64) -> BoxStream<'static, Result<StoredRecord, Failure>> {
        let from = Offset::new(from);
        if let Some(log) = self.single.as_ref().filter(|_| self.is_read_only) {
            // Followers do not start past the end, but what comes up to there can be left out.
            let records = log.follow(from.min(log.end_offset())).into_stream();
            let records = records.map_err(Failure::from);
            let records =
                records.try_skip_while(move |record| future::ready(Ok(record.offset < from)));
            return records.boxed();
        }
        let following = Following {
            app: self.clone(),
            log: None,
            next: from,
            found: Vec::new().into_iter(),
        };
        let records = stream::unfold(Some(following), async |following| {
            let mut following = following?;
            match following.record().await {
                Ok(record) => Some((Ok(record), Some(following))),
                Err(failure) => Some((Err(failure), None)),
            }
        });
        records.boxed()
    }
}

/// The reading of the log `default`, as far as it has come.
struct Following {
    app: App,
    /// The log, and its offsets as they change; `None` before it was opened.
    log: Option<(Handle, watch::Receiver<Offsets>)>,
    next: Offset,
    /// Records that were read.
    found: vec::IntoIter<StoredRecord>,
}

impl Following {
    /// Waits for the next record.
    async fn record(&mut self) -> Result<StoredRecord, Failure> {
        loop {
            if let Some(record) = self.found.next() {
                self.next = record.offset.saturating_add(1);
                return Ok(record);
            }
            let (log, ends) = match &mut self.log {
                Some(log) => log,
                none => {
                    let log = self.app.log(&self.app.default).await?;
                    let ends = log.ends();
                    none.insert((log, ends))
                }
            };
            let next = self.next;
            let is_open = ends.wait_for(|offsets| offsets.end > next).await.is_ok();
            let read = log.read(next, READ_RECORDS_MAX, READ_BYTES_MAX);
            let found = self.app.in_time(read).await;
            match found {
                Ok(found) => self.found = found.into_iter(),
                // It waited for what is not there, on a log that is closed.
                Err(failure) if failure.kind() == Some(ErrorKind::OutOfRange) && !is_open => {}
                Err(failure) => return Err(failure),
            }
            if !is_open {
                self.log = None;
            }
        }
    }
}

impl Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl State {
    fn new(options: &ServerOptions, is_loopback: bool) -> Self {
        Self {
            broker: OnceCell::new(),
            single: None,
            default: LogName::default_log(),
            is_read_only: false,
            is_disk_full: AtomicBool::new(false),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            draining: Draining::new(),
            node: options.node.clone(),
            options: options.clone(),
            record_bytes_max: options.record_bytes_max,
            append_body_bytes_max: options.append_body_bytes_max(),
            request_timeout: options.request_timeout,
            is_loopback,
        }
    }

    /// The broker. The first call opens it, if it was not given.
    pub(crate) async fn broker(&self) -> Result<&Broker, Failure> {
        let open = || async {
            let log = self.single.clone().ok_or(proglog_broker::Error::Closed)?;
            Broker::open(Arc::new(Single::new(log)?), BrokerOptions::new()).await
        };
        Ok(self.broker.get_or_try_init(open).await?)
    }

    /// The log of this name, opened if it is not.
    pub(crate) async fn log(&self, name: &LogName) -> Result<Handle, Failure> {
        let broker = self.broker().await?;
        match broker.try_log(name)? {
            Some(log) => Ok(log),
            None => self.in_time(broker.log(name)).await,
        }
    }

    /// Appends to `log` and waits until the records are as durable as it promises, or on the device if `is_synced`.
    pub(crate) async fn append_to(
        &self,
        log: &Handle,
        append: Append,
        is_synced: bool,
    ) -> Result<Appended, Failure> {
        self.check_writable()?;
        let appended = if is_synced {
            self.in_time(log.append_synced(append)).await
        } else {
            self.in_time(log.append(append)).await
        };
        let is_full = match &appended {
            Ok(_) => false,
            Err(failure) => failure.kind() == Some(ErrorKind::DiskFull),
        };
        if self.is_disk_full.load(Ordering::Relaxed) != is_full {
            self.is_disk_full.store(is_full, Ordering::Relaxed);
        }
        appended
    }

    /// Fails if the log is only read.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        if self.is_read_only {
            return Err(Failure::ReadOnly);
        }
        Ok(())
    }

    /// Appends `record` to the log `default`, and waits until it is as durable as the log promises.
    pub(crate) async fn append(&self, record: Record) -> Result<Offset, Failure> {
        self.check_writable()?;
        let log = self.log(&self.default).await?;
        let append = Append::new(Batch::from(record));
        let appended = self.append_to(&log, append, false).await?;
        // It has no producer, and so is never a duplicate whose offsets are forgotten.
        let offsets = appended.offsets.ok_or(proglog_broker::Error::Panicked)?;
        Ok(offsets.start)
    }

    /// Appends `record` to the log `default`, after all that were submitted before. Returns as soon as the log has taken
    /// it.
    pub(crate) async fn submit(&self, record: Record) -> Result<Pending, Failure> {
        let log = self.log(&self.default).await?;
        let append = Append::new(Batch::from(record));
        self.submit_to(&log, append).await
    }

    /// Appends to `log`, after all that were submitted before. Returns as soon as the log has taken it.
    pub(crate) async fn submit_to(&self, log: &Handle, append: Append) -> Result<Pending, Failure> {
        self.check_writable()?;
        self.in_time(log.submit(append)).await
    }

    /// Waits until what was submitted is as durable as the log promises, or on the device if `is_synced`.
    pub(crate) async fn acknowledge(
        &self,
        pending: Pending,
        is_synced: bool,
    ) -> Result<Appended, Failure> {
        self.in_time(async {
            if is_synced {
                pending.synced().await
            } else {
                pending.acknowledged().await
            }
        })
        .await
    }

    /// Reads from the log `default`.
    pub(crate) async fn read(&self, offset: u64) -> Result<StoredRecord, Failure> {
        let log = self.log(&self.default).await?;
        self.in_time(log.read_one(Offset::new(offset))).await
    }

    /// Bounds `call` by the request timeout. The work that it has started is not cancelled.
    pub(crate) async fn in_time<T>(
        &self,
        call: impl Future<Output = proglog_broker::Result<T>>,
    ) -> Result<T, Failure> {
        let called = tokio::time::timeout(self.request_timeout, call).await;
        Ok(called.map_err(|_| Failure::Timeout)??)
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.is_disk_full.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
