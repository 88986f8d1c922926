//! The life of a log in a broker, from its creation to its deletion.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use proglog_broker::{
    Backend, Broker, BrokerOptions, Disk, Durability, Error, Handle, LogConfig, LogName, Memory,
    Single, State,
};
use proglog_log::{Append, ErrorKind, MemoryLog, Offset};

fn name(text: &str) -> LogName {
    text.parse().unwrap()
}

async fn broker(backend: impl Backend + 'static) -> Broker {
    let options = BrokerOptions::new();
    Broker::open(Arc::new(backend), options).await.unwrap()
}

fn default() -> LogName {
    LogName::default_log()
}

fn memory() -> impl Future<Output = Broker> {
    broker(Memory::new())
}

async fn values(log: &Handle) -> Vec<String> {
    let records = log.read(log.offsets().start, 1000, 1 << 20).await.unwrap();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    records.iter().map(|record| text(&record.value)).collect()
}

async fn append(log: &Handle, value: &'static str) {
    log.append(Append::new([value])).await.unwrap();
}

#[tokio::test]
async fn logs_are_kept_apart_and_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let broker = broker(Disk::open(directory.path()).unwrap()).await;
        let (names, has_more) = broker.list(None, "", 10).unwrap();
        if round == 0 {
            assert_eq!(names, [name("default")]);
            for log in ["a", "b"] {
                let put = broker.put(&name(log), LogConfig::default()).await.unwrap();
                assert!(put.created);
                append(&broker.log(&name(log)).await.unwrap(), log).await;
            }
        } else {
            assert_eq!(names, ["a", "b", "default"].map(name));
        }
        assert!(!has_more);
        for log in ["a", "b"] {
            assert_eq!(values(&broker.log(&name(log)).await.unwrap()).await, [log]);
        }
        broker.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_log_is_opened_by_its_first_use() {
    let broker = memory().await;
    assert!(broker.try_log(&name("default")).unwrap().is_none());
    let log = broker.log(&name("default")).await.unwrap();
    assert_eq!(
        broker.try_log(&name("default")).unwrap().unwrap().id(),
        log.id()
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error_with_the_nearest() {
    let broker = memory().await;
    let error = broker.log(&name("defaults")).await.unwrap_err();
    let Error::NotFound { log, nearest } = error else {
        panic!("{error:?}");
    };
    assert_eq!((log, nearest), (name("defaults"), Some(name("default"))));
    for error in [
        broker.try_log(&name("x")).unwrap_err(),
        broker.describe(&name("x")).await.unwrap_err(),
        broker.delete(&name("x")).await.unwrap_err(),
        broker.configure(&name("x"), |_| ()).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::NotFound { nearest: None, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn names_are_listed_in_pages_by_their_order() {
    let broker = memory().await;
    for log in ["b", "a-2", "a-1", "a-3", "c"] {
        broker.put(&name(log), LogConfig::default()).await.unwrap();
    }
    let list = |after, prefix, limit| {
        let (names, has_more) = broker.list(after, prefix, limit).unwrap();
        let names = names.iter().map(|name| name.as_str().to_owned());
        (names.collect::<Vec<_>>().join(" "), has_more)
    };
    assert_eq!(
        list(None, "", 9),
        ("a-1 a-2 a-3 b c default".to_owned(), false)
    );
    assert_eq!(list(None, "", 2), ("a-1 a-2".to_owned(), true));
    assert_eq!(list(Some("a-2"), "", 2), ("a-3 b".to_owned(), true));
    assert_eq!(list(None, "a-", 3), ("a-1 a-2 a-3".to_owned(), false));
    assert_eq!(list(Some("a-1"), "a-", 1), ("a-2".to_owned(), true));
    assert_eq!(list(Some("b"), "a-", 3), (String::new(), false));
    assert_eq!(list(Some("A"), "b", 3), ("b".to_owned(), false));
    assert_eq!(list(None, "", 0), (String::new(), true));
}

#[tokio::test]
async fn a_log_that_is_made_again_is_another_one() {
    for backend in [
        Arc::new(Memory::new()) as Arc<dyn Backend>,
        Arc::new(Disk::open(tempfile::tempdir().unwrap().path()).unwrap()),
    ] {
        let broker = Broker::open(backend, BrokerOptions::new()).await.unwrap();
        broker.put(&name("a"), LogConfig::default()).await.unwrap();
        let before = broker.log(&name("a")).await.unwrap();
        append(&before, "old").await;
        let ends = before.ends();
        broker.delete(&name("a")).await.unwrap();
        broker.put(&name("a"), LogConfig::default()).await.unwrap();
        let after = broker.log(&name("a")).await.unwrap();
        assert_ne!(before.id(), after.id());
        assert!(after.offsets().is_empty());
        let error = before.append(Append::new(["lost"])).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        let error = before.read_one(Offset::ZERO).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert!(after.offsets().is_empty());
        let mut ends = ends;
        while ends.changed().await.is_ok() {}
    }
}

#[tokio::test]
async fn the_default_log_cannot_be_deleted() {
    let broker = memory().await;
    let error = broker.delete(&name("default")).await.unwrap_err();
    assert!(matches!(error, Error::DefaultLog));
    broker.log(&name("default")).await.unwrap();
}

#[tokio::test]
async fn a_log_is_created_unasked_only_if_that_is_wanted() {
    let mut config = LogConfig::default();
    config.durability = Durability::Buffered;
    let options = BrokerOptions::new()
        .auto_create(true)
        .log_defaults(config.clone());
    let broker = Broker::open(Arc::new(Memory::new()), options)
        .await
        .unwrap();
    let log = broker.log(&name("new")).await.unwrap();
    assert_eq!(log.meta().config, config);
    assert_eq!(
        broker.log(&name("default")).await.unwrap().meta().config,
        config
    );
}

#[tokio::test]
async fn a_configuration_is_changed_under_handles_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(Disk::open(directory.path()).unwrap()).await;
    let log = broker.log(&name("default")).await.unwrap();
    append(&log, "a").await;
    let id = log.id();
    let log_name = default();
    let meta = broker.configure(&log_name, |config| config.record_bytes_max = 3);
    assert_eq!(meta.await.unwrap().config.record_bytes_max, 3);
    assert_eq!((log.meta().config.record_bytes_max, log.id()), (3, id));
    append(&log, "b").await;
    let error = log.append(Append::new(["long"])).await.unwrap_err();
    assert!(matches!(&error, Error::Log(error) if error.kind() == ErrorKind::TooLarge));
    assert_eq!(values(&log).await, ["a", "b"]);
    assert_eq!(log.read_one(Offset::new(1)).await.unwrap().value, "b");

    let log_name = default();
    let error = broker.configure(&log_name, |config| config.segment_bytes = 0);
    let Error::InvalidConfig(invalid) = error.await.unwrap_err() else {
        panic!("it is valid");
    };
    assert_eq!(invalid.field, "segment_bytes");
    // All of it is replaced.
    let put = broker
        .put(&name("default"), LogConfig::default())
        .await
        .unwrap();
    assert!(!put.created);
    assert_eq!(put.meta.config, LogConfig::default());
    append(&log, "long").await;
}

#[tokio::test]
async fn a_log_is_described_whatever_its_state() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(Disk::open(directory.path()).unwrap()).await;
    let described = broker.describe(&name("default")).await.unwrap();
    assert_eq!(
        described.state,
        State::Open,
        "it was opened to be described"
    );
    assert!(described.recovery.unwrap().clean);
    let log = broker.log(&name("default")).await.unwrap();
    append(&log, "a").await;
    let described = broker.describe(&name("default")).await.unwrap();
    assert_eq!(described.stat.unwrap().offsets, 0..1);
    assert_eq!(described.meta.unwrap().id, log.id());
    assert!(described.failure.is_none());
}

#[tokio::test]
async fn a_closed_broker_does_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(Disk::open(directory.path()).unwrap()).await;
    let log = broker.log(&name("default")).await.unwrap();
    append(&log, "kept").await;
    broker.close().await.unwrap();
    broker.close().await.unwrap();
    for error in [
        broker.log(&name("default")).await.unwrap_err(),
        broker.try_log(&name("default")).unwrap_err(),
        broker.list(None, "", 1).unwrap_err(),
        broker
            .put(&name("new"), LogConfig::default())
            .await
            .unwrap_err(),
        broker
            .put(&name("default"), LogConfig::default())
            .await
            .unwrap_err(),
        broker.delete(&name("default")).await.unwrap_err(),
        broker.describe(&name("default")).await.unwrap_err(),
        log.append(Append::new(["late"])).await.unwrap_err(),
        log.read_one(Offset::ZERO).await.unwrap_err(),
        log.verify().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Closed), "{error:?}");
    }
    let segments = directory.path().join("logs/default/segments");
    let log = proglog_log::ReadOnlyLog::open(segments).unwrap();
    assert_eq!(log.read(0).unwrap().value, "kept");
}

