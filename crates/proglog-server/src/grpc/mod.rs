//! The gRPC services, as routes beside those of HTTP.

mod book;
mod follow;
mod health;
mod pipeline;
mod records;
mod responses;
pub(crate) mod status;

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use proglog_api::grpc::DESCRIPTORS;
use proglog_api::grpc::log::v1::log_server::LogServer;
use proglog_api::grpc::proglog::v1::records_server::RecordsServer;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::Builder as Reflection;
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::Error;
use crate::state::App;
use book::Book;
use health::Health;
use records::Records;

/// The largest batch in a request, whatever the log takes.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// The bytes that a request may have beside the records in it.
const REQUEST_OVERHEAD_MAX: usize = 64 << 10;

/// Returns the routes of all services. They have no fallback.
pub(crate) fn routes(api: &App) -> Router {
    let book = LogServer::new(Book::new(api.clone()))
        .max_decoding_message_size(api.record_bytes_max.saturating_add(REQUEST_OVERHEAD_MAX));
    let book = Routes::new(book).into_axum_router().reset_fallback();
    let book = book.layer(middleware::map_response(book::number_statuses));
    let health = HealthServer::new(Health::new(api.draining.clone()));
    let reflection = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(HEALTH_DESCRIPTORS)
    };
    let valid = "committed descriptors are valid";
    let records = RecordsServer::new(Records::new(api.clone()))
        .max_decoding_message_size(BATCH_BYTES_MAX + REQUEST_OVERHEAD_MAX);
    let routes = Routes::new(health)
        .add_service(records)
        .add_service(reflection().build_v1().expect(valid))
        .add_service(reflection().build_v1alpha().expect(valid));
    let time = api.request_timeout.saturating_mul(2);
    let in_time = move |request: Request, next: Next| within(time, request, next);
    book.merge(routes.into_axum_router().reset_fallback())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(in_time))
}

/// Bounds the time to the first response, which includes the time that the request takes to arrive. The work that a
/// call has started is not cancelled.
async fn within(time: Duration, request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(time, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let status = Status::deadline_exceeded("the call did not complete in time");
        status.into_http::<Body>().into_response()
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    status::response(&Error::panicked(&*panic))
}
