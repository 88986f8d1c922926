//! What the server allows its clients.

use std::time::Duration;

/// Limits on requests and connections, and how to serve under them.
///
/// [`router`](crate::router) and [`serve`](fn@crate::serve) use the defaults; the methods of the same
/// names use what was set. A time limit of [`Duration::MAX`] is none.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use proglog_log::MemoryLog;
/// use proglog_server::ServerOptions;
///
/// let options = ServerOptions::new().request_timeout(Duration::from_secs(5));
/// let router = options.router(Arc::new(MemoryLog::new()));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerOptions {
    pub(crate) record_bytes_max: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            record_bytes_max: 1 << 20,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            connections_max: 512,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest value of a record that is taken; a larger one is answered with 413, and so is a
    /// record with more than one header for each 32 bytes of it. The limit on a request's body follows
    /// from it. The log's own limit on records holds beside it.
    /// Default: 1 MiB.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// How long a request's body may take to arrive, and then how long the log may take over the
    /// call. A body that takes longer is answered with 408, a call with 503; the call itself is not
    /// cancelled, so an append that was answered so may be stored all the same. A connection also
    /// ends when its client takes nothing of an answer for so long. Default: 30 seconds.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long a connection may take to bring the head of a request, counted from the connection's
    /// or the last answer's; it is closed then. So this is also how long an idle connection is kept.
    /// Default: 30 seconds.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// How many connections are served at a time. Further ones wait in the operating system's queue
    /// until one ends. It bounds memory too: each connection may hold one request's body, or its record.
    /// Default: 512. Minimum: 1.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// How long requests that are under way at a shutdown may take to be answered; their
    /// connections are closed then. Default: 10 seconds.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// The largest body of a request to append: the largest value in base64, an eighth more for
    /// writers that escape its slashes in JSON, and 4 KiB for what is around it.
    pub(crate) fn append_body_bytes_max(&self) -> usize {
        let base64 = self.record_bytes_max.div_ceil(3).saturating_mul(4);
        base64.saturating_add(base64 / 8).saturating_add(4 << 10)
    }
}
