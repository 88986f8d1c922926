//! The health service of gRPC: the server serves until it shuts down.

use futures::StreamExt;
use futures::stream;
use proglog_api::grpc::log::v1::log_server;
use proglog_api::grpc::proglog::v1::records_server;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use super::responses::Responses;
use crate::draining::Draining;

/// The services that have a health; the empty name is the server.
const SERVICES: [&str; 3] = ["", log_server::SERVICE_NAME, records_server::SERVICE_NAME];

/// The health of a server.
pub(super) struct Health {
    draining: Draining,
}

impl Health {
    pub(super) fn new(draining: Draining) -> Self {
        Self { draining }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !SERVICES.contains(&&*request.get_ref().service) {
            return Err(Status::not_found("unknown service"));
        }
        let status = if self.draining.has_begun() {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        Ok(Response::new(response(status)))
    }

    type WatchStream = Responses<HealthCheckResponse>;

    /// Stays open during a shutdown, as the protocol has it, until the connection is closed.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = SERVICES.contains(&&*request.get_ref().service);
        let (first, last) = if is_known {
            (ServingStatus::Serving, ServingStatus::NotServing)
        } else {
            (ServingStatus::ServiceUnknown, ServingStatus::ServiceUnknown)
        };
        let begun = self.draining.begun();
        let now = stream::iter([Ok(response(first))]);
        let end = stream::once(async move {
            begun.await;
            Ok(response(last))
        });
        Ok(Response::new(now.chain(end).fuse().boxed()))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
