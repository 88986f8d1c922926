//! What surrounds the services: statuses of failures, health, reflection, services that do not exist.

use std::io;
use std::sync::Arc;

use futures::{StreamExt, stream};
use proglog_api::grpc::log::v1::log_client::LogClient;
use proglog_log::{Error, Offset, Reason};
use proglog_store::Operation;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

use crate::support::{HookedLog, SOON, TestServer};
use crate::{channel, client, client_of, consume, info, patient, produce, serve};

/// The statuses of an append to a log that fails for `reason`, and of a read at offset 7.
async fn statuses(reason: Reason) -> [Status; 2] {
    let error = Error::new("secret", reason);
    let log = HookedLog::new(move || Err(error.clone()));
    let (_server, mut client) = client_of(log).await;
    let appended = client.produce(produce("")).await.unwrap_err();
    [appended, client.consume(consume(7)).await.unwrap_err()]
}

#[tokio::test]
async fn every_failure_of_the_log_has_its_code_and_details() {
    let offset = Offset::new(7);
    let io_error = |kind| {
        Reason::Store(proglog_store::Error::Io {
            operation: Operation::Write,
            file: "secret.log".into(),
            source: Arc::new(io::Error::new(kind, "secret message")),
        })
    };
    let corrupt = Reason::Corrupt {
        offset,
        file: "secret.log".into(),
        byte: 8269,
        source: None,
    };
    let poisoned = Reason::Poisoned {
        source: Arc::new(io_error(io::ErrorKind::Other)),
    };
    for (reason, code, name) in [
        (corrupt, Code::DataLoss, "RECORD_CORRUPT"),
        (poisoned, Code::Unavailable, "LOG_POISONED"),
        (Reason::Closed, Code::Unavailable, "LOG_CLOSED"),
        (
            io_error(io::ErrorKind::StorageFull),
            Code::ResourceExhausted,
            "DISK_FULL",
        ),
        (
            io_error(io::ErrorKind::Other),
            Code::Internal,
            "STORAGE_FAILED",
        ),
    ] {
        let [appended, read] = statuses(reason).await;
        for status in [&appended, &read] {
            assert_eq!(status.code(), code, "{status:?}");
            assert_eq!(info(status).reason, name);
            assert!(!format!("{status:?}").contains("secret"), "{status:?}");
            let retry = status.get_details_retry_info();
            assert_eq!(retry.is_some(), name == "LOG_CLOSED");
        }
        assert!(info(&appended).metadata.contains_key("outcome"));
        assert_eq!(info(&read).metadata["offset"], "7");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let log = HookedLog::new(|| panic!("on purpose"));
    let (_server, mut client) = client_of(log).await;
    let status = client.consume(consume(0)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(info(&status).reason, "INTERNAL_ERROR");
}

#[tokio::test]
async fn a_log_that_does_not_answer_in_time_is_a_deadline_that_was_exceeded() {
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    let log = HookedLog::new(move || {
        let _ = opened.lock().unwrap().recv();
        Ok(())
    });
    let server = TestServer::start(patient().request_timeout(SOON), log);
    let mut client = client(&server).await;
    let status = client.produce(produce("")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let info = info(&status);
    assert_eq!(info.reason, "LOG_TIMEOUT");
    assert_eq!(info.metadata["outcome"], "unknown");
    drop(gate);
}

#[tokio::test]
async fn a_service_or_method_that_does_not_exist_is_unimplemented() {
    let (server, _log) = serve(patient());
    let channel = channel(&server).await;
    for path in ["/log.v2.Log/Produce", "/log.v1.Log/Destroy", "/x"] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<_, ()>::default();
        let request = tonic::Request::new(produce(""));
        let path = path.parse().unwrap();
        let status = client.unary(request, path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    }
    LogClient::new(channel).produce(produce("")).await.unwrap();
}

/// The names of the services with a health.
const SERVICES: [&str; 3] = ["", "log.v1.Log", "proglog.v1.Records"];

#[tokio::test]
async fn the_server_is_healthy_until_it_shuts_down() {
    let (mut server, _log) = serve(patient());
    let mut client = HealthClient::new(channel(&server).await);
    let of = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    for service in SERVICES {
        let status = client.check(of(service)).await.unwrap().into_inner();
        assert_eq!(status.status(), ServingStatus::Serving);
    }
    let status = client.check(of("log.v2.Log")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut watched = Vec::new();
    for service in SERVICES {
        let mut statuses = client.watch(of(service)).await.unwrap().into_inner();
        let first = statuses.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving);
        watched.push(statuses);
    }
    let mut unknown = client.watch(of("log.v2.Log")).await.unwrap().into_inner();
    let first = unknown.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    server.shut_down();
    for mut statuses in watched {
        let last = statuses.message().await.unwrap().unwrap();
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert!(statuses.message().await.unwrap().is_none());
    }
    // It does not hold up the shutdown.
    drop(client);
    tokio::task::spawn_blocking(move || server.join())
        .await
        .unwrap();
    drop(unknown);
}

async fn reflect(channel: Channel, request: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let mut client = ServerReflectionClient::new(channel);
    let requests = stream::iter([request]);
    let responses = client.server_reflection_info(requests).await.unwrap();
    let response = responses.into_inner().next().await.unwrap().unwrap();
    response.message_response.unwrap()
}

#[tokio::test]
async fn reflection_knows_all_services() {
    let (server, _log) = serve(patient());
    let channel = channel(&server).await;
    let listed = reflect(channel.clone(), MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = listed else {
        panic!("{listed:?}");
    };
    let mut names: Vec<_> = listed.service.into_iter().map(|it| it.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "log.v1.Log",
            "proglog.v1.Records",
        ]
    );
    let symbol = MessageRequest::FileContainingSymbol("log.v1.Log.Produce".into());
    let MessageResponse::FileDescriptorResponse(found) = reflect(channel, symbol).await else {
        panic!("no descriptor");
    };
    assert_eq!(found.file_descriptor_proto.len(), 1);
}
