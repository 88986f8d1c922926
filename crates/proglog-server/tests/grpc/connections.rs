//! Connections of HTTP/2: their place among all, and clients that are slow or silent.

use std::time::Duration;

use futures::stream;
use proglog_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::support::{NEVER, SOON};
use crate::{channel, client, consume, info, patient, produce, serve};

/// What a client of HTTP/2 sends first: the preface, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

#[tokio::test]
async fn a_connection_without_a_request_is_closed_whatever_it_has_sent() {
    let (server, _log) = serve(patient().header_timeout(SOON));
    for sent in [&b""[..], b"PRI * HTTP", PREFACE, b"GET / HTT"] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(NEVER, stream.read_to_end(&mut rest)).await;
        // A reset is an end too.
        let _ = ended.expect("the connection is closed");
        assert!(begun.elapsed() >= SOON / 2, "{sent:?}");
    }
}

#[tokio::test]
async fn a_connection_that_had_a_request_may_be_idle() {
    let (server, _log) = serve(patient().header_timeout(SOON));
    let mut client = client(&server).await;
    client.produce(produce("0")).await.unwrap();
    let mut records = client
        .consume_stream(consume(1))
        .await
        .unwrap()
        .into_inner();
    assert!(timeout(SOON * 3, records.message()).await.is_err());
    client.produce(produce("1")).await.unwrap();
    records.message().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_is_busy_while_any_of_its_streams_is() {
    let (server, _log) = serve(patient().connections_max(1));
    let mut first = client(&server).await;
    first.produce(produce("0")).await.unwrap();
    let records = first.consume_stream(consume(0)).await.unwrap();
    let mut records = records.into_inner();
    records.message().await.unwrap().unwrap();
    // A call that begins and ends meanwhile does not make the connection idle.
    first.produce(produce("1")).await.unwrap();
    records.message().await.unwrap().unwrap();
    let mut second = client(&server).await;
    let status = second.produce(produce("2")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(info(&status).reason, "TOO_MANY_CONNECTIONS");
    first.produce(produce("3")).await.unwrap();
    let record = records.message().await.unwrap().unwrap().record.unwrap();
    assert_eq!(record.value, "3");
}

#[tokio::test]
async fn an_idle_connection_gives_its_place_away() {
    let (server, _log) = serve(patient().connections_max(1));
    let mut first = client(&server).await;
    first.produce(produce("0")).await.unwrap();
    let mut second = client(&server).await;
    // The server may still be sending the last of the first response.
    let begun = Instant::now();
    while second.produce(produce("1")).await.is_err() {
        assert!(begun.elapsed() < NEVER);
        second = client(&server).await;
    }
}

#[tokio::test]
async fn a_request_that_does_not_arrive_ends_in_time() {
    let (server, _log) = serve(ServerOptions::new().request_timeout(SOON));
    let channel = channel(&server).await;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<_, ()>::default();
    // A call with one request, which never comes.
    let requests = stream::pending::<proglog_api::v1::ProduceRequest>();
    let path = "/log.v1.Log/Produce".parse().unwrap();
    let call = client.client_streaming(tonic::Request::new(requests), path, codec);
    let status = timeout(NEVER, call).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn streams_beyond_the_limit_of_a_connection_wait_for_their_turn() {
    let (server, log) = serve(patient());
    let mut client = client(&server).await;
    let mut followers = Vec::new();
    for _ in 0..256 {
        let records = client.consume_stream(consume(0)).await.unwrap();
        followers.push(records.into_inner());
    }
    let soon = Duration::from_millis(100);
    assert!(timeout(soon, client.produce(produce("0"))).await.is_err());
    followers.pop();
    client.produce(produce("1")).await.unwrap();
    for follower in &mut followers {
        let record = follower.message().await.unwrap().unwrap().record.unwrap();
        assert_eq!(record.offset, 0);
    }
    assert!(!log.is_empty());
}
