//! The logs of the program.

use std::path::Path;
use std::sync::Arc;

use proglog_broker::{Broker, BrokerOptions, Disk, Error, LogConfig, LogName};

/// Opens the logs in a data directory. The log `default` is opened at once, with a line about it, and has to open; the
/// others are opened as they are used.
pub(crate) async fn open(data: &Path, defaults: LogConfig) -> anyhow::Result<Broker> {
    let disk = Arc::new(Disk::open(data)?);
    let broker = Broker::open(disk, BrokerOptions::new().log_defaults(defaults)).await?;
    let default = LogName::default_log();
    loop {
        match broker.log(&default).await {
            Ok(_) => break,
            // The opening goes on.
            Err(Error::Timeout { .. }) => {}
            Err(Error::Failed { source, .. }) => return Err(Error::clone(&source).into()),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(recovery) = broker.describe(&default).await?.recovery {
        let path = data.join("logs").join(default.as_str());
        let path = path.display();
        if recovery.set_aside.is_some() || recovery.damaged.is_some() {
            tracing::warn!("the log in {path} was {recovery}");
        } else {
            tracing::info!("the log in {path} was {recovery}");
        }
    }
    Ok(broker)
}