#[tokio::test]
async fn a_single_log_is_the_default_one() {
    let log = MemoryLog::new();
    let broker = broker(Single::new(Arc::new(log.clone())).unwrap()).await;
    append(&broker.log(&name("default")).await.unwrap(), "a").await;
    assert_eq!(log.read(0).unwrap().value, "a");
    let error = broker
        .put(&name("b"), LogConfig::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unsupported {
                operation: "created"
            }
        ),
        "{error:?}"
    );
    assert!(broker.try_log(&name("b")).is_err());
    let log_name = default();
    let error = broker.configure(&log_name, |config| config.segment_bytes = 4096);
    assert!(matches!(
        error.await.unwrap_err(),
        Error::Unsupported { .. }
    ));
    append(&broker.log(&name("default")).await.unwrap(), "b").await;
    broker.close().await.unwrap();
    assert!(log.is_closed());
}

#[tokio::test]
async fn ends_follow_the_log_until_it_is_closed() {
    let broker = memory().await;
    let log = broker.log(&name("default")).await.unwrap();
    let (mut first, mut second) = (log.ends(), log.ends());
    for number in 1..4 {
        append(&log, "a").await;
        for ends in [&mut first, &mut second] {
            let reached = ends
                .wait_for(|offsets| offsets.end == number)
                .await
                .unwrap();
            assert_eq!(reached.start, 0);
        }
    }
    log.trim(Offset::new(2)).await.unwrap();
    first.wait_for(|offsets| offsets.start == 2).await.unwrap();
    drop(second);
    broker.close().await.unwrap();
    while first.changed().await.is_ok() {}
}

