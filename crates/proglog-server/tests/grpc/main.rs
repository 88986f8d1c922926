//! gRPC over a real listener, with clients of tonic and with bare HTTP/2.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod book;
mod connections;
mod records;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod wire;
mod wrapped;

use std::sync::Arc;

use proglog_api::grpc::log::v1::log_client::LogClient;
use proglog_api::v1::{ConsumeRequest, ProduceRequest, Record};
use proglog_log::{CommitLog, MemoryLog};
use proglog_server::ServerOptions;
use support::{NEVER, TestServer};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::{ErrorInfo, StatusExt};

/// Timeouts that no test reaches unless it sets one.
fn patient() -> ServerOptions {
    ServerOptions::new()
        .request_timeout(NEVER * 2)
        .header_timeout(NEVER * 2)
        .shutdown_timeout(NEVER * 2)
}

fn serve(options: ServerOptions) -> (TestServer, MemoryLog) {
    let log = MemoryLog::new();
    (TestServer::start(options, Arc::new(log.clone())), log)
}

/// A connection to a server, for clients.
async fn channel(server: &TestServer) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    endpoint.connect().await.unwrap()
}

async fn client(server: &TestServer) -> LogClient<Channel> {
    LogClient::new(channel(server).await)
}

/// A server for `log`, and a client of it.
async fn client_of(log: Arc<dyn CommitLog>) -> (TestServer, LogClient<Channel>) {
    let server = TestServer::start(patient(), log);
    let client = client(&server).await;
    (server, client)
}

fn produce(value: &'static str) -> ProduceRequest {
    ProduceRequest {
        record: Some(Record::new(value)),
    }
}

fn consume(offset: u64) -> ConsumeRequest {
    ConsumeRequest { offset }
}

/// The reason and the facts in the details of a status.
fn info(status: &Status) -> ErrorInfo {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no details: {status:?}"));
    assert_eq!(info.domain, "proglog");
    info
}
