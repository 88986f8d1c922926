//! The service `proglog.v1.Records`.

use futures::{StreamExt, stream};
use proglog_api::grpc::proglog::v1::records_client::RecordsClient;
use proglog_api::proglog::v1::read_request::Start;
use proglog_api::proglog::v1::{AppendRequest, Durability, OffsetRange, ReadRequest, ReadResponse};
use proglog_api::v1::{Producer, Record};
use proglog_log::{Error, MemoryLog, Reason};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{NEVER, SOON, TestServer};
use crate::wrapped::Wrapped;
use crate::{channel, info, patient, serve};

type Client = RecordsClient<Channel>;

async fn started() -> (TestServer, MemoryLog, Client) {
    let (server, log) = serve(patient());
    let client = RecordsClient::new(channel(&server).await);
    (server, log, client)
}

fn append(values: &[&'static str]) -> AppendRequest {
    AppendRequest {
        log: "default".into(),
        records: values.iter().copied().map(Record::new).collect(),
        ..AppendRequest::default()
    }
}

fn read(start: impl Into<Option<Start>>) -> ReadRequest {
    ReadRequest {
        log: "default".into(),
        start: start.into(),
        ..ReadRequest::default()
    }
}

fn values(page: &ReadResponse) -> Vec<&[u8]> {
    page.records.iter().map(|record| &*record.value).collect()
}

/// Asserts the code of a status and the reason in its details.
#[track_caller]
fn assert_status(status: &Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(info(status).reason, reason);
}

#[tokio::test]
async fn a_batch_that_was_appended_is_read() {
    let (_server, _log, mut client) = started().await;
    let response = client.append(append(&["a", "b"])).await.unwrap();
    let appended = response.into_inner();
    assert_eq!((appended.start_offset, appended.end_offset), (0, 2));
    assert!(!appended.duplicate);
    assert_ne!(appended.durability(), Durability::Unspecified);
    let page = client.read(read(None)).await.unwrap().into_inner();
    assert_eq!(values(&page), [b"a", b"b"]);
    assert_eq!(
        (page.next_offset, page.start_offset, page.end_offset),
        (2, 0, 2)
    );
    for (offset, record) in (0..).zip(&page.records) {
        assert_eq!(record.offset, offset);
        assert!(record.appended_at > 0);
    }
}

#[tokio::test]
async fn an_append_that_expects_another_end_is_aborted() {
    let (_server, log, mut client) = started().await;
    client.append(append(&["a"])).await.unwrap();
    let at = |offset| AppendRequest {
        expected_offset: Some(offset),
        ..append(&["b"])
    };
    let status = client.append(at(0)).await.unwrap_err();
    assert_status(&status, Code::Aborted, "END_MOVED");
    let facts = info(&status).metadata;
    assert_eq!(facts["expected_offset"], "0");
    assert_eq!(facts["end_offset"], "1");
    assert_eq!(facts["outcome"], "not_appended");
    assert_eq!(log.len(), 1);
    client.append(at(1)).await.unwrap();
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let (_server, log, mut client) = started().await;
    let invalid = Code::InvalidArgument;
    let status = client.append(append(&[])).await.unwrap_err();
    assert_status(&status, invalid, "MALFORMED_BODY");
    let many = vec!["x"; 10_001];
    let status = client.append(append(&many)).await.unwrap_err();
    assert_status(&status, invalid, "BATCH_TOO_LARGE");
    let request = AppendRequest {
        producer: Some(Producer {
            id: "not valid".into(),
            ..Producer::default()
        }),
        ..append(&["x"])
    };
    let status = client.append(request).await.unwrap_err();
    assert_status(&status, invalid, "MALFORMED_PRODUCER");
    for (name, code, reason) in [
        ("", invalid, "MALFORMED_NAME"),
        ("../x", invalid, "MALFORMED_NAME"),
        ("defaults", Code::NotFound, "LOG_NOT_FOUND"),
    ] {
        let request = AppendRequest {
            log: name.into(),
            ..append(&["x"])
        };
        let status = client.append(request).await.unwrap_err();
        assert_status(&status, code, reason);
        let request = ReadRequest {
            log: name.into(),
            ..read(None)
        };
        let status = client.read(request.clone()).await.unwrap_err();
        assert_status(&status, code, reason);
        let status = client.follow(request).await.unwrap_err();
        assert_status(&status, code, reason);
        if code == Code::NotFound {
            assert_eq!(info(&status).metadata["nearest"], "default");
        }
    }
    for request in [
        ReadRequest {
            limit: 10_001,
            ..read(None)
        },
        ReadRequest {
            bytes: (16 << 20) + 1,
            ..read(None)
        },
        ReadRequest {
            wait_ms: 60_001,
            ..read(None)
        },
    ] {
        let status = client.read(request).await.unwrap_err();
        assert_status(&status, invalid, "MALFORMED_BODY");
    }
    assert!(log.is_empty());
}

#[tokio::test]
async fn a_stream_of_batches_is_answered_in_its_order() {
    let (_server, log, mut client) = started().await;
    let requests = stream::iter((0..300).map(|_| append(&["a", "b"])));
    let responses = client.append_stream(requests).await.unwrap().into_inner();
    let offsets = responses.map(|response| {
        let response = response.unwrap();
        (response.start_offset, response.end_offset)
    });
    let offsets: Vec<_> = offsets.collect().await;
    assert!(offsets.into_iter().eq((0..300).map(|n| (2 * n, 2 * n + 2))));
    assert_eq!(log.len(), 600);
}

#[tokio::test]
async fn batches_of_a_stream_do_not_wait_for_each_other() {
    let server = TestServer::start(patient(), Wrapped::waiting());
    let mut client = RecordsClient::new(channel(&server).await);
    let requests = stream::iter(["a", "b", "c"].map(|value| append(&[value])));
    let responses = client.append_stream(requests).await.unwrap().into_inner();
    let count = timeout(NEVER, responses.map(|response| response.unwrap()).count());
    assert_eq!(count.await.unwrap(), 3);
}

#[tokio::test]
async fn a_batch_that_is_refused_ends_its_stream() {
    let (_server, log, mut client) = started().await;
    let late = AppendRequest {
        expected_offset: Some(0),
        ..append(&["b"])
    };
    let requests = stream::iter([append(&["a"]), late, append(&["c"])]);
    let mut responses = client.append_stream(requests).await.unwrap().into_inner();
    assert_eq!(responses.message().await.unwrap().unwrap().end_offset, 1);
    let status = responses.message().await.unwrap_err();
    assert_status(&status, Code::Aborted, "END_MOVED");
    assert_eq!(log.len(), 1, "nothing after it is appended");
}

#[tokio::test]
async fn a_batch_of_a_producer_that_is_sent_again_is_not_appended_again() {
    let (_server, log, mut client) = started().await;
    let batch = |sequence| AppendRequest {
        producer: Some(Producer {
            id: "p".into(),
            epoch: 0,
            sequence,
            count: 0,
        }),
        ..append(&["a", "b"])
    };
    let requests = stream::iter([batch(0), batch(2), batch(0), batch(9)]);
    let mut responses = client.append_stream(requests).await.unwrap().into_inner();
    for (start, duplicate) in [(0, false), (2, false), (0, true)] {
        let response = responses.message().await.unwrap().unwrap();
        assert_eq!(
            (response.start_offset, response.duplicate),
            (start, duplicate)
        );
        assert_eq!(response.end_offset, start + 2);
    }
    let status = responses.message().await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, "PRODUCER_GAP");
    assert_eq!(info(&status).metadata["expected_sequence"], "4");
    let status = client.append(batch(3)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, "PRODUCER_OVERLAP");
    assert_eq!(log.len(), 4);
    // Readers do not see the producer.
    let page = client.read(read(None)).await.unwrap().into_inner();
    assert!(page.records.iter().all(|record| record.producer.is_none()));
}

