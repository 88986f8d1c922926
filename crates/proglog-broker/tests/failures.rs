//! Logs that fail, and logs that nobody uses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use proglog_broker::{Broker, BrokerOptions, Error, LogConfig, State};
use proglog_log::{Append, ErrorKind, Offset, Outcome};
use support::{Clock, SimBackend, append, name, sim_broker, until, values};

const SECOND: Duration = Duration::from_secs(1);

async fn state(broker: &Broker, log: &str) -> State {
    broker.describe(&name(log)).await.unwrap().state
}

/// Appends to a log whose next sync fails, and waits until it is closed.
async fn poison(backend: &SimBackend, broker: &Broker, log: &str) {
    let handle = broker.log(&name(log)).await.unwrap();
    backend.fail_sync(log);
    let error = append(&handle, "lost").await.unwrap_err();
    assert_ne!(error.outcome(), Outcome::NotAppended, "{error:?}");
    assert_eq!(state(broker, log).await, State::Poisoned);
    let mut ends = handle.ends();
    drop(handle);
    while ends.changed().await.is_ok() {}
}

/// Returns the time until a log that has failed is tried again.
async fn retry_in(broker: &Broker, log: &str) -> Duration {
    match broker.log(&name(log)).await.unwrap_err() {
        Error::Poisoned { retry_in, .. } | Error::Failed { retry_in, .. } => retry_in,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_failed_sync_heals_by_itself_and_concerns_its_log_alone() {
    let clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a", "b"]).await;
    let (a, b) = (
        broker.log(&name("a")).await.unwrap(),
        broker.log(&name("b")).await.unwrap(),
    );
    append(&a, "kept").await.unwrap();
    poison(&backend, &broker, "a").await;
    for error in [
        append(&a, "refused").await.unwrap_err(),
        a.read_one(Offset::ZERO).await.unwrap_err(),
        broker.log(&name("a")).await.unwrap_err(),
        broker.describe(&name("a")).await.unwrap().failure.unwrap(),
    ] {
        let Error::Poisoned { log, retry_in, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((log, *retry_in), (&name("a"), SECOND));
        assert_eq!(error.outcome(), Outcome::NotAppended);
    }
    assert!(broker.try_log(&name("a")).unwrap().is_none());
    append(&b, "unaffected").await.unwrap();
    let opened = backend.opened();
    clock.advance(SECOND).await;
    until(async || state(&broker, "a").await == State::Open).await;
    assert_eq!(backend.opened(), opened + 1, "nothing asked for it");
    // The same handle goes on.
    append(&a, "after").await.unwrap();
    let kept = values(&a).await;
    assert_eq!(
        (kept.first().unwrap(), kept.last().unwrap()),
        (&"kept".to_owned(), &"after".to_owned())
    );
    assert!(broker.describe(&name("a")).await.unwrap().failure.is_none());
}

#[tokio::test]
async fn a_log_that_fails_again_and_again_is_opened_less_and_less_often() {
    let clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        poison(&backend, &broker, "a").await;
        assert_eq!(retry_in(&broker, "a").await, seconds * SECOND);
        clock.advance(seconds * SECOND).await;
        until(async || broker.log(&name("a")).await.is_ok()).await;
    }
    clock.advance(61 * SECOND).await;
    poison(&backend, &broker, "a").await;
    assert_eq!(
        retry_in(&broker, "a").await,
        SECOND,
        "it was well for a minute"
    );
}

#[tokio::test]
async fn a_log_that_has_failed_and_does_not_open_is_tried_less_and_less_often() {
    let clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    poison(&backend, &broker, "a").await;
    backend.refuse("a", true);
    let opened = backend.opened()..;
    for (opened, seconds) in opened.zip([1, 2, 4, 8, 16, 30, 30]) {
        assert_eq!(retry_in(&broker, "a").await, seconds * SECOND);
        assert_eq!(backend.opened(), opened);
        clock.advance(seconds * SECOND).await;
        until(async || retry_in(&broker, "a").await > Duration::ZERO).await;
        assert_eq!(state(&broker, "a").await, State::Failed);
    }
    backend.refuse("a", false);
    clock.advance(30 * SECOND).await;
    until(async || broker.log(&name("a")).await.is_ok()).await;
}

#[tokio::test]
async fn a_log_that_does_not_open_is_tried_every_30_seconds() {
    let clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a", "b"]).await;
    backend.refuse("a", true);
    for _ in 0..3 {
        assert!(broker.log(&name("a")).await.is_err());
        assert_eq!(retry_in(&broker, "a").await, 30 * SECOND);
        let described = broker.describe(&name("a")).await.unwrap();
        assert_eq!(described.state, State::Failed);
        assert!(described.meta.is_some(), "its description is whole");
        let failure = described.failure.unwrap();
        assert!(
            matches!(&failure, Error::Failed { source, .. } if matches!(**source, Error::MetaLost { .. }))
        );
        let opened = backend.opened();
        clock.advance(30 * SECOND).await;
        until(async || backend.opened() == opened + 1).await;
    }
    append(&broker.log(&name("b")).await.unwrap(), "unaffected")
        .await
        .unwrap();
    backend.refuse("a", false);
    clock.advance(30 * SECOND).await;
    until(async || state(&broker, "a").await == State::Open).await;
}

#[tokio::test]
async fn a_log_that_has_failed_is_mended_by_a_put() {
    let _clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    backend.refuse("a", true);
    assert!(broker.log(&name("a")).await.is_err());
    let put = broker.put(&name("a"), LogConfig::default()).await.unwrap();
    assert!(!put.created);
    append(&broker.log(&name("a")).await.unwrap(), "b")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_no_failure_of_the_log() {
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    let log = broker.log(&name("a")).await.unwrap();
    append(&log, "a").await.unwrap();
    backend.disk("a").set_capacity(Some(0));
    let large = "x".repeat(1 << 20);
    let error = append(&log, &large).await.unwrap_err();
    assert!(
        matches!(&error, Error::Log(error) if error.kind() == ErrorKind::DiskFull),
        "{error:?}"
    );
    assert_eq!(state(&broker, "a").await, State::Open);
    backend.disk("a").set_capacity(None);
    append(&log, "b").await.unwrap();
    assert_eq!(values(&log).await, ["a", "b"]);
}

#[tokio::test]
async fn a_log_is_closed_once_it_was_unused_for_long() {
    let clock = Clock::stop();
    let options = BrokerOptions::new().idle_close(80 * SECOND);
    let (backend, broker) = sim_broker(options, &["a", "b"]).await;
    let log = broker.log(&name("a")).await.unwrap();
    append(&log, "a").await.unwrap();
    let followed = broker.log(&name("b")).await.unwrap();
    let ends = followed.ends();
    drop(followed);
    for _ in 0..20 {
        clock.advance(10 * SECOND).await;
        assert_eq!(backend.open(), 2, "both are in use");
    }
    drop(log);
    for _ in 0..6 {
        clock.advance(10 * SECOND).await;
        assert_eq!(backend.open(), 2, "it was in use shortly before");
    }
    for _ in 0..2 {
        clock.advance(10 * SECOND).await;
    }
    until(async || backend.open() == 1).await;
    assert!(broker.try_log(&name("a")).unwrap().is_none());
    let described = broker.describe(&name("a")).await.unwrap();
    assert_eq!(
        (described.state, described.stat.unwrap().offsets),
        (State::Idle, (0..1).into())
    );
    assert_eq!(backend.open(), 1, "describing it does not open it");
    drop(ends);
    for _ in 0..10 {
        clock.advance(10 * SECOND).await;
    }
    until(async || backend.open() == 0).await;
    let log = broker.log(&name("a")).await.unwrap();
    assert_eq!(values(&log).await, ["a"]);
    assert_eq!(append(&log, "b").await.unwrap(), 1);
}

#[tokio::test]
async fn of_too_many_open_logs_the_one_unused_for_longest_is_closed() {
    let clock = Clock::stop();
    let names = ["a", "b", "c", "d"];
    let (backend, broker) = sim_broker(BrokerOptions::new().open_max(2), &names).await;
    let is_open = |log: &str| broker.try_log(&name(log)).unwrap().is_some();
    for log in ["a", "b"] {
        drop(broker.log(&name(log)).await.unwrap());
        clock.advance(SECOND).await;
    }
    assert!(is_open("a"), "which is a use");
    clock.advance(SECOND).await;
    drop(broker.log(&name("c")).await.unwrap());
    assert_eq!(backend.open(), 2);
    assert!(is_open("a") && !is_open("b") && is_open("c"));

    // Those in use stay.
    let used = [
        broker.log(&name("a")).await.unwrap(),
        broker.log(&name("c")).await.unwrap(),
    ];
    let third = broker.log(&name("d")).await.unwrap();
    assert_eq!(backend.open(), 3, "all are in use");
    append(&third, "d").await.unwrap();
    drop((used, third));
    drop(broker.log(&name("b")).await.unwrap());
    drop(broker.log(&name("default")).await.unwrap());
    assert!(backend.open() <= 3);
    for log in names {
        append(&broker.log(&name(log)).await.unwrap(), "e")
            .await
            .unwrap();
    }
    assert_eq!(
        values(&broker.log(&name("d")).await.unwrap()).await,
        ["d", "e"]
    );
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_log_works_after_it() {
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    backend.panic_at_opening(true);
    for _ in 0..100 {
        let error = broker.log(&name("a")).await.unwrap_err();
        assert!(matches!(error, Error::Panicked), "{error:?}");
    }
    backend.panic_at_opening(false);
    append(&broker.log(&name("a")).await.unwrap(), "a")
        .await
        .unwrap();
    broker.close().await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_slow_opening_gives_up_and_leaves_it_alone() {
    let clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a", "b"]).await;
    let release = backend.hold_opening();
    let waiting = [
        tokio::spawn({
            let broker = broker.clone();
            async move { broker.log(&name("a")).await.map(drop) }
        }),
        tokio::spawn({
            let broker = broker.clone();
            async move { broker.describe(&name("a")).await.map(drop) }
        }),
        tokio::spawn({
            let broker = broker.clone();
            async move { broker.delete(&name("a")).await }
        }),
    ];
    until(async || backend.opened() == 1).await;
    // Meanwhile the others are not held up.
    append(&broker.log(&name("b")).await.unwrap(), "b")
        .await
        .unwrap();
    clock.advance(5 * SECOND).await;
    for waiting in waiting {
        let error = waiting.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, Error::Timeout { log } if *log == name("a")),
            "{error:?}"
        );
    }
    drop(release);
    append(&broker.log(&name("a")).await.unwrap(), "a")
        .await
        .unwrap();
    assert_eq!(backend.opened(), 2, "it was opened once");
}

#[tokio::test]
async fn an_opening_goes_on_though_nothing_waits_for_it() {
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    let release = backend.hold_opening();
    let opening = tokio::spawn({
        let broker = broker.clone();
        async move { broker.log(&name("a")).await.map(drop) }
    });
    until(async || backend.opened() == 1).await;
    opening.abort();
    drop(release);
    until(async || broker.try_log(&name("a")).unwrap().is_some()).await;
}

#[tokio::test]
async fn closing_keeps_what_was_taken() {
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    let log = broker.log(&name("a")).await.unwrap();
    let appends = (0..100).map(|number| {
        let log = log.clone();
        tokio::spawn(async move { log.append(Append::new([number.to_string()])).await })
    });
    let appends = appends.collect::<Vec<_>>();
    tokio::task::yield_now().await;
    broker.close().await.unwrap();
    let mut kept = 0;
    for append in appends {
        match append.await.unwrap() {
            Ok(_) => kept += 1,
            Err(error) => assert!(matches!(error, Error::Closed), "{error:?}"),
        }
    }
    assert_eq!(backend.open(), 0);
    let broker = Broker::open(Arc::new(backend.lose_power()), BrokerOptions::new());
    let log = broker.await.unwrap().log(&name("a")).await.unwrap();
    assert_eq!(log.offsets().end, kept);
}

#[tokio::test]
async fn a_log_that_vanishes_is_not_found_and_can_be_made_again() {
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a", "default"]).await;
    for log in ["a", "default"] {
        proglog_broker::Backend::remove(&backend, &name(log)).unwrap();
        let error = broker.log(&name(log)).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert!(
            broker
                .put(&name(log), LogConfig::default())
                .await
                .unwrap()
                .created
        );
        append(&broker.log(&name(log)).await.unwrap(), "a")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_retention_applies_at_once_and_does_not_open_the_log_again() {
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    let a = name("a");
    let configure = |change: fn(&mut LogConfig)| broker.configure(&a, change);
    configure(|config| config.segment_bytes = 1024)
        .await
        .unwrap();
    let log = broker.log(&a).await.unwrap();
    for _ in 0..20 {
        append(&log, &"x".repeat(300)).await.unwrap();
    }
    let (opened, mut ends) = (backend.opened(), log.ends());
    let meta = configure(|config| config.retention.records = Some(1))
        .await
        .unwrap();
    assert_eq!(log.meta(), meta);
    ends.wait_for(|offsets| offsets.start > 10).await.unwrap();
    assert_eq!(backend.opened(), opened);
    configure(|config| config.record_bytes_max = 1000)
        .await
        .unwrap();
    assert_eq!(backend.opened(), opened + 1);
    // It is stored, too.
    broker.close().await.unwrap();
    let broker = Broker::open(Arc::new(backend.lose_power()), BrokerOptions::new());
    let config = broker
        .await
        .unwrap()
        .log(&a)
        .await
        .unwrap()
        .meta()
        .config
        .clone();
    assert_eq!(
        (config.retention.records, config.record_bytes_max),
        (Some(1), 1000)
    );
}

#[tokio::test]
async fn a_retention_of_a_log_that_has_failed_is_stored_and_opens_it_again() {
    let _clock = Clock::stop();
    let (backend, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    let log = broker.log(&name("a")).await.unwrap();
    // It is poisoned, which nobody knows.
    backend.fail_sync("a");
    drop(tokio::spawn({
        let log = log.clone();
        async move { append(&log, "lost").await }
    }));
    let opened = backend.opened();
    until(async || broker.describe(&name("a")).await.unwrap().state == State::Poisoned).await;
    let a = name("a");
    let meta = broker
        .configure(&a, |config| config.retention.records = Some(1))
        .await
        .unwrap();
    assert_eq!(backend.opened(), opened + 1);
    assert_eq!(log.meta(), meta);
    append(&log, "after").await.unwrap();
}

#[tokio::test]
async fn an_append_that_waits_for_the_device_goes_on_though_its_future_is_dropped() {
    let (_, broker) = sim_broker(BrokerOptions::new(), &["a"]).await;
    let a = name("a");
    broker
        .configure(&a, |config| config.segment_bytes = 1024)
        .await
        .unwrap();
    let log = broker.log(&a).await.unwrap();
    let value = "x".repeat(300);
    for number in 0..20 {
        // Some begin a new segment, which they have to wait for.
        let mut dropped = Box::pin(append(&log, &value));
        let mut context = Context::from_waker(Waker::noop());
        _ = dropped.as_mut().poll(&mut context);
        drop(dropped);
        until(async || {
            let stat = broker.describe(&a).await.unwrap().stat.unwrap();
            stat.assigned_end == 2 * number + 1
        })
        .await;
        assert_eq!(append(&log, "after").await.unwrap(), 2 * number + 1);
    }
}
