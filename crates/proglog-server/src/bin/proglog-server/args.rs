//! Settings of the program, from flags and environment variables.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use proglog_log::{Log, LogOptions};

/// Keeps a commit log on disk and serves it over HTTP.
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

    /// Directory for the log's files; created if missing
    #[arg(long, env = "PROGLOG_DATA_DIR", default_value = "./proglog-data")]
    data_dir: PathBuf,

    /// Crashes that an acknowledged record survives
    #[arg(long, env = "PROGLOG_DURABILITY", default_value = "synced")]
    durability: Durability,

    /// Size of a segment of the log, in bytes, at which the next one begins
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

impl From<Durability> for proglog_log::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Synced => Self::Synced,
            Durability::Interval => Self::INTERVAL,
            Durability::Buffered => Self::Buffered,
        }
    }
}

impl Args {
    /// Opens the log `default` and logs a report of it.
    pub(crate) fn open_log(&self) -> anyhow::Result<Log> {
        let path = self.data_dir.join("default");
        let options = LogOptions::new()
            .durability(self.durability.into())
            .segment_bytes_max(self.segment_bytes);
        let log = Log::open(&path, &options)?;
        let recovery = log.recovery();
        let path = path.display();
        if recovery.set_aside.is_some() || recovery.damaged.is_some() {
            tracing::warn!("the log in {path} was {recovery}");
        } else {
            tracing::info!("the log in {path} was {recovery}");
        }
        Ok(log)
    }
}