#[tokio::test]
async fn a_read_begins_where_it_is_to_begin() {
    let (_server, log, mut client) = started().await;
    client.append(append(&["0", "1", "2"])).await.unwrap();
    log.trim(1).unwrap();
    let far = i64::MAX;
    for (start, expected) in [
        (None, &["1", "2"][..]),
        (Some(Start::Offset(2)), &["2"]),
        (Some(Start::Offset(3)), &[]),
        (Some(Start::Last(1)), &["2"]),
        (Some(Start::Last(9)), &["1", "2"]),
        (Some(Start::End(true)), &[]),
        (Some(Start::End(false)), &["1", "2"]),
        (Some(Start::Time(0)), &["1", "2"]),
        (Some(Start::Time(far)), &[]),
    ] {
        let page = client.read(read(start)).await.unwrap().into_inner();
        let expected: Vec<_> = expected.iter().map(|value| value.as_bytes()).collect();
        assert_eq!(values(&page), expected, "{start:?}");
        assert_eq!(page.next_offset, 3, "{start:?}");
    }
    let limited = ReadRequest {
        limit: 1,
        ..read(None)
    };
    let page = client.read(limited).await.unwrap().into_inner();
    assert_eq!((values(&page), page.next_offset), (vec![&b"1"[..]], 2));
    for (offset, reason, nearest) in [(0, "RECORD_TRIMMED", 2), (9, "BEYOND_END", 0)] {
        let outside = read(Start::Offset(offset));
        for status in [
            client.read(outside.clone()).await.unwrap_err(),
            client.follow(outside.clone()).await.unwrap_err(),
        ] {
            assert_status(&status, Code::OutOfRange, reason);
            assert_eq!(info(&status).metadata["end_offset"], "3");
        }
        let clamped = ReadRequest {
            clamp: true,
            ..outside
        };
        let page = client.read(clamped).await.unwrap().into_inner();
        assert_eq!(page.records.len(), nearest);
    }
}

