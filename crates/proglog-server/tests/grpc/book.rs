//! The service `log.v1.Log`.

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, stream};
use proglog_api::v1::{GetServersRequest, ProduceRequest, Record, Server};
use proglog_log::Offset;
use proglog_server::ServerOptions;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{NEVER, TestServer};
use crate::wrapped::Wrapped;
use crate::{client, client_of, consume, info, patient, produce, serve};

#[tokio::test]
async fn a_record_that_was_produced_is_consumed_with_its_offset_and_nothing_more() {
    let (server, _log) = serve(patient());
    let mut client = client(&server).await;
    for offset in 0..3 {
        let response = client.produce(produce("hello")).await.unwrap();
        assert_eq!(response.into_inner().offset, offset);
        let response = client.consume(consume(offset)).await.unwrap();
        let record = Record {
            offset,
            ..Record::new("hello")
        };
        assert_eq!(response.into_inner().record, Some(record));
    }
}

#[tokio::test]
async fn what_the_client_sets_in_a_record_is_kept() {
    let (server, _log) = serve(patient());
    let mut client = client(&server).await;
    let record = Record::new("v")
        .with_key("k")
        .with_header("h", "1")
        .with_timestamp(-5);
    let request = ProduceRequest {
        record: Some(record.clone()),
    };
    client.produce(request).await.unwrap();
    let response = client.consume(consume(0)).await.unwrap();
    assert_eq!(response.into_inner().record, Some(record));
}

#[tokio::test]
async fn a_request_without_a_record_or_with_one_too_large_is_refused() {
    let (server, log) = serve(patient().record_bytes_max(4));
    let mut client = client(&server).await;
    let status = client.produce(ProduceRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(info(&status).reason, "MALFORMED_BODY");
    let status = client.produce(produce("12345")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let info = info(&status);
    assert_eq!(info.reason, "RECORD_TOO_LARGE");
    assert_eq!(info.metadata["bytes"], "5");
    assert_eq!(info.metadata["bytes_max"], "4");
    // What is over the limit on messages does not end the connection.
    let large = Record::new(vec![0; 1 << 20]);
    let request = ProduceRequest {
        record: Some(large),
    };
    let status = client.produce(request).await.unwrap_err();
    let codes = [Code::OutOfRange, Code::ResourceExhausted];
    assert!(codes.contains(&status.code()), "{status:?}");
    assert!(log.is_empty());
    client.produce(produce("1234")).await.unwrap();
}

#[tokio::test]
async fn a_stream_of_records_waits_at_the_end_and_past_it() {
    let (server, log) = serve(patient());
    let mut client = client(&server).await;
    log.append_batch(["0", "1"]).unwrap();
    let all = client.consume_stream(consume(0)).await.unwrap();
    let later = client.consume_stream(consume(4)).await.unwrap();
    let (mut all, mut later) = (all.into_inner(), later.into_inner());
    let mut next = async || all.message().await.unwrap().unwrap().record.unwrap();
    assert_eq!((next().await.value, next().await.offset), ("0".into(), 1));
    log.append_batch(["2", "3", "4"]).unwrap();
    for offset in 2..5 {
        assert_eq!(next().await.offset, offset);
    }
    let first = later.message().await.unwrap().unwrap().record.unwrap();
    assert_eq!((first.offset, first.value), (4, "4".into()));
}

#[tokio::test]
async fn a_stream_from_below_the_start_ends_out_of_range() {
    let (server, log) = serve(patient());
    let mut client = client(&server).await;
    log.append_batch(["0", "1"]).unwrap();
    log.trim(1).unwrap();
    let mut records = client
        .consume_stream(consume(0))
        .await
        .unwrap()
        .into_inner();
    let status = records.message().await.unwrap_err();
    assert_eq!(status.message(), "offset out of range: 0");
}

#[tokio::test]
async fn a_stream_of_requests_is_answered_in_its_order() {
    let (server, log) = serve(patient());
    let mut client = client(&server).await;
    let values: Vec<_> = (0..500).map(|value: u64| value.to_string()).collect();
    let requests = values.clone().into_iter().map(|value| ProduceRequest {
        record: Some(Record::new(value)),
    });
    let responses = client.produce_stream(stream::iter(requests)).await.unwrap();
    let offsets = responses
        .into_inner()
        .map(|response| response.unwrap().offset);
    assert!(offsets.collect::<Vec<_>>().await.into_iter().eq(0..500));
    for (offset, value) in (0..).zip(values) {
        assert_eq!(log.read(Offset::new(offset)).unwrap().value, value);
    }
}

#[tokio::test]
async fn requests_of_a_stream_do_not_wait_for_each_other() {
    let (_server, mut client) = client_of(Wrapped::waiting()).await;
    let requests = stream::iter(["a", "b", "c"].map(produce));
    let responses = client.produce_stream(requests).await.unwrap().into_inner();
    let offsets = responses.map(|response| response.unwrap().offset);
    let offsets = timeout(NEVER, offsets.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(offsets, [0, 1, 2]);
}

#[tokio::test]
async fn a_request_that_is_refused_ends_its_stream_after_the_answers_before_it() {
    let (server, log) = serve(patient().record_bytes_max(4));
    let mut client = client(&server).await;
    let requests = stream::iter(["a", "b", "too large", "c"].map(produce));
    let mut responses = client.produce_stream(requests).await.unwrap().into_inner();
    for offset in 0..2 {
        assert_eq!(responses.message().await.unwrap().unwrap().offset, offset);
    }
    let status = responses.message().await.unwrap_err();
    assert_eq!(info(&status).reason, "RECORD_TOO_LARGE");
    assert_eq!(log.end_offset(), 2, "nothing after it is appended");
}

#[tokio::test]
async fn a_shutdown_ends_streams_after_what_was_taken_is_answered() {
    let (mut server, log) = serve(patient());
    log.append("0").unwrap();
    let mut client = client(&server).await;
    let consumed = client.consume_stream(consume(0)).await.unwrap();
    let mut consumed = consumed.into_inner();
    consumed.message().await.unwrap().unwrap();
    let (mut requests, sent) = mpsc::channel(1);
    let produced = client.produce_stream(sent).await.unwrap();
    let mut produced = produced.into_inner();
    requests.send(produce("1")).await.unwrap();
    assert_eq!(produced.message().await.unwrap().unwrap().offset, 1);
    consumed.message().await.unwrap().unwrap();
    server.shut_down();
    for status in [
        consumed.message().await.unwrap_err(),
        produced.message().await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "draining");
        assert_eq!(info(&status).reason, "DRAINING");
    }
    drop((requests, client));
    tokio::task::spawn_blocking(move || server.join())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_lists_itself_as_the_leader() {
    let servers_of = async |server: &TestServer| {
        let mut client = client(server).await;
        let servers = client.get_servers(GetServersRequest {}).await.unwrap();
        servers.into_inner().servers
    };
    let (server, _log) = serve(patient());
    let own = Server {
        id: "node-1".into(),
        rpc_addr: server.address.to_string(),
        is_leader: true,
    };
    assert_eq!(servers_of(&server).await, [own]);
    let options: ServerOptions = patient().node("a", "a.example:8080");
    let (server, _log) = serve(options);
    let named = Server {
        id: "a".into(),
        rpc_addr: "a.example:8080".into(),
        is_leader: true,
    };
    assert_eq!(servers_of(&server).await, [named]);
}
