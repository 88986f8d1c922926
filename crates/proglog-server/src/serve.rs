//! Connections: accepting, limiting, and shutting them down.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use proglog_log::CommitLog;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tracing::Instrument;

use crate::options::ServerOptions;

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
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, permit) = tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = server.accept(&listener) => accepted,
            };
            connections.spawn(server.connection(stream, permit, &graceful));
        }
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
    service: TowerToHyperService<axum::Router>,
    http: http1::Builder,
    permits: Arc<Semaphore>,
    write_timeout: Option<Duration>,
}

impl Server {
    fn new(options: &ServerOptions, log: Arc<dyn CommitLog>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limited(options.header_timeout));
        let permits = options.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            service: TowerToHyperService::new(options.router(log)),
            http,
            permits: Arc::new(Semaphore::new(permits)),
            write_timeout: limited(options.request_timeout),
        }
    }

    /// Accepts the next connection once the limit allows one more. Cancel-safe: no connection is lost.
    async fn accept(&self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) if ended_early(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end, however it ends, and then releases the permit.
    fn connection(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        let peer = stream.peer_addr().ok();
        let span = tracing::debug_span!("connection", ?peer);
        // Responses are small and written whole. With Nagle's algorithm they could wait for an ACK.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(self.write_timeout);
        let io = TokioIo::new(Box::pin(stream));
        let connection = self.http.serve_connection(io, self.service.clone());
        let connection = graceful.watch(connection);
        let served = async move {
            let _permit = permit;
            if let Err(error) = connection.await {
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
