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
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use proglog_log::CommitLog;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::connections::{Connections, Place};
use crate::error::Error;
use crate::extract::refuse;
use crate::options::ServerOptions;
use crate::stream::Stream;

/// The pause after a failure to accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The longest timeout that is applied. A longer one is no timeout: its end may be out of range for clocks.
const TIMEOUT_MAX: Duration = Duration::from_hours(100 * 365 * 24);

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
    /// Serves `log` on `listener` over HTTP/1.1 until `shutdown` completes.
    ///
    /// Then it accepts no more connections, closes idle ones, and answers requests in flight, for at
    /// most [`shutdown_timeout`](ServerOptions::shutdown_timeout). The log stays open. Its owner closes
    /// it, which makes appends durable that were accepted and not yet answered.
    ///
    /// No client can end the server. If the operating system has no resources for another connection,
    /// the server keeps serving those it has and tries again.
    ///
    /// The future needs a tokio runtime with I/O and timer enabled. Dropping it closes all connections
    /// at once.
    pub async fn serve(
        &self,
        listener: TcpListener,
        log: Arc<dyn CommitLog>,
        shutdown: impl Future<Output = ()>,
    ) {
        let server = Server::new(self, log);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        server
            .accept_until(shutdown, &listener, &graceful, &mut connections)
            .await;
        drop(listener);
        tracing::info!(connections = connections.len(), "shutting down");
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
    http: http1::Builder,
    connections: Arc<Connections>,
    request_timeout: Duration,
}

impl Server {
    fn new(options: &ServerOptions, log: Arc<dyn CommitLog>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limited(options.header_timeout))
            // A client may shut down its side once it has sent its request.
            .half_close(true);
        Self {
            router: options.router(log),
            http,
            connections: Arc::new(Connections::new(options.connections_max)),
            request_timeout: options.request_timeout,
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
        let service = {
            let place = Arc::clone(&place);
            service_fn(move |request| answer(request, router.clone(), Arc::clone(&place), timeout))
        };
        let stream = Stream::new(stream, limited(timeout), Arc::clone(&place));
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        let served = async move {
            let ended = tokio::select! {
                // A request that has arrived is refused before the connection is closed.
                biased;
                ended = connection => ended,
                () = place.lost() => return tracing::debug!("closed a connection over the limit"),
            };
            if let Err(error) = ended {
                // The client vanished, was too slow, or does not speak HTTP.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "connection failed"
                );
            }
        };
        served.instrument(span)
    }
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
        let error = refuse(request, Error::TooManyConnections, timeout).await;
        return Ok(error.into_response());
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
