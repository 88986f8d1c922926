//! Random uses of a broker, over restarts, crashes and failed syncs, against a table in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use proglog_broker::{
    Backend, Broker, BrokerOptions, Disk, Durability, Error, Handle, LogConfig, LogId, LogName,
    Memory,
};
use proglog_log::{Append, ErrorKind, Offset, Outcome};
use support::{Clock, SimBackend, name, until};
use tempfile::TempDir;

/// Where the logs are, and what a crash leaves of them.
trait World {
    /// Returns the backend; `None` while it is in use.
    fn backend(&self) -> Option<Arc<dyn Backend>>;

    /// What is left when the process ends now.
    fn crash(&self) -> Self;

    /// Lets a sync of this log fail. Returns whether it can.
    fn fail_sync(&self, log: &LogName) -> bool;
}

impl World for SimBackend {
    fn backend(&self) -> Option<Arc<dyn Backend>> {
        Some(Arc::new(self.clone()))
    }

    fn crash(&self) -> Self {
        self.lose_power()
    }

    fn fail_sync(&self, log: &LogName) -> bool {
        SimBackend::fail_sync(self, log.as_str());
        true
    }
}

/// A data directory.
struct Directory(TempDir);

impl World for Directory {
    fn backend(&self) -> Option<Arc<dyn Backend>> {
        match Disk::open(self.0.path()) {
            Err(Error::Locked { .. }) => None,
            disk => Some(Arc::new(disk.unwrap())),
        }
    }

    fn crash(&self) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_all(self.0.path(), copy.path());
        Self(copy)
    }

    fn fail_sync(&self, _log: &LogName) -> bool {
        false
    }
}

/// Copies a directory in use, and the checkpoint of a log before its segments.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    // There may be none.
    _ = fs::copy(from.join("checkpoint"), to.join("checkpoint"));
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, to) = (entry.file_name(), to.join(entry.file_name()));
        if name == "trash" || name == "checkpoint" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a log has to be.
#[derive(Debug)]
struct Model {
    id: LogId,
    config: LogConfig,
    /// The values from the log's start on.
    values: Vec<String>,
    start: u64,
    /// An append whose outcome is unknown.
    in_doubt: Option<String>,
}

struct Test<'a, W> {
    world: W,
    broker: Broker,
    clock: &'a Clock,
    logs: BTreeMap<LogName, Model>,
    /// Handles that stay, so that their logs do.
    held: Vec<Handle>,
    random: Rng,
    appended: u64,
}

impl<'a, W: World> Test<'a, W> {
    async fn start(world: W, clock: &'a Clock, seed: u64) -> Self {
        let broker = Self::open(&world).await;
        let mut test = Self {
            world,
            broker,
            clock,
            logs: BTreeMap::new(),
            held: Vec::new(),
            random: Rng::with_seed(seed),
            appended: 0,
        };
        let log = test.broker.log(&LogName::default_log()).await.unwrap();
        test.add(&log);
        test
    }

    async fn open(world: &W) -> Broker {
        loop {
            // A thread may still hold the backend before.
            if let Some(backend) = world.backend() {
                let options = BrokerOptions::new().open_max(3);
                return Broker::open(backend, options).await.unwrap();
            }
        }
    }

    fn add(&mut self, log: &Handle) {
        let model = Model {
            id: log.id(),
            config: log.meta().config.clone(),
            values: Vec::new(),
            start: 0,
            in_doubt: None,
        };
        self.logs.insert(log.name().clone(), model);
    }

    fn any(&mut self) -> LogName {
        name(["a", "b", "c", "d", "e", "default"][self.random.usize(..6)])
    }

    fn config(&mut self) -> LogConfig {
        let mut config = LogConfig::default();
        config.segment_bytes = 1024 << self.random.u32(..3);
        config
    }

    async fn step(&mut self) {
        match self.random.u32(..100) {
            0..8 => self.put().await,
            8..12 => self.delete().await,
            12..16 => self.configure().await,
            16..19 => self.trim().await,
            19..21 => self.crash().await,
            21..23 => self.restart().await,
            23..27 => self.fail_append().await,
            27..40 => self.hold().await,
            40..60 => self.check_one().await,
            _ => self.append().await,
        }
    }

    async fn put(&mut self) {
        let (log, config) = (self.any(), self.config());
        let put = self.broker.put(&log, config.clone()).await.unwrap();
        assert_eq!(put.created, !self.logs.contains_key(&log));
        if put.created {
            let handle = self.broker.log(&log).await.unwrap();
            self.add(&handle);
        }
        let model = self.logs.get_mut(&log).unwrap();
        model.config = config;
        assert_eq!((put.meta.id, &put.meta.config), (model.id, &model.config));
    }

    async fn configure(&mut self) {
        let (log, records) = (self.any(), self.random.u64(1 << 30..1 << 31));
        let configured = self.broker.configure(&log, move |config| {
            config.retention.records = Some(records);
        });
        let configured = configured.await;
        match self.logs.get_mut(&log) {
            Some(model) => {
                model.config.retention.records = Some(records);
                assert_eq!(configured.unwrap().config, model.config);
            }
            None => assert!(matches!(configured, Err(Error::NotFound { .. }))),
        }
    }

    async fn delete(&mut self) {
        let log = self.any();
        let deleted = self.broker.delete(&log).await;
        if log.as_str() == LogName::DEFAULT {
            assert!(matches!(deleted, Err(Error::DefaultLog)));
        } else if self.logs.remove(&log).is_some() {
            deleted.unwrap();
        } else {
            assert!(matches!(deleted, Err(Error::NotFound { .. })));
        }
    }

