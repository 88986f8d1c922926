//! Serving: accepting connections, and shutting them down.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use proglog_broker::Broker;
use proglog_log::CommitLog;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::connections::{Connections, Place};
use crate::draining::Draining;
use crate::error::Error;
use crate::grpc::status;
use crate::options::ServerOptions;
use crate::rest::{self, refuse};
use crate::state::App;
use crate::stream::Stream;

/// The pause after a failure to accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The longest timeout that is applied. A longer one is no timeout: its end may be out of range for clocks.
const TIMEOUT_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// The most streams of an HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 256;

/// The bytes that a client may send on a stream of HTTP/2, and on all of a connection, before they are read.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The largest head of a request over HTTP/2.
const HEADER_BYTES_MAX: u32 = 64 << 10;

/// The time between pings on a connection of HTTP/2, and the time that the client has to answer one.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Serves `log` on `listener` with the default [`ServerOptions`] until `shutdown` completes; see
/// [`ServerOptions::serve`].
pub async fn serve(
    listener: TcpListener,
    log: Arc<dyn CommitLog>,
    shutdown: impl Future<Output = ()>,
) {
    ServerOptions::new().serve(listener, log, shutdown).await;
}

impl ServerOptions {
    /// Serves `log` on `listener`, as the log `default`, over HTTP/1.1 and HTTP/2, with gRPC, until `shutdown` completes.
    ///
    /// Then it accepts no more connections, closes idle ones, ends streams and long polls, and answers
    /// requests in flight, for at most [`shutdown_timeout`](ServerOptions::shutdown_timeout). The log stays open. Its owner closes
    /// it, which makes appends durable that were accepted and not yet answered.
    ///
    /// No client can end the server. If the operating system has no resources for another connection,
    /// the server keeps serving those it has and tries again.
    ///
    /// Requests of web pages of others are refused, and on a listener that only this machine can connect to also those
    /// to other names than `localhost`; see [`own_name`](ServerOptions::own_name).
    ///
    /// The future needs a tokio runtime with I/O and timer enabled. Dropping it closes all connections
    /// at once.
    pub async fn serve(
        &self,
        listener: TcpListener,
        log: Arc<dyn CommitLog>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (options, is_loopback) = self.on(&listener);
        let app = App::of_log(log, &options, is_loopback);
        self.serve_app(listener, app, shutdown).await;
    }

    /// Serves all logs of `broker`. Its owner closes it. Otherwise like [`serve`](ServerOptions::serve).
    pub async fn serve_broker(
        &self,
        listener: TcpListener,
        broker: Broker,
        shutdown: impl Future<Output = ()>,
    ) {
        let (options, is_loopback) = self.on(&listener);
        let app = App::of_broker(broker, &options, is_loopback);
        self.serve_app(listener, app, shutdown).await;
    }

    /// The options with the address of the listener, and whether only this machine can connect to it.
    fn on(&self, listener: &TcpListener) -> (Self, bool) {
        let mut options = self.clone();
        let Ok(address) = listener.local_addr() else {
            return (options, false);
        };
        if options.node.address.is_empty() {
            options.node.address = address.to_string();
        }
        (options, address.ip().is_loopback())
    }

    async fn serve_app(&self, listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
        let server = Server::new(self, app);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        server
            .accept_until(shutdown, &listener, &graceful, &mut connections)
            .await;
        drop(listener);
        tracing::info!(connections = connections.len(), "shutting down");
        server.draining.begin();
        self.drain(graceful, connections).await;
    }

    /// Waits for requests in flight, up to the shutdown timeout.
    async fn drain(&self, graceful: GracefulShutdown, mut connections: JoinSet<()>) {
        let drained = tokio::time::timeout(self.shutdown_timeout, graceful.shutdown());
        if drained.await.is_err() {
            let unanswered = connections.len();
            tracing::warn!(
                unanswered,
                "closed connections before their requests were answered"
            );
            connections.abort_all();
        }
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    }
}

/// State that all connections share.
struct Server {
    router: Router,
    http: auto::Builder<TokioExecutor>,
    connections: Arc<Connections>,
    header_timeout: Option<Duration>,
    request_timeout: Duration,
    draining: Draining,
}

