//! Connections: accepting, limiting and ending them.

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

/// How long to wait with the next connection when the operating system has no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A time limit that is longer is none: it may be later than clocks go.
const TIMEOUT_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// Serves `log` on `listener` with the default [`ServerOptions`], until `shutdown` is complete; see
/// [`ServerOptions::serve`].
pub async fn serve(
    listener: TcpListener,
    log: Arc<dyn CommitLog>,
    shutdown: impl Future<Output = ()>,
) {
    ServerOptions::new().serve(listener, log, shutdown).await;
}

impl ServerOptions {
    /// Serves `log` on `listener` until `shutdown` is complete.
    ///
    /// From then on no connection is accepted, idle ones are closed, and requests that are under way
    /// are answered, for at most [`shutdown_timeout`](ServerOptions::shutdown_timeout). The log stays open:
    /// closing it, which makes durable what was taken and never answered, is up to its owner.
    ///
    /// Nothing that a client does ends the server. When the operating system has no room for another
    /// connection, it goes on with those it has and tries again.
    ///
    /// It speaks HTTP/1.1 and has to run within a tokio runtime that has I/O and timer enabled. A
    /// caller that drops the future ends all connections at once.
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

    /// Waits for the requests that are under way, as long as they may take.
    async fn drain(&self, graceful: GracefulShutdown, mut connections: JoinSet<()>) {
        let drained = tokio::time::timeout(self.shutdown_timeout, graceful.shutdown());
        if drained.await.is_err() {
            let unanswered = connections.len();
            tracing::warn!(
                unanswered,
                "connections were closed before their requests were done"
            );
            connections.abort_all();
        }
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    }
}

/// What all connections share.
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

    /// The next connection, once there may be one more. Cancelling it loses none.
    async fn accept(&self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) if ended_early(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end. The permit goes with it, however it ends.
    fn connection(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        let peer = stream.peer_addr().ok();
        let span = tracing::debug_span!("connection", ?peer);
        // Answers are small and written whole; without it they could wait for an acknowledgement.
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
                // A client that vanished, was too slow, or speaks no HTTP.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "connection failed"
                );
            }
        };
        served.instrument(span)
    }
}

/// `None` where a time limit is none.
fn limited(timeout: Duration) -> Option<Duration> {
    (timeout <= TIMEOUT_MAX).then_some(timeout)
}

/// Whether the connection failed, not the accepting.
fn ended_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Panics of handlers are answered; this would be one outside of them.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended in a panic");
    }
}