    async fn log(&mut self) -> Option<Handle> {
        let log = self.any();
        let opened = self.broker.log(&log).await;
        if self.logs.contains_key(&log) {
            return Some(opened.unwrap());
        }
        assert!(matches!(opened, Err(Error::NotFound { .. })));
        None
    }

    fn value(&mut self) -> String {
        self.appended += 1;
        let fill = "x".repeat(self.random.usize(..300));
        format!("{} {fill}", self.appended)
    }

    async fn append(&mut self) {
        let Some(log) = self.log().await else { return };
        let value = self.value();
        let appended = log.append(Append::new([value.clone()])).await.unwrap();
        let model = self.logs.get_mut(log.name()).unwrap();
        let end = model.start + model.values.len() as u64;
        assert_eq!(appended.offsets.unwrap(), end..end + 1);
        assert_eq!(appended.durability, Durability::Synced);
        model.values.push(value);
    }

    /// Appends while a sync fails, and waits until the log is mended.
    async fn fail_append(&mut self) {
        let Some(log) = self.log().await else { return };
        if !self.world.fail_sync(log.name()) {
            return;
        }
        let value = self.value();
        let append = Append::new([value.clone()]);
        let error = log.append(append).await.unwrap_err();
        assert!(
            matches!(error, Error::Log(_) | Error::Poisoned { .. }),
            "{error:?}"
        );
        if error.outcome() != Outcome::NotAppended {
            self.logs.get_mut(log.name()).unwrap().in_doubt = Some(value);
        }
        // If it was the sync of a new segment, the log is not poisoned.
        until(async || match self.broker.log(log.name()).await {
            Err(Error::Poisoned { .. }) => {
                self.clock.advance(Duration::from_secs(1)).await;
                false
            }
            log => log.is_ok(),
        })
        .await;
        self.check(log.name().clone()).await;
    }

    async fn trim(&mut self) {
        let Some(log) = self.log().await else { return };
        let model = self.logs.get_mut(log.name()).unwrap();
        let dropped = self.random.usize(..=model.values.len());
        model.values.drain(..dropped);
        model.start += dropped as u64;
        let left = log.trim(Offset::new(model.start)).await.unwrap();
        assert_eq!(left.start, model.start);
    }

    async fn hold(&mut self) {
        if self.held.len() > 2 {
            let dropped = self.random.usize(..self.held.len());
            self.held.swap_remove(dropped);
        }
        if let Some(log) = self.log().await {
            self.held.push(log);
        }
        for held in &self.held {
            let read = held.read_one(held.offsets().start).await;
            let is_same = self
                .logs
                .get(held.name())
                .is_some_and(|model| model.id == held.id());
            match read {
                Ok(_) => assert!(is_same),
                Err(Error::NotFound { .. }) => assert!(!is_same),
                Err(Error::Log(error)) => assert_eq!(error.kind(), ErrorKind::OutOfRange),
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    async fn crash(&mut self) {
        let world = self.world.crash();
        self.held.clear();
        self.broker.close().await.unwrap();
        self.broker = Self::open(&world).await;
        self.world = world;
        self.check_all().await;
    }

    async fn restart(&mut self) {
        self.held.clear();
        self.broker.close().await.unwrap();
        let memory = Arc::new(Memory::new());
        self.broker = Broker::open(memory, BrokerOptions::new()).await.unwrap();
        self.broker = Self::open(&self.world).await;
        self.check_all().await;
    }

    async fn check_one(&mut self) {
        let log = self.any();
        if self.logs.contains_key(&log) {
            self.check(log).await;
        }
    }

    async fn check_all(&mut self) {
        let (names, has_more) = self.broker.list(None, "", 100).unwrap();
        assert_eq!(
            (names, has_more),
            (self.logs.keys().cloned().collect(), false)
        );
        for log in self.logs.keys().cloned().collect::<Vec<_>>() {
            self.check(log).await;
        }
    }

    async fn check(&mut self, name: LogName) {
        let log = self.broker.log(&name).await.unwrap();
        let model = self.logs.get_mut(&name).unwrap();
        assert_eq!((log.id(), &log.meta().config), (model.id, &model.config));
        assert_eq!(log.offsets().start, model.start);
        let values = support::values(&log).await;
        if let Some(value) = model.in_doubt.take()
            && values.len() > model.values.len()
        {
            model.values.push(value);
        }
        assert_eq!(values, model.values);
        assert!(log.verify().await.unwrap().damaged.is_empty());
        let described = self.broker.describe(&name).await.unwrap();
        assert_eq!(described.stat.unwrap().offsets, log.offsets());
    }
}

async fn run(world: impl World, clock: &Clock, seed: u64, steps: usize) {
    let mut test = Test::start(world, clock, seed).await;
    for _ in 0..steps {
        test.step().await;
    }
    test.crash().await;
}

#[tokio::test]
async fn logs_on_simulated_disks_are_those_of_the_table() {
    let clock = Clock::stop();
    for seed in 0..20 {
        run(SimBackend::default(), &clock, seed, 300).await;
    }
}

#[tokio::test]
async fn logs_in_a_data_directory_are_those_of_the_table() {
    let clock = Clock::stop();
    for seed in 0..2 {
        let directory = Directory(tempfile::tempdir().unwrap());
        run(directory, &clock, seed, 200).await;
    }
}
