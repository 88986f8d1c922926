//! Many uses of the same logs at the same time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use proglog_broker::{Backend, Broker, BrokerOptions, Disk, Error, LogConfig, LogId, Memory};
use proglog_log::Offset;
use support::{SimBackend, append, name};

/// The acknowledged records of each log: their offsets and values.
type Acknowledged = Arc<Mutex<BTreeMap<String, Vec<(u64, String)>>>>;

async fn use_log(
    broker: &Broker,
    random: &mut Rng,
    acknowledged: &Acknowledged,
) -> Result<(), Error> {
    let log = name(["a", "b", "c"][random.usize(..3)]);
    match random.u32(..20) {
        0 => {
            let mut config = LogConfig::default();
            config.segment_bytes = 1024 << random.u32(..4);
            broker.put(&log, config).await?;
        }
        1 => broker.delete(&log).await?,
        2 => drop(
            broker
                .configure(&log, |config| config.segment_bytes += 1)
                .await?,
        ),
        3 => drop(broker.describe(&log).await?),
        4 => {
            broker.log(&log).await?.verify().await?;
        }
        5 => drop(broker.put(&log, LogConfig::default()).await?),
        _ => {
            let handle = match broker.try_log(&log)? {
                Some(handle) => handle,
                None => broker.log(&log).await?,
            };
            let value = random.u64(..).to_string();
            let offset = append(&handle, &value).await?;
            let id = handle.id().to_string();
            acknowledged
                .lock()
                .unwrap()
                .entry(id)
                .or_default()
                .push((offset, value.clone()));
            assert_eq!(handle.read_one(Offset::new(offset)).await?.value, value);
        }
    }
    Ok(())
}

async fn use_at_once(backend: Arc<dyn Backend>, steps: usize) {
    let broker = Broker::open(backend, BrokerOptions::new().open_max(2))
        .await
        .unwrap();
    let acknowledged = Acknowledged::default();
    let users = (0..8).map(|seed| {
        let (broker, acknowledged) = (broker.clone(), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            let mut random = Rng::with_seed(seed);
            for _ in 0..steps {
                match use_log(&broker, &mut random, &acknowledged).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
    for log in ["a", "b", "c"] {
        broker.put(&name(log), LogConfig::default()).await.unwrap();
        let handle = broker.log(&name(log)).await.unwrap();
        let id: LogId = handle.id();
        let kept = acknowledged.lock().unwrap().remove(&id.to_string());
        for (offset, value) in kept.unwrap_or_default() {
            let read = handle.read_one(Offset::new(offset)).await.unwrap();
            assert_eq!(read.value, value);
        }
    }
    broker.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn logs_are_made_used_and_deleted_at_once() {
    use_at_once(Arc::new(Memory::new()), 2000).await;
    use_at_once(Arc::new(SimBackend::default()), 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn logs_in_a_data_directory_are_made_used_and_deleted_at_once() {
    let directory = tempfile::tempdir().unwrap();
    use_at_once(Arc::new(Disk::open(directory.path()).unwrap()), 100).await;
    let logs = directory.path().join("logs");
    let unfinished = std::fs::read_dir(logs).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(unfinished.count(), 0);
}
