//! REST: paths, and what all calls have in common.

mod admin;
mod answer;
mod append;
mod body;
mod follow;
mod health;
mod lines;
mod logs;
mod negotiate;
mod origin;
pub(crate) mod parameters;
mod path;
pub(crate) mod query;
mod raw;
pub(crate) mod read;
mod record;
mod seed;
pub(crate) mod start;
mod terms;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use proglog_broker::Broker;
use proglog_log::{CommitLog, ReadLog};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::error::Error;
use crate::grpc::{self, status};
use crate::options::ServerOptions;
use crate::read_only::ReadOnly;
use crate::state::App;

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
    /// Returns a router for the calls on `log`, which is the log `default`, to serve or to nest in another service. It
    /// applies the request timeout and the limit on records; the limits on connections apply in
    /// [`serve`](ServerOptions::serve) alone.
    ///
    /// The log is not closed. Calls into it that would block run on threads of their own, and an append waits for its
    /// durability without a thread. The router needs a tokio runtime with its timer enabled.
    pub fn router(&self, log: Arc<dyn CommitLog>) -> Router {
        calls_on(App::of_log(log, self, false))
    }

    /// Returns a router for the calls on all logs of `broker`. Otherwise like [`router`](ServerOptions::router).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use proglog_broker::{Broker, BrokerOptions, Memory};
    /// use proglog_server::ServerOptions;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let broker = Broker::open(Arc::new(Memory::new()), BrokerOptions::new()).await?;
    /// let app = ServerOptions::new().broker_router(broker);
    /// # let _: axum::Router = app;
    /// # Ok::<(), proglog_broker::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn broker_router(&self, broker: Broker) -> Router {
        calls_on(App::of_broker(broker, self, false))
    }

    /// Returns a router that serves reads of `log` alone, such as a
    /// [`ReadOnlyLog`](proglog_log::ReadOnlyLog) beside the process that writes it: the calls on the path `/` and the
    /// service `log.v1.Log`. An append is answered with status 403 and code `read_only`. Otherwise like
    /// [`router`](ServerOptions::router).
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
        let app = App::read_only(Arc::new(ReadOnly(log)), self);
        with_layers(seed_calls(), app)
    }
}

/// Returns a router for all calls, over HTTP and gRPC.
pub(crate) fn calls_on(app: App) -> Router {
    let log = get(logs::describe)
        .put(logs::put)
        .patch(logs::change)
        .delete(logs::delete);
    let calls = seed_calls()
        .route("/v1/info", get(health::info))
        .route("/v1/logs", get(logs::list))
        .route("/v1/logs/{log}", log)
        .route(
            "/v1/logs/{log}/records",
            get(read::read).post(append::append),
        )
        .route("/v1/logs/{log}/records/{offset}", get(record::read))
        .route("/v1/logs/{log}/raw", post(raw::append))
        .route("/v1/logs/{log}/raw/{offset}", get(raw::read))
        .route("/v1/logs/{log}/trim", post(admin::trim))
        .route("/v1/logs/{log}/verify", post(admin::verify))
        .route("/v1/logs/{log}/producers/{id}", get(admin::producer))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready));
    with_layers(calls, app)
}

fn seed_calls() -> Router<App> {
    Router::new().route("/", get(seed::consume).post(seed::produce))
}

fn with_layers(calls: Router<App>, app: App) -> Router {
    calls
        .merge(grpc::routes(&app).with_state(()))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

async fn unknown_path(State(app): State<App>, request: Request) -> Response {
    if status::is_grpc(request.headers()) {
        return status::response(&Error::UnknownPath);
    }
    let error = refuse(request, Error::UnknownPath, app.request_timeout).await;
    error.into_response()
}

async fn unknown_method(State(app): State<App>, request: Request) -> Error {
    refuse(request, Error::UnknownMethod, app.request_timeout).await
}

/// Returns `error` after discarding the body of `request`, as [`body::refuse`] does.
pub(crate) async fn refuse(request: Request, error: Error, timeout: Duration) -> Error {
    let (head, body) = request.into_parts();
    body::refuse(&head.headers, body, error, timeout).await
}

/// Refuses the pages of others, and logs requests that fail. Successes are at level `debug`, since there is one for each
/// record, and so is 404: the answer to a client that asks again and again for the next record.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let span = tracing::debug_span!("request", %method, %uri);
    let response = match origin::check(&app, &request) {
        Ok(()) => next.run(request).instrument(span).await,
        Err(error) => refuse(request, error, app.request_timeout)
            .await
            .into_response(),
    };
    let status = response.status();
    let code = status.as_u16();
    let expected = [StatusCode::NOT_FOUND, StatusCode::NOT_MODIFIED];
    if status.is_success() || expected.contains(&status) {
        tracing::debug!(%method, %uri, status = code, latency = ?begun.elapsed(), "answered");
    } else {
        tracing::info!(%method, %uri, status = code, latency = ?begun.elapsed(), "answered");
    }
    response
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Error::panicked(&*panic).into_response()
}
