//! Logs on simulated disks, and a clock that stands still.
#![allow(dead_code, reason = "each test uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proglog_broker::{
    Backend, Broker, BrokerOptions, Error, Handle, LogConfig, LogMeta, LogName, Opened, Result,
};
use proglog_log::{Append, CommitLog, Log, LogOptions, MemoryLog};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

pub(crate) fn name(text: &str) -> LogName {
    text.parse().unwrap()
}

pub(crate) async fn append(log: &Handle, value: &str) -> Result<u64> {
    let appended = log.append(Append::new([value.to_owned()])).await?;
    Ok(appended.offsets.unwrap().start.get())
}

pub(crate) async fn values(log: &Handle) -> Vec<String> {
    let (mut values, mut next) = (Vec::new(), log.offsets().start);
    loop {
        let records = log.read(next, 1 << 20, 1 << 20).await.unwrap();
        let Some(last) = records.last() else {
            return values;
        };
        next = last.offset + 1;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        values.extend(records.iter().map(|record| text(&record.value)));
    }
}

/// Logs on simulated disks. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SimBackend(Arc<Shared>);

#[derive(Default)]
struct Shared {
    logs: Mutex<BTreeMap<LogName, Kept>>,
    opened: AtomicUsize,
    open: Mutex<Vec<Log>>,
    /// Opening a log panics.
    panics: AtomicBool,
    /// Opening a log waits for its sender.
    held: Mutex<Option<Receiver<()>>>,
}

struct Kept {
    meta: LogMeta,
    disk: SimDisk,
    is_refused: bool,
}

impl SimBackend {
    pub(crate) fn disk(&self, log: &str) -> SimDisk {
        self.0.logs.lock().unwrap()[log].disk.clone()
    }

    /// The next sync of the log's files fails.
    pub(crate) fn fail_sync(&self, log: &str) {
        let error = Fault::error(io::ErrorKind::Other);
        self.disk(log).inject(When::Next(CallKind::Sync, 0), error);
    }

    /// Opening the log fails, or works again.
    pub(crate) fn refuse(&self, log: &str, is_refused: bool) {
        let mut logs = self.0.logs.lock().unwrap();
        logs.get_mut(log).unwrap().is_refused = is_refused;
    }

    pub(crate) fn panic_at_opening(&self, panics: bool) {
        self.0.panics.store(panics, Ordering::Relaxed);
    }

    /// The next opening waits until the sender is dropped.
    pub(crate) fn hold_opening(&self) -> Sender<()> {
        let (sender, receiver) = channel();
        *self.0.held.lock().unwrap() = Some(receiver);
        sender
    }

    /// How often a log was opened.
    pub(crate) fn opened(&self) -> usize {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// How many logs are open.
    pub(crate) fn open(&self) -> usize {
        let mut open = self.0.open.lock().unwrap();
        open.retain(|log| !log.is_closed());
        open.len()
    }

    /// The power fails: what was not synced is gone.
    pub(crate) fn lose_power(&self) -> Self {
        let logs = self.0.logs.lock().unwrap();
        let lost = logs.iter().map(|(name, kept)| {
            let kept = Kept {
                meta: kept.meta.clone(),
                disk: kept.disk.crash(Survivors::LoseAll),
                is_refused: kept.is_refused,
            };
            (name.clone(), kept)
        });
        Self(Arc::new(Shared {
            logs: Mutex::new(lost.collect()),
            ..Shared::default()
        }))
    }
}

impl fmt::Debug for SimBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimBackend")
    }
}

fn not_found(name: &LogName) -> Error {
    Error::NotFound {
        log: name.clone(),
        nearest: None,
    }
}

impl Backend for SimBackend {
    fn list(&self) -> Result<Vec<LogName>> {
        Ok(self.0.logs.lock().unwrap().keys().cloned().collect())
    }

    fn create(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let mut logs = self.0.logs.lock().unwrap();
        if logs.contains_key(name) {
            return Err(Error::AlreadyExists { log: name.clone() });
        }
        let meta = LogMeta::new(config.clone()).unwrap();
        let kept = Kept {
            meta: meta.clone(),
            disk: SimDisk::new(),
            is_refused: false,
        };
        logs.insert(name.clone(), kept);
        Ok(meta)
    }

    fn meta(&self, name: &LogName) -> Result<LogMeta> {
        let logs = self.0.logs.lock().unwrap();
        Ok(logs.get(name).ok_or_else(|| not_found(name))?.meta.clone())
    }

    fn open(&self, name: &LogName) -> Result<Opened> {
        let held = self.0.held.lock().unwrap().take();
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        assert!(!self.0.panics.load(Ordering::Relaxed), "a test");
        if let Some(held) = held {
            assert!(held.recv().is_err());
        }
        let (disk, meta) = {
            let logs = self.0.logs.lock().unwrap();
            let kept = logs.get(name).ok_or_else(|| not_found(name))?;
            if kept.is_refused {
                return Err(Error::MetaLost { log: name.clone() });
            }
            (kept.disk.clone(), kept.meta.clone())
        };
        // Syncs when nobody appends would get the faults.
        let options = meta.config.options().idle_after(Duration::MAX);
        let log = Log::open_in(disk.directory(), &options)?;
        self.0.open.lock().unwrap().push(log.clone());
        let recovery = Some(log.recovery().clone());
        let mut opened = Opened::new(Arc::new(log), meta);
        opened.recovery = recovery;
        Ok(opened)
    }

    fn configure(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let mut logs = self.0.logs.lock().unwrap();
        let kept = logs.get_mut(name).ok_or_else(|| not_found(name))?;
        kept.meta.config = config.clone();
        kept.is_refused = false;
        Ok(kept.meta.clone())
    }

    fn remove(&self, name: &LogName) -> Result<()> {
        let removed = self.0.logs.lock().unwrap().remove(name);
        removed.map(drop).ok_or_else(|| not_found(name))
    }

    fn open_system(&self, _name: &str) -> Result<Arc<dyn CommitLog>> {
        Ok(Arc::new(MemoryLog::with_options(&LogOptions::new())?))
    }
}

/// A clock that stands still, unless it is advanced; also while everything waits for a thread.
pub(crate) struct Clock {
    _release: Sender<()>,
}

impl Clock {
    /// Stops the clock of a runtime with a single thread.
    pub(crate) fn stop() -> Self {
        tokio::time::pause();
        let (release, held) = channel::<()>();
        // The clock does not advance by itself while such a task runs.
        tokio::task::spawn_blocking(move || held.recv());
        Self { _release: release }
    }

    pub(crate) async fn advance(&self, time: Duration) {
        // Timers have a resolution of a millisecond.
        tokio::time::advance(time + Duration::from_millis(1)).await;
    }
}

/// Waits for what threads do, as long as they take.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    while !condition().await {
        tokio::task::yield_now().await;
    }
}

/// A broker on simulated disks with logs of these names.
pub(crate) async fn sim_broker(options: BrokerOptions, logs: &[&str]) -> (SimBackend, Broker) {
    let backend = SimBackend::default();
    for log in logs {
        backend.create(&name(log), &LogConfig::default()).unwrap();
    }
    let broker = Broker::open(Arc::new(backend.clone()), options)
        .await
        .unwrap();
    (backend, broker)
}