impl Server {
    fn new(options: &ServerOptions, app: App) -> Self {
        let draining = app.draining.clone();
        let header_timeout = limited(options.header_timeout);
        Self {
            router: rest::calls_on(app),
            http: http(header_timeout),
            connections: Arc::new(Connections::new(options.connections_max)),
            header_timeout,
            request_timeout: options.request_timeout,
            draining,
        }
    }

    /// Serves the connections of `listener`, each as one of `connections`, until `shutdown` completes.
    async fn accept_until(
        &self,
        shutdown: impl Future<Output = ()>,
        listener: &TcpListener,
        graceful: &GracefulShutdown,
        connections: &mut JoinSet<()>,
    ) {
        let mut shutdown = pin!(shutdown);
        // Kept while connections end, with its pause after a failure.
        let mut accepting = pin!(self.accept(listener));
        loop {
            let (stream, place) = tokio::select! {
                () = &mut shutdown => return,
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = &mut accepting => accepted,
            };
            accepting.set(self.accept(listener));
            connections.spawn(self.connection(stream, place, graceful));
        }
    }

    /// Accepts the next connection.
    async fn accept(&self, listener: &TcpListener) -> (TcpStream, Place) {
        let ready = self.connections.ready().await;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, self.connections.admit(ready)),
                Err(error) if ended_early(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end, however it ends.
    fn connection(
        &self,
        stream: TcpStream,
        place: Place,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        let peer = stream.peer_addr().ok();
        let span = tracing::debug_span!("connection", ?peer);
        // Responses are small and written whole. With Nagle's algorithm they could wait for an ACK.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let place = Arc::new(place);
        let (router, timeout) = (self.router.clone(), self.request_timeout);
        let header_timeout = self.header_timeout;
        let service = {
            let place = Arc::clone(&place);
            service_fn(move |request| answer(request, router.clone(), Arc::clone(&place), timeout))
        };
        let stream = Stream::new(stream, limited(timeout), Arc::clone(&place));
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        let served = async move {
            let ended = tokio::select! {
                // A request that has arrived is refused before the connection is closed.
                biased;
                ended = connection => ended,
                () = place.lost() => return tracing::debug!("closed a connection over the limit"),
                // The timer of HTTP/1.1 does not run before the version is known, and HTTP/2 has none.
                () = silent(&place, header_timeout) => {
                    return tracing::debug!("closed a connection without a request");
                }
            };
            if let Err(error) = ended {
                // The client vanished, was too slow, or does not speak HTTP.
                tracing::debug!(
                    error = &*error as &dyn std::error::Error,
                    "connection failed"
                );
            }
        };
        served.instrument(span)
    }
}

/// The protocols of a connection: HTTP/2 if it begins with the preface of that, otherwise HTTP/1.1.
fn http(header_timeout: Option<Duration>) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        // A client may shut down its side once it has sent its request.
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    http
}

/// Answers a request; refuses it if its connection has no place.
async fn answer(
    request: Request<Incoming>,
    router: Router,
    place: Arc<Place>,
    timeout: Duration,
) -> Result<Response<Body>, Infallible> {
    let request = request.map(Body::new);
    let Some(turn) = place.begin() else {
        let is_grpc = status::is_grpc(request.headers());
        let error = refuse(request, Error::TooManyConnections, timeout).await;
        return Ok(if is_grpc {
            status::response(&error)
        } else {
            error.into_response()
        });
    };
    let response = TowerToHyperService::new(router).call(request).await?;
    Ok(response.map(|body| {
        // The turn ends with the body.
        Body::new(body.map_err(move |error| {
            let _held = &turn;
            error
        }))
    }))
}

/// Completes if no request has begun on the connection in time.
async fn silent(place: &Place, header_timeout: Option<Duration>) {
    match header_timeout {
        Some(time) => place.silent(time).await,
        None => std::future::pending().await,
    }
}

/// The timeout to apply, if any.
fn limited(timeout: Duration) -> Option<Duration> {
    (timeout <= TIMEOUT_MAX).then_some(timeout)
}

/// Returns whether the connection failed, rather than the listener.
fn ended_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Logs a panic of a connection's task. Panics of handlers are caught and answered before.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended in a panic");
    }
}