#[tokio::test]
async fn a_log_is_verified_and_searched_by_time() {
    let broker = memory().await;
    let log = broker.log(&name("default")).await.unwrap();
    for value in ["a", "bb", "ccc"] {
        append(&log, value).await;
    }
    log.trim(Offset::new(1)).await.unwrap();
    let verified = log.verify().await.unwrap();
    assert_eq!((verified.records, verified.bytes), ((1..3).into(), 5));
    assert!(verified.damaged.is_empty());
    let records = log.read(Offset::new(1), 9, 1 << 20).await.unwrap();
    let time = records[1].appended_at();
    let found = log.offset_for_time(time).await.unwrap();
    assert!(
        records
            .iter()
            .any(|record| record.offset == found && record.appended_at() == time)
    );
}

#[tokio::test]
async fn reads_are_bounded_by_records_and_bytes() {
    let broker = memory().await;
    let log = broker.log(&name("default")).await.unwrap();
    for _ in 0..4 {
        append(&log, "0123456789").await;
    }
    for (from, limit, bytes, count) in [
        (0, 9, 99, 4),
        (0, 2, 99, 2),
        (1, 9, 25, 2),
        (0, 9, 0, 1),
        (0, 1, 99, 1),
        (4, 9, 99, 0),
    ] {
        let read = log.read(Offset::new(from), limit, bytes).await.unwrap();
        assert_eq!(read.len(), count, "{from} {limit} {bytes}");
    }
    let error = log.read(Offset::new(5), 9, 99).await.unwrap_err();
    assert!(matches!(&error, Error::Log(error) if error.kind() == ErrorKind::OutOfRange));
}

#[tokio::test]
async fn an_append_may_wait_for_the_device_in_a_weaker_log() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(Disk::open(directory.path()).unwrap()).await;
    let mut config = LogConfig::default();
    config.durability = Durability::Buffered;
    broker.put(&name("weak"), config).await.unwrap();
    let log = broker.log(&name("weak")).await.unwrap();
    let appended = log.append(Append::new(["a"])).await.unwrap();
    assert_eq!(appended.durability, Durability::Buffered);
    let recovery_point = async || {
        let described = broker.describe(&name("weak")).await.unwrap();
        described.stat.unwrap().recovery_point
    };
    let appended = log.append_synced(Append::new(["b"])).await.unwrap();
    assert_eq!(appended.durability, Durability::Synced);
    assert_eq!(recovery_point().await, 2);
}
