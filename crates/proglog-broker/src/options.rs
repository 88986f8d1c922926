//! Options of a broker.

use std::time::Duration;

use crate::config::LogConfig;

/// Options of a broker.
///
/// ```
/// use std::time::Duration;
///
/// use proglog_broker::BrokerOptions;
///
/// let options = BrokerOptions::new().open_max(100).idle_close(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct BrokerOptions {
    pub(crate) open_max: usize,
    pub(crate) idle_close: Duration,
    pub(crate) auto_create: bool,
    pub(crate) log_defaults: LogConfig,
    pub(crate) append_inflight: usize,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            open_max: 1000,
            idle_close: Duration::from_mins(10),
            auto_create: false,
            log_defaults: LogConfig::default(),
            append_inflight: 256 << 20,
        }
    }
}

impl BrokerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many logs are open at a time. To open one more, the one unused for longest is closed; while all are in
    /// use, there are more. Default: 1000. Minimum: 1.
    pub fn open_max(mut self, logs: usize) -> Self {
        self.open_max = logs.max(1);
        self
    }

    /// Sets the time after which a log that nobody uses is closed, until it is used again. A [`Handle`](crate::Handle)
    /// is a use of its log, and so is what [`Handle::ends`](crate::Handle::ends) returns, for as long as it exists.
    /// [`Duration::MAX`] means never. Default: 10 minutes.
    pub fn idle_close(mut self, time: Duration) -> Self {
        self.idle_close = time;
        self
    }

    /// Sets whether a log that does not exist is created when it is first used. Default: no.
    pub fn auto_create(mut self, auto_create: bool) -> Self {
        self.auto_create = auto_create;
        self
    }

    /// Sets the configuration of logs that are created without one: `default`, and those that are
    /// [created when they are first used](BrokerOptions::auto_create).
    pub fn log_defaults(mut self, config: LogConfig) -> Self {
        self.log_defaults = config;
        self
    }

    /// Sets the most bytes that all appends under way may take, as [`Broker::admission`](crate::Broker::admission)
    /// counts them. Default: 256 MiB. Minimum: 64 KiB. Maximum: 4 GiB.
    pub fn append_inflight(mut self, bytes: usize) -> Self {
        self.append_inflight = bytes;
        self
    }
}
