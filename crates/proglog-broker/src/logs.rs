//! The logs of a broker: their slots, and the threads on which these change.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::runtime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::backend::Backend;
use crate::config::LogConfig;
use crate::cursor::store::CursorStore;
use crate::error::{Error, Result};
use crate::id::LogId;
use crate::meta::LogMeta;
use crate::name::LogName;
use crate::nearest::nearest;
use crate::open_log::OpenLog;
use crate::options::BrokerOptions;
use crate::producers::{LogProducers, PRODUCERS_MAX, ProducerLimit};
use crate::slot::{Opening, Slot, State, Turn};
use crate::threads::Threads;

/// The threads for appends that wait for the device, for reads that do, and for logs that are opened and changed.
const APPENDS_MAX: usize = 64;
const READS_MAX: usize = 64;
const CHANGES_MAX: usize = 16;

/// The longest wait for a log that is being opened or changed.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) cursors: Arc<CursorStore>,
    producer_limit: Arc<ProducerLimit>,
    pub(crate) options: BrokerOptions,
    pub(crate) appends: Threads,
    pub(crate) reads: Threads,
    pub(crate) changes: Threads,
    pub(crate) runtime: runtime::Handle,
    /// Notified when the upkeep may have something to do.
    pub(crate) upkeep: Arc<Notify>,
    slots: RwLock<BTreeMap<LogName, Arc<Slot>>>,
    /// A permit for each log that may be open.
    places: Arc<Semaphore>,
    /// A single permit, for the verification of a log.
    pub(crate) verifying: Semaphore,
    is_closed: AtomicBool,
}

/// The result of [`Broker::put`](crate::Broker::put).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Put {
    /// True if the log was created, and false if it was there.
    pub created: bool,
    /// What is stored about it now.
    pub meta: Arc<LogMeta>,
}

/// A change of a slot that is under way. At its end, also in a panic, the slot is left as it has become, and the turn
/// is given back.
struct Change<'a> {
    logs: &'a Logs,
    slot: &'a Arc<Slot>,
    turn: Turn,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.slot.give_up_unmade(&self.turn);
        if self.slot.is_deleted() {
            let mut slots = self.logs.slots.write();
            let name = &self.slot.name;
            if slots
                .get(name)
                .is_some_and(|slot| Arc::ptr_eq(slot, self.slot))
            {
                slots.remove(name);
            }
        }
        self.logs.upkeep.notify_one();
    }
}

