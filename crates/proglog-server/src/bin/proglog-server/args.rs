//! What can be set, by flags and by the environment.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use proglog_log::{Log, Options};

use crate::report::Sentence;

/// Keeps a commit log on disk and serves it over HTTP.
///
/// Writes its address to standard output once it accepts connections, and what happens to standard
/// error, where `RUST_LOG` says how much of it. SIGINT and SIGTERM end it when the requests under way
/// are answered, and at once if another comes more than a second later.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "PROGLOG_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Folder for the log's files; made if there is none
    #[arg(long, env = "PROGLOG_DATA_DIR", default_value = "./proglog-data")]
    data_dir: PathBuf,

    /// What a record survives once it is acknowledged
    #[arg(long, env = "PROGLOG_DURABILITY", default_value = "synced")]
    durability: Durability,

    /// Bytes that a segment of the log takes before the next one is begun
    #[arg(long, env = "PROGLOG_SEGMENT_BYTES", default_value_t = 64 << 20)]
    segment_bytes: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Durability {
    /// A power loss: it is on the device
    Synced,
    /// The end of the process; a power loss may take the last second
    Interval,
    /// Neither; up to 512 KiB are in the process alone
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
    /// Opens the log `default` and reports what was found.
    pub(crate) fn open_log(&self) -> anyhow::Result<Log> {
        let path = self.data_dir.join("default");
        let options = Options::new()
            .durability(self.durability.into())
            .segment_bytes_max(self.segment_bytes);
        let log = Log::open(&path, &options);
        let log = log.with_context(|| format!("cannot open the log in {}", path.display()))?;
        let recovery = log.recovery();
        let (path, found) = (path.display(), Sentence(recovery));
        if recovery.set_aside.is_some() || recovery.damaged.is_some() {
            tracing::warn!("opened the log in {path}: {found}");
        } else {
            tracing::info!("opened the log in {path}: {found}");
        }
        Ok(log)
    }
}
