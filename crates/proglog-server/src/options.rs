//! Limits on requests and connections.

use std::time::Duration;

/// Limits on requests and connections.
///
/// The functions [`router`](crate::router) and [`serve`](fn@crate::serve) use the defaults; the methods
/// [`router`](Self::router) and [`serve`](Self::serve) use these limits. A timeout of [`Duration::MAX`]
/// is no timeout.
///
/// # Examples
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
    pub(crate) node: Node,
    pub(crate) own_name: Option<String>,
}

/// The server in lists of servers.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// A host and a port; empty if it is not known.
    pub(crate) address: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            record_bytes_max: 1 << 20,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            connections_max: 512,
            shutdown_timeout: Duration::from_secs(10),
            node: Node {
                name: "node-1".into(),
                address: String::new(),
            },
            own_name: None,
        }
    }
}

impl ServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the largest value of a record that the calls on the path `/` and `log.v1.Log` take. A larger one is answered with 413, and so is a record with
    /// more than one header for each 32 bytes of this limit. The limit on a request's body follows from
    /// it; the log's own limit on records applies too. Default: 1 MiB.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// Sets how long a request's body may take to arrive, and then how long the log may take to act on
    /// it. A slow body is answered with 408, a slow log with 503. The call into the log is not
    /// cancelled: an append that was answered with 503 may still be stored. A connection is closed if
    /// its client reads nothing of a response for this long. Default: 30 seconds.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets how long the head of a request may take to arrive, counted from the opening of the
    /// connection or from the last response. The connection is then closed, so this is also how long an
    /// idle connection is kept. Default: 30 seconds.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Sets the largest number of connections served at a time. At the limit, a new connection closes the one that has
    /// been idle longest, that is, without a request. If none is idle, the request of the new one is answered with 503,
    /// and the new one is closed. This bounds memory too: each connection holds at most one body or record.
    /// Default: 512. Minimum: 1.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Sets how long a shutdown waits for requests in flight. Their connections are then closed.
    /// Default: 10 seconds.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets the name of this server, and the address under which clients reach it, a host and a port. The call
    /// `GetServers` of gRPC returns them. Default: `node-1`, and the address of the listener; a router without a listener
    /// has no address.
    pub fn node(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.node = Node {
            name: name.into(),
            address: address.into(),
        };
        self
    }

    /// Sets a name by which clients know the server, such as `log.example.com` or `log.example.com:8080`, for example
    /// that of a proxy. A request with the header `Origin` comes from a web page. It is refused unless the page is of
    /// this name, or of the one in the header `Host`. Where the listener is of this machine alone, `Host` has to be
    /// `localhost`, an address, or this name. Default: none.
    pub fn own_name(mut self, name: impl Into<String>) -> Self {
        self.own_name = Some(name.into());
        self
    }

    /// The largest body of an append: the largest value in base64, an eighth more for writers that
    /// escape its slashes in JSON, and 4 KiB for the rest.
    pub(crate) fn append_body_bytes_max(&self) -> usize {
        let base64 = self.record_bytes_max.div_ceil(3).saturating_mul(4);
        base64.saturating_add(base64 / 8).saturating_add(4 << 10)
    }
}