impl Logs {
    /// Blocks. Called in the context of a tokio runtime.
    pub(crate) fn start(backend: Arc<dyn Backend>, options: BrokerOptions) -> Result<Self> {
        let names = backend.list()?;
        let cursors = CursorStore::open(Arc::clone(&backend))?;
        cursors.delete_orphans(&names)?;
        let slots = names
            .into_iter()
            .map(|name| (name.clone(), Arc::new(Slot::new(name))));
        Ok(Self {
            slots: RwLock::new(slots.collect()),
            places: Arc::new(Semaphore::new(options.open_max.min(Semaphore::MAX_PERMITS))),
            verifying: Semaphore::new(1),
            cursors: Arc::new(cursors),
            producer_limit: ProducerLimit::new(PRODUCERS_MAX),
            backend,
            options,
            appends: Threads::start(APPENDS_MAX),
            reads: Threads::start(READS_MAX),
            changes: Threads::start(CHANGES_MAX),
            runtime: runtime::Handle::current(),
            upkeep: Arc::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// Returns the slots of all logs, also of those that are being made.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.read().values().cloned().collect()
    }

    pub(crate) fn find(&self, name: &LogName) -> Result<Arc<Slot>> {
        self.check_open()?;
        let slots = self.slots.read();
        slots.get(name).cloned().ok_or_else(|| Error::NotFound {
            log: name.clone(),
            nearest: nearest(&slots, name),
        })
    }

    pub(crate) fn list(
        &self,
        after: Option<&str>,
        prefix: &str,
        limit: usize,
    ) -> Result<(Vec<LogName>, bool)> {
        self.check_open()?;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let slots = self.slots.read();
        let mut names = slots
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(name, _)| name.as_str().starts_with(prefix))
            .filter(|(_, slot)| slot.state().is_some())
            .map(|(name, _)| name.clone());
        let listed = names.by_ref().take(limit).collect();
        let has_more = names.next().is_some();
        Ok((listed, has_more))
    }

    /// Returns the log of a slot, opened if it is not.
    pub(crate) async fn open(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Arc<OpenLog>> {
        let opening = async {
            let now = Instant::now();
            if let Some(log) = slot.opened(now) {
                return Ok(log);
            }
            if let Some(error) = slot.refusal(now) {
                return Err(error);
            }
            let open = |logs: &Self, slot: &Arc<Slot>, turn: &Turn| {
                logs.open_in_turn(slot, turn, Opening::Use)
            };
            self.change(slot, slot.turn().await, open).await
        };
        let log = slot.name.clone();
        let opened = timeout(WAIT_MAX, opening).await;
        opened.unwrap_or(Err(Error::Timeout { log }))
    }

    /// Blocks.
    pub(crate) fn open_in_turn(
        &self,
        slot: &Arc<Slot>,
        turn: &Turn,
        opening: Opening,
    ) -> Result<Arc<OpenLog>> {
        self.check_open()?;
        let now = Instant::now();
        if let Some(log) = slot.opened(now) {
            return Ok(log);
        }
        let place = self.places.clone().try_acquire_owned().ok();
        let place = place.or_else(|| self.make_room());
        slot.open(turn, &*self.backend, now, opening, || {
            let opened = self.backend.open(&slot.name)?;
            let (log, id) = (Arc::clone(&opened.log), opened.meta.id);
            // Both before anything can be appended.
            let end = log.end_offset();
            self.cursors.call(|cursors| cursors.set_back(id, end))?;
            let snapshot = opened.snapshot.clone();
            let producers = LogProducers::open(log, id, snapshot, &self.producer_limit)?;
            Ok(OpenLog::new(opened, producers, now, place))
        })
    }

    /// Closes the log that is unused for longest, and returns its place; `None` if all are in use.
    fn make_room(&self) -> Option<OwnedSemaphorePermit> {
        let unused = self
            .all()
            .into_iter()
            .filter_map(|slot| Some((slot.unused_since()?, slot)));
        let mut unused = unused.collect::<Vec<_>>();
        unused.sort_by_key(|(since, _)| *since);
        unused.into_iter().find_map(|(since, slot)| {
            let turn = slot.try_turn()?;
            slot.release_unused(&turn, since);
            self.places.clone().try_acquire_owned().ok()
        })
    }

    /// Makes a log, or configures the one that is there.
    pub(crate) async fn put(self: &Arc<Self>, name: &LogName, config: LogConfig) -> Result<Put> {
        config.validate()?;
        loop {
            self.check_open()?;
            let (slot, turn) = self.slot_to_put(name).await?;
            if slot.is_deleted() {
                // Another one has its name, or none.
                continue;
            }
            let put = move |logs: &Self, slot: &Arc<Slot>, turn: &Turn| {
                logs.check_open()?;
                logs.put_in_turn(slot, turn, &config)
            };
            return self.change(&slot, turn, put).await;
        }
    }

    /// Makes a log with the default configuration, if it is not there.
    pub(crate) async fn create(self: &Arc<Self>, name: &LogName) -> Result<()> {
        let config = self.options.log_defaults.clone();
        config.validate()?;
        let (slot, turn) = self.slot_to_put(name).await?;
        let create = move |logs: &Self, slot: &Arc<Slot>, turn: &Turn| {
            logs.check_open()?;
            if slot.is_unmade() {
                slot.create(turn, &*logs.backend, &config)?;
            }
            Ok(())
        };
        self.change(&slot, turn, create).await
    }

    /// Returns the slot of this name, which is made if there is none, and its turn.
    async fn slot_to_put(&self, name: &LogName) -> Result<(Arc<Slot>, Turn)> {
        let found = {
            let mut slots = self.slots.write();
            if let Some(slot) = slots.get(name) {
                Err(Arc::clone(slot))
            } else {
                let (slot, turn) = Slot::unmade(name.clone());
                slots.insert(name.clone(), Arc::clone(&slot));
                Ok((slot, turn))
            }
        };
        let slot = match found {
            Ok(unmade) => return Ok(unmade),
            Err(slot) => slot,
        };
        let turn = self.turn(&slot).await?;
        Ok((slot, turn))
    }

    /// Waits for the turn of a slot.
    async fn turn(&self, slot: &Slot) -> Result<Turn> {
        let turn = timeout(WAIT_MAX, slot.turn()).await;
        turn.map_err(|_| Error::Timeout {
            log: slot.name.clone(),
        })
    }

    fn put_in_turn(&self, slot: &Arc<Slot>, turn: &Turn, config: &LogConfig) -> Result<Put> {
        let backend = &*self.backend;
        let is_made = slot.state().is_some();
        let configured = if is_made {
            self.configure_in_turn(slot, turn, config)
        } else {
            Err(Error::not_found(slot.name.clone()))
        };
        let meta = match configured {
            Err(Error::NotFound { .. }) => match slot.create(turn, backend, config)? {
                Some(meta) => {
                    return Ok(Put {
                        created: true,
                        meta,
                    });
                }
                None => self.configure_in_turn(slot, turn, config)?,
            },
            configured => configured?,
        };
        Ok(Put {
            created: false,
            meta,
        })
    }

    /// Configures a log, and opens it again if it was open or has failed.
    fn configure_in_turn(
        &self,
        slot: &Arc<Slot>,
        turn: &Turn,
        config: &LogConfig,
    ) -> Result<Arc<LogMeta>> {
        let was_idle = slot.state() == Some(State::Idle);
        let meta = slot.configure(turn, &*self.backend, config)?;
        if !was_idle {
            self.open_in_turn(slot, turn, Opening::Again)?;
        }
        Ok(meta)
    }

    pub(crate) async fn configure(
        self: &Arc<Self>,
        name: &LogName,
        change: impl FnOnce(&mut LogConfig) + Send + 'static,
    ) -> Result<Arc<LogMeta>> {
        let slot = self.find(name)?;
        let turn = self.turn(&slot).await?;
        let configure = |logs: &Self, slot: &Arc<Slot>, turn: &Turn| {
            logs.check_made(slot)?;
            let mut config = slot.meta(turn, &*logs.backend)?.config.clone();
            change(&mut config);
            config.validate()?;
            logs.configure_in_turn(slot, turn, &config)
        };
        self.change(&slot, turn, configure).await
    }

    pub(crate) async fn delete(self: &Arc<Self>, name: &LogName) -> Result<()> {
        let slot = self.find(name)?;
        if name.as_str() == LogName::DEFAULT {
            return Err(Error::DefaultLog);
        }
        let turn = self.turn(&slot).await?;
        let delete = |logs: &Self, slot: &Arc<Slot>, turn: &Turn| {
            logs.check_made(slot)?;
            let meta = slot.meta(turn, &*logs.backend);
            slot.delete(turn, &*logs.backend)?;
            if let Ok(meta) = meta {
                logs.delete_cursors(meta.id);
            }
            Ok(())
        };
        self.change(&slot, turn, delete).await?;
        let logs = Arc::clone(self);
        drop(self.changes.call(move || logs.backend.clean_up()));
        Ok(())
    }

    /// Deletes the cursors of a log that is gone.
    fn delete_cursors(&self, log: LogId) {
        let deleted = self.cursors.call(|cursors| cursors.delete_all(log));
        if let Err(error) = deleted {
            // The next start does it.
            tracing::warn!(%log, error = &error as &dyn std::error::Error, "cannot delete the cursors of a log");
        }
    }

    fn check_made(&self, slot: &Slot) -> Result<()> {
        self.check_open()?;
        match slot.state() {
            Some(_) => Ok(()),
            None => Err(Error::not_found(slot.name.clone())),
        }
    }

    /// Runs `change` on a thread. It is completed even if the future is dropped.
    pub(crate) fn change<T: Send + 'static>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        turn: Turn,
        change: impl FnOnce(&Self, &Arc<Slot>, &Turn) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let (logs, slot) = (Arc::clone(self), Arc::clone(slot));
        let called = self.changes.call(move || {
            let guard = Change {
                logs: &logs,
                slot: &slot,
                turn,
            };
            change(&logs, &slot, &guard.turn)
        });
        async { called.await? }
    }

    /// Closes all logs. Nothing is opened or changed after that.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        self.upkeep.notify_one();
        let mut closing = Vec::new();
        for slot in self.all() {
            let turn = slot.turn().await;
            let close = |_: &Self, slot: &Arc<Slot>, turn: &Turn| Ok(slot.release(turn)?);
            closing.push(self.change(&slot, turn, close));
        }
        let mut result = Ok(());
        for closed in closing {
            result = result.and(closed.await);
        }
        let cursors = Arc::clone(&self.cursors);
        result.and(self.changes.call(move || cursors.close()).await?)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.upkeep.notify_one();
    }
}
