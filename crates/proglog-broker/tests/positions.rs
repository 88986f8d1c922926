//! What a broker knows of consumers and producers: over restarts, deletions, failures and power cuts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use proglog_broker::{
    Backend, Broker, BrokerOptions, CursorName, Disk, Durability, Error, Expect, Handle, LogConfig,
    LogMeta, LogName, Memory, Opened, Result, SetCursor, Snapshot,
};
use proglog_log::producers::Refused;
use proglog_log::{Append, CommitLog, Job, Log, LogOptions, Outcome, Producer, Runtime};
use proglog_store::io::{Directory, OpenMode};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

fn name(text: &str) -> LogName {
    text.parse().unwrap()
}

fn cursor(text: &str) -> CursorName {
    text.parse().unwrap()
}

async fn open(backend: impl Backend + 'static) -> Broker {
    let broker = Broker::open(Arc::new(backend), BrokerOptions::new());
    broker.await.unwrap()
}

async fn default_log(broker: &Broker) -> Handle {
    broker.log(&LogName::default_log()).await.unwrap()
}

fn append(id: &str, epoch: u64, sequence: u64, values: &[&'static str]) -> Append {
    let batch = Append::new(values.to_vec());
    batch.by(Producer::new(id, epoch, sequence).unwrap())
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_answered_with_the_offsets_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let broker = open(Disk::open(directory.path()).unwrap()).await;
        let log = default_log(&broker).await;
        for again in [false, true] {
            let first = log.append(append("a", 0, 0, &["x", "y"])).await.unwrap();
            assert_eq!(first.offsets.unwrap(), 0..2);
            assert_eq!(first.is_duplicate, again || round > 0);
        }
        let gap = log.append(append("a", 0, 9, &["x"])).await.unwrap_err();
        assert!(
            matches!(gap, Error::Refused(Refused::Gap { expected: 2 })),
            "{gap:?}"
        );
        let unknown = log.append(append("b", 0, 9, &["x"])).await.unwrap_err();
        assert!(
            matches!(unknown, Error::Refused(Refused::Unknown)),
            "{unknown:?}"
        );
        assert_eq!(log.offsets().end, 2);
        let progress = log.producer("a").unwrap();
        assert_eq!((progress.epoch, progress.next_sequence), (0, 2));
        assert_eq!((log.producers(), log.producer("b")), (1, None));
        if round > 0 {
            // Its records are not needed for that.
            log.trim(2.into()).await.unwrap();
            broker.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_producer_appends_to_logs_of_each_durability() {
    let broker = open(Memory::new()).await;
    for durability in [
        Durability::Synced,
        Durability::Interval,
        Durability::Buffered,
    ] {
        let mut config = LogConfig::default();
        config.durability = durability;
        broker.put(&name("a"), config).await.unwrap();
        let log = broker.log(&name("a")).await.unwrap();
        let next = log.producer("p").map_or(0, |known| known.next_sequence);
        log.append_synced(append("p", 0, next, &["x"]))
            .await
            .unwrap();
        let again = log
            .append_synced(append("p", 0, next, &["x"]))
            .await
            .unwrap();
        assert!(again.is_duplicate);
    }
}

#[tokio::test]
async fn cursors_are_kept_over_a_restart_and_go_with_their_log() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(Disk::open(directory.path()).unwrap()).await;
    broker.put(&name("a"), LogConfig::default()).await.unwrap();
    let logs = [
        default_log(&broker).await,
        broker.log(&name("a")).await.unwrap(),
    ];
    for log in &logs {
        log.append(Append::new(["x", "y"])).await.unwrap();
        for text in ["c", "d"] {
            let set = SetCursor::new(2).metadata(text).expect(Expect::Absent);
            let made = broker.cursors().set(log, &cursor(text), set).await.unwrap();
            assert_eq!((made.next_offset.get(), made.metadata.as_str()), (2, text));
        }
        let beyond = broker
            .cursors()
            .set(log, &cursor("c"), SetCursor::new(3))
            .await;
        assert!(
            matches!(beyond, Err(Error::BeyondEnd { end }) if end == 2),
            "{beyond:?}"
        );
    }
    let ids = logs.each_ref().map(Handle::id);
    drop(logs);
    broker.close().await.unwrap();
    let closed = broker.cursors().get(ids[0], &cursor("c")).await;
    assert!(matches!(closed, Err(Error::Closed)), "{closed:?}");
    drop(broker);

    let broker = open(Disk::open(directory.path()).unwrap()).await;
    let cursors = broker.cursors();
    for id in ids {
        assert_eq!(cursors.list(id, None, 9).await.unwrap().len(), 2);
    }
    broker.delete(&name("a")).await.unwrap();
    cursors
        .delete(ids[0], &cursor("d"), Expect::Any)
        .await
        .unwrap();
    let gone = cursors.get(ids[0], &cursor("d")).await;
    assert!(matches!(gone, Err(Error::CursorNotFound)), "{gone:?}");
    assert_eq!(cursors.list(ids[0], None, 9).await.unwrap().len(), 1);
    assert!(cursors.list(ids[1], None, 9).await.unwrap().is_empty());
    broker.put(&name("a"), LogConfig::default()).await.unwrap();
    let again = broker.log(&name("a")).await.unwrap();
    assert!(cursors.list(again.id(), None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn cursors_of_a_log_that_is_gone_are_deleted_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(Disk::open(directory.path()).unwrap()).await;
    broker.put(&name("a"), LogConfig::default()).await.unwrap();
    let log = broker.log(&name("a")).await.unwrap();
    broker
        .cursors()
        .set(&log, &cursor("c"), SetCursor::new(0))
        .await
        .unwrap();
    let id = log.id();
    broker.close().await.unwrap();
    drop((log, broker));
    std::fs::remove_dir_all(directory.path().join("logs/a")).unwrap();
    let broker = open(Disk::open(directory.path()).unwrap()).await;
    assert!(broker.cursors().list(id, None, 9).await.unwrap().is_empty());
}

/// Does nothing in the background: a group of appends is committed by a thread that waits for it.
#[derive(Debug)]
struct NoBackground;

impl Runtime for NoBackground {
    fn spawn(&self, _job: Job) {}

    fn spawn_after(&self, _delay: Duration, _job: Job) {}
}

/// A snapshot on the disk of its log.
#[derive(Debug)]
struct OnDisk(Arc<dyn Directory>);

impl Snapshot for OnDisk {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match self.0.open("producers", OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap()];
        file.read_full_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        let file = self.0.open("producers.tmp", OpenMode::CreateIfMissing)?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        self.0.rename("producers.tmp", "producers")?;
        self.0.sync()
    }
}

/// One log, and that of cursors, on a simulated disk each.
#[derive(Debug, Clone)]
struct OnSimDisk {
    disk: SimDisk,
    meta: LogMeta,
    cursors: SimDisk,
}

impl OnSimDisk {
    fn new(config: &LogConfig) -> Self {
        Self {
            disk: SimDisk::new(),
            meta: Memory::new().create(&name("a"), config).unwrap(),
            cursors: SimDisk::new(),
        }
    }
}

impl Backend for OnSimDisk {
    fn list(&self) -> Result<Vec<LogName>> {
        Ok(vec![LogName::default_log()])
    }

    fn create(&self, _name: &LogName, _config: &LogConfig) -> Result<LogMeta> {
        Ok(self.meta.clone())
    }

    fn meta(&self, _name: &LogName) -> Result<LogMeta> {
        Ok(self.meta.clone())
    }

    fn open(&self, _name: &LogName) -> Result<Opened> {
        let options = self.meta.config.options().idle_after(Duration::MAX);
        let options = options.runtime(Arc::new(NoBackground));
        let log = Log::open_in(self.disk.directory(), &options)?;
        let mut opened = Opened::new(Arc::new(log), self.meta.clone());
        opened.snapshot = Some(Arc::new(OnDisk(self.disk.directory())));
        Ok(opened)
    }

    fn configure(&self, _name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let mut meta = self.meta.clone();
        meta.config = config.clone();
        Ok(meta)
    }

    fn remove(&self, _name: &LogName) -> Result<()> {
        Ok(())
    }

    fn open_system(&self, _name: &str) -> Result<Arc<dyn CommitLog>> {
        let options = LogOptions::new().idle_after(Duration::MAX);
        Ok(Arc::new(Log::open_in(self.cursors.directory(), &options)?))
    }
}

#[tokio::test]
async fn a_cursor_is_at_the_end_of_a_log_that_a_power_cut_has_made_shorter() {
    let mut config = LogConfig::default();
    config.durability = Durability::Buffered;
    let backend = OnSimDisk::new(&config);
    let broker = open(backend.clone()).await;
    let log = default_log(&broker).await;
    log.append_synced(Append::new(["a", "b"])).await.unwrap();
    log.append(Append::new(["c", "d"])).await.unwrap();
    let before = broker
        .cursors()
        .set(&log, &cursor("c"), SetCursor::new(4))
        .await
        .unwrap();
    broker
        .cursors()
        .set(&log, &cursor("d"), SetCursor::new(1))
        .await
        .unwrap();
    let after = OnSimDisk {
        disk: backend.disk.crash(Survivors::LoseAll),
        cursors: backend.cursors.crash(Survivors::LoseAll),
        ..backend
    };
    let broker = open(after).await;
    let log = default_log(&broker).await;
    log.append(Append::new(["another c"])).await.unwrap();
    let set_back = broker.cursors().get(log.id(), &cursor("c")).await.unwrap();
    assert_eq!(set_back.next_offset, 2);
    assert!(set_back.version > before.version);
    let kept = broker.cursors().get(log.id(), &cursor("d")).await.unwrap();
    assert_eq!(kept.next_offset, 1);
    let read = log.read(set_back.next_offset, 1, 1).await.unwrap();
    assert_eq!(read[0].value, "another c");
}

#[tokio::test]
async fn the_log_of_cursors_is_opened_again_when_it_has_failed() {
    let backend = OnSimDisk::new(&LogConfig::default());
    let broker = open(backend.clone()).await;
    let log = default_log(&broker).await;
    let (id, cursors) = (log.id(), broker.cursors());
    let c = cursor("c");
    let set = || cursors.set(&log, &c, SetCursor::new(0));
    let before = set().await.unwrap();
    backend
        .cursors
        .inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    let failed = set().await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Unknown, "{failed:?}");
    let after = set().await.unwrap();
    assert!(after.version > before.version);
    assert_eq!(cursors.list(id, None, 9).await.unwrap(), [after]);
}

#[tokio::test]
async fn a_resend_is_answered_once_the_first_is_durable() {
    let backend = OnSimDisk::new(&LogConfig::default());
    let broker = open(backend.clone()).await;
    let log = default_log(&broker).await;
    // Nothing commits the first but the resend.
    let batch = append("a", 0, 0, &["x"]);
    let mut first = pin!(log.append(batch.clone()));
    let mut again = pin!(log.append(batch));
    let again = tokio::select! {
        biased;
        first = &mut first => {
            assert!(!first.unwrap().is_duplicate);
            again.await
        }
        again = &mut again => again,
    };
    assert!(again.unwrap().is_duplicate);
    assert_eq!(log.offsets(), 0..1);

    let second = append("a", 0, 1, &["y"]);
    let fails = Fault::os_error(5);
    backend.disk.inject(When::Next(CallKind::Sync, 0), fails);
    let (first, again) = tokio::join!(log.append(second.clone()), log.append(second));
    first.unwrap_err();
    again.unwrap_err();
}

#[tokio::test]
async fn a_snapshot_covers_what_is_on_the_device() {
    let mut config = LogConfig::default();
    config.durability = Durability::Buffered;
    let backend = OnSimDisk::new(&config);
    let broker = open(backend.clone()).await;
    let log = default_log(&broker).await;
    log.append(append("a", 0, 0, &["x", "y"])).await.unwrap();
    log.trim(2.into()).await.unwrap();
    log.append(append("a", 0, 2, &["z"])).await.unwrap();
    // Drops nothing, and stores a snapshot all the same.
    log.trim(2.into()).await.unwrap();
    let after = OnSimDisk {
        disk: backend.disk.crash(Survivors::LoseAll),
        cursors: SimDisk::new(),
        ..backend
    };
    let broker = open(after).await;
    let log = default_log(&broker).await;
    assert_eq!(log.producer("a").unwrap().next_sequence, 3);
    let again = log.append(append("a", 0, 2, &["z"])).await.unwrap();
    assert_eq!(again.offsets.unwrap(), 2..3);
}
