//! Settings of the program, from flags and environment variables.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use proglog_broker::LogConfig;

/// Keeps commit logs on disk and serves them over HTTP.
///
/// Writes its address to standard output once it accepts connections, and its log to standard error;
/// `RUST_LOG` sets the level. SIGINT and SIGTERM shut it down after the requests in flight are
/// answered; a second one, more than a second later, ends it at once. SIGHUP, SIGUSR1 and SIGUSR2 are ignored.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, env = "PROGLOG_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Listen beyond this machine, though there is neither encryption nor authentication
    #[arg(long, env = "PROGLOG_INSECURE")]
    pub(crate) insecure: bool,

    /// Name by which clients know the server, beside `localhost` and its addresses
    #[arg(long, env = "PROGLOG_ADVERTISE")]
    pub(crate) advertise: Option<String>,

    /// Directory for the files of the logs; created if missing
    #[arg(long, env = "PROGLOG_DATA_DIR", default_value = "./proglog-data")]
    pub(crate) data_dir: PathBuf,

    /// Crashes that an acknowledged record survives, when the log `default` is made
    #[arg(long, env = "PROGLOG_DURABILITY", default_value = "synced")]
    durability: Durability,

    /// Size of a segment in bytes, at which the next one begins, when the log `default` is made
    #[arg(long, env = "PROGLOG_SEGMENT_BYTES", default_value_t = 64 << 20)]
    segment_bytes: u64,

    /// Largest number of connections; fewer if there are not enough file descriptors
    #[arg(long, env = "PROGLOG_CONNECTIONS_MAX", default_value_t = 512)]
    pub(crate) connections_max: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Durability {
    /// Power loss: the record is on the device
    Synced,
    /// The end of the process; power loss may take the last second
    Interval,
    /// None; up to 512 KiB are only in the process's memory
    Buffered,
}

impl Args {
    /// The configuration of the log `default`, if it does not exist.
    pub(crate) fn log_defaults(&self) -> LogConfig {
        let mut config = LogConfig::default();
        config.durability = match self.durability {
            Durability::Synced => proglog_broker::Durability::Synced,
            Durability::Interval => proglog_broker::Durability::Interval,
            Durability::Buffered => proglog_broker::Durability::Buffered,
        };
        config.segment_bytes = self.segment_bytes;
        config
    }
}
