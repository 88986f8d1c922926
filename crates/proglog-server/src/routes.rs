//! Paths and handlers of the two calls.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proglog_api::{json, v1};
use proglog_log::{CommitLog, ReadLog};
use prost::Message;
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

use crate::error::Error;
use crate::extract::{Consume, Format, Produce, refuse};
use crate::grpc::{self, status};
use crate::options::ServerOptions;
use crate::state::Api;

/// The log: append with POST, read with GET.
const ROOT: &str = "/";

/// Returns a router for the calls on `log`, with the default [`ServerOptions`].
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use proglog_log::MemoryLog;
///
/// let app = axum::Router::new()
///     .nest_service("/log", proglog_server::router(Arc::new(MemoryLog::new())));
/// # let _: axum::Router = app;
/// ```
pub fn router(log: Arc<dyn CommitLog>) -> Router {
    ServerOptions::new().router(log)
}

impl ServerOptions {
    /// Returns a router for the calls on `log`, to serve or to nest in another service. It applies the
    /// request timeout and the limit on records; the limits on connections apply in
    /// [`serve`](ServerOptions::serve) alone.
    ///
    /// Calls into the log run on threads of their own. An append then waits for its
    /// durability without a thread. The router needs a tokio runtime with its timer enabled.
    pub fn router(&self, log: Arc<dyn CommitLog>) -> Router {
        calls_on(Api::new(log, self))
    }

    /// Returns a router that serves reads of `log` alone, such as a
    /// [`ReadOnlyLog`](proglog_log::ReadOnlyLog) beside the process that writes it. An append is answered
    /// with status 403 and code `read_only`. Otherwise like [`router`](ServerOptions::router).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use proglog_log::{Log, LogOptions, ReadOnlyLog};
    /// use proglog_server::ServerOptions;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = Log::open(directory.path(), &LogOptions::new())?;
    /// let log = ReadOnlyLog::open(directory.path())?;
    /// let app = ServerOptions::new().read_only_router(Arc::new(log));
    /// # let _: axum::Router = app;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_only_router(&self, log: Arc<dyn ReadLog>) -> Router {
        calls_on(Api::read_only(log, self))
    }
}

/// Returns a router for the calls on the log of `api`, over HTTP and gRPC.
pub(crate) fn calls_on(api: Api) -> Router {
    let grpc = grpc::routes(&api).with_state(());
    Router::new()
        .route(ROOT, get(consume).post(produce))
        .merge(grpc)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span_of)
                .on_request(())
                .on_response(answered)
                // Failures are logged where they occur.
                .on_failure(()),
        )
        .with_state(api)
}

async fn produce(State(api): State<Api>, request: Produce) -> Result<Response, Error> {
    let appended = api.append(request.record.into()).await;
    let offset = appended.map_err(Error::Append)?.get();
    Ok(match request.answer {
        Format::Json => json_answer(&json::ProduceResponse { offset }),
        format @ Format::Protobuf(_) => protobuf_answer(format, &v1::ProduceResponse { offset }),
    })
}

async fn consume(State(api): State<Api>, request: Consume) -> Result<Response, Error> {
    let offset = request.offset;
    let read = api.read(offset).await;
    let record = read.map_err(|failure| Error::Read { offset, failure })?;
    Ok(match request.answer {
        Format::Json => json_answer(&json::ConsumeResponse {
            record: record.value,
        }),
        format @ Format::Protobuf(_) => {
            let record = Some(record.into());
            protobuf_answer(format, &v1::ConsumeResponse { record })
        }
    })
}

async fn unknown_path(State(api): State<Api>, request: Request) -> Response {
    if status::is_grpc(request.headers()) {
        return status::response(&Error::UnknownPath);
    }
    let error = refuse(request, Error::UnknownPath, api.request_timeout).await;
    error.into_response()
}

async fn unknown_method(State(api): State<Api>, request: Request) -> Error {
    refuse(request, Error::UnknownMethod, api.request_timeout).await
}

fn json_answer(message: &impl Serialize) -> Response {
    let body = serde_json::to_vec(message).expect("numbers and text always serialize");
    answer(Format::Json, body)
}

fn protobuf_answer(format: Format, message: &impl Message) -> Response {
    answer(format, message.encode_to_vec())
}

fn answer(format: Format, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, format.media_type())], body).into_response()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Error::panicked(&*panic).into_response()
}

fn span_of(request: &Request) -> Span {
    tracing::info_span!("request", method = %request.method(), uri = %request.uri())
}

/// Logs a response. Successes are at level `debug`, since there is one for each record, and so is 404: the answer to
/// a client that asks again and again for the next record.
fn answered(response: &Response, latency: Duration, _: &Span) {
    let status = response.status().as_u16();
    if response.status().is_success() || response.status() == StatusCode::NOT_FOUND {
        tracing::debug!(status, ?latency, "answered");
    } else {
        tracing::info!(status, ?latency, "answered");
    }
}