#[tokio::test]
async fn a_read_at_the_end_waits_for_a_record() {
    let (_server, log, mut client) = started().await;
    let waiting = ReadRequest {
        wait_ms: 60_000,
        ..read(None)
    };
    let mut reader = client.clone();
    let mut page = tokio::spawn(async move { reader.read(waiting).await });
    assert!(timeout(SOON / 3, &mut page).await.is_err());
    log.append("a").unwrap();
    let page = page.await.unwrap().unwrap().into_inner();
    assert_eq!(values(&page), [b"a"]);
    let briefly = ReadRequest {
        wait_ms: 1,
        ..read(Start::End(true))
    };
    let page = client.read(briefly).await.unwrap().into_inner();
    assert!(page.records.is_empty());
}

#[tokio::test]
async fn a_follower_gets_what_is_appended() {
    let (mut server, log, mut client) = started().await;
    log.append("0").unwrap();
    let mut pages = client.follow(read(None)).await.unwrap().into_inner();
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!((values(&page), page.next_offset), (vec![&b"0"[..]], 1));
    assert!(timeout(SOON / 3, pages.message()).await.is_err());
    client.append(append(&["1", "2"])).await.unwrap();
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!(
        (values(&page), page.next_offset),
        (vec![&b"1"[..], b"2"], 3)
    );
    server.shut_down();
    let status = pages.message().await.unwrap_err();
    assert_status(&status, Code::Unavailable, "DRAINING");
    assert_eq!(status.message(), "draining");
}

#[tokio::test]
async fn a_follower_whose_records_are_trimmed_ends_or_goes_on_at_the_start() {
    // The first read comes after a trim.
    let log = || Wrapped::reading(|inner, _| inner.trim(2));
    for clamp in [false, true] {
        let server = TestServer::start(patient(), log());
        let mut client = RecordsClient::new(channel(&server).await);
        client.append(append(&["0", "1", "2"])).await.unwrap();
        let request = ReadRequest {
            clamp,
            ..read(Start::Offset(1))
        };
        let mut pages = client.follow(request).await.unwrap().into_inner();
        let page = pages.message().await;
        if clamp {
            assert_eq!(values(&page.unwrap().unwrap()), [b"2"]);
        } else {
            assert_status(&page.unwrap_err(), Code::OutOfRange, "RECORD_TRIMMED");
        }
    }
}

#[tokio::test]
async fn damaged_records_are_left_out_if_the_client_wants() {
    let log = Wrapped::reading(|_, offset| {
        let reason = Reason::Corrupt {
            offset,
            file: "secret.log".into(),
            byte: 8269,
            source: None,
        };
        let is_damaged = offset == 1;
        is_damaged
            .then(|| Error::new("wrapped", reason))
            .map_or(Ok(()), Err)
    });
    let server = TestServer::start(patient(), log);
    let mut client = RecordsClient::new(channel(&server).await);
    client.append(append(&["0", "1", "2"])).await.unwrap();
    let request = read(Start::Offset(1));
    let skipping = ReadRequest {
        skip_damaged: true,
        ..request.clone()
    };
    let left_out = [OffsetRange { start: 1, end: 2 }];
    let status = client.read(request.clone()).await.unwrap_err();
    assert_status(&status, Code::DataLoss, "RECORD_CORRUPT");
    let page = client.read(skipping.clone()).await.unwrap().into_inner();
    assert_eq!(
        (values(&page), &*page.damaged),
        (vec![&b"2"[..]], &left_out[..])
    );
    let mut pages = client.follow(skipping).await.unwrap().into_inner();
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!((&*page.damaged, page.next_offset), (&left_out[..], 2));
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!(values(&page), [b"2"]);
    let pages = client.follow(request).await.unwrap();
    let status = pages.into_inner().message().await.unwrap_err();
    assert_status(&status, Code::DataLoss, "RECORD_CORRUPT");
}
