//! Bytes on the wire: those of the book, and HTTP/2 without gRPC.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{HeaderMap, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tonic_types::pb;

use crate::support::TestServer;
use crate::{patient, serve};

type Sender = SendRequest<Full<Bytes>>;

async fn connect(server: &TestServer) -> Sender {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = connected.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a message to a method of the book's service. Returns the message of the response, and its headers and trailers.
async fn call(sender: &mut Sender, method: &str, message: &[u8]) -> (Vec<u8>, HeaderMap) {
    let request = Request::post(format!("http://localhost/log.v1.Log/{method}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    let request = request.body(Full::from(body)).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/grpc");
    let (head, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let mut headers = head.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    let body = collected.to_bytes();
    let message = body.get(5..).unwrap_or_default().to_vec();
    if !body.is_empty() {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        assert_eq!(body[..5], [&[0], &length[..]].concat());
    }
    (message, headers)
}

#[tokio::test]
async fn the_service_speaks_the_bytes_of_the_book() {
    let (server, log) = serve(patient());
    log.append_batch(vec!["before"; 300]).unwrap();
    let mut sender = connect(&server).await;
    // ProduceRequest { record = 1: Record { value = 1 } } -> ProduceResponse { offset = 1 }
    let hello = [0x0a, 7, 0x0a, 5, b'h', b'e', b'l', b'l', b'o'];
    let (response, headers) = call(&mut sender, "Produce", &hello).await;
    assert_eq!(response, [0x08, 0xac, 0x02]);
    assert_eq!(headers["grpc-status"], "0");
    // ConsumeRequest { offset = 1 } -> ConsumeResponse { record = 2: Record { value = 1, offset = 2 } }
    let (response, _) = call(&mut sender, "Consume", &[0x08, 0xac, 0x02]).await;
    let record = [0x0a, 5, b'h', b'e', b'l', b'l', b'o', 0x10, 0xac, 0x02];
    assert_eq!(response, [&[0x12, 10], &record[..]].concat());
    // GetServersResponse { servers = 1: Server { id = 1, rpc_addr = 2, is_leader = 3 } }
    let (response, _) = call(&mut sender, "GetServers", &[]).await;
    let address = server.address.to_string();
    let server = [
        &[0x0a, 6],
        &b"node-1"[..],
        &[0x12, u8::try_from(address.len()).unwrap()],
        address.as_bytes(),
        &[0x18, 1],
    ]
    .concat();
    let length = u8::try_from(server.len()).unwrap();
    assert_eq!(response, [&[0x0a, length], &server[..]].concat());
}

/// Asserts that a status is the one that the book sends for an offset without a record.
#[track_caller]
fn assert_out_of_range(headers: &HeaderMap, offset: u64) {
    assert_eq!(headers["grpc-status"], "404");
    let message = format!("offset%20out%20of%20range:%20{offset}");
    assert_eq!(headers["grpc-message"], message);
    let details = headers["grpc-status-details-bin"].to_str().unwrap();
    let details = base64(details);
    let status = pb::Status::decode(&details[..]).unwrap();
    assert_eq!(status.code, 404);
    assert_eq!(status.message, format!("offset out of range: {offset}"));
    let [detail] = &status.details[..] else {
        panic!("{status:?}");
    };
    assert_eq!(
        detail.type_url,
        "type.googleapis.com/google.rpc.LocalizedMessage"
    );
    let localized = pb::LocalizedMessage::decode(&detail.value[..]).unwrap();
    let text = format!("The requested offset is outside the log's range: {offset}");
    assert_eq!((&*localized.locale, localized.message), ("en-US", text));
}

/// Decodes what tonic encodes, by the reader of a binary header.
fn base64(text: &str) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    headers.insert("x-bin", text.parse().unwrap());
    let metadata = tonic::metadata::MetadataMap::from_headers(headers);
    let value = metadata.get_bin("x-bin").unwrap();
    value.to_bytes().unwrap().to_vec()
}

#[tokio::test]
async fn an_offset_out_of_range_has_the_status_of_the_book() {
    let (server, log) = serve(patient());
    log.append_batch(["0", "1"]).unwrap();
    log.trim(1).unwrap();
    let mut sender = connect(&server).await;
    let (response, headers) = call(&mut sender, "Consume", &[0x08, 2]).await;
    assert!(response.is_empty());
    assert_out_of_range(&headers, 2);
    let (_, headers) = call(&mut sender, "Consume", &[]).await;
    assert_out_of_range(&headers, 0);
    let (_, trailers) = call(&mut sender, "ConsumeStream", &[]).await;
    assert_out_of_range(&trailers, 0);
    // No other status gets that number.
    let (_, headers) = call(&mut sender, "Produce", &[]).await;
    assert_eq!(headers["grpc-status"], "3");
}

#[tokio::test]
async fn the_calls_of_http_are_served_over_http_2_too() {
    let (server, _log) = serve(patient());
    let mut sender = connect(&server).await;
    let mut send = async |request: Request<&'static str>| {
        let request = request.map(Full::from);
        let response: Response<_> = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let post = Request::post("http://localhost/").body(r#"{"record":"aGVsbG8="}"#);
    let answer = send(post.unwrap()).await;
    assert_eq!(answer, (StatusCode::OK, r#"{"offset":0}"#.into()));
    let get = Request::get("http://localhost/?offset=0").body("");
    let answer = send(get.unwrap()).await;
    assert_eq!(answer, (StatusCode::OK, r#"{"record":"aGVsbG8="}"#.into()));
    let unknown = Request::get("http://localhost/unknown").body("");
    let (status, problem) = send(unknown.unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem.contains("unknown_path"), "{problem}");
}
