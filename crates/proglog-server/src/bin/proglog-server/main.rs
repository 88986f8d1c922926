//! The program `proglog-server`: flags, signals and logging around the library.

mod args;
mod descriptors;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use args::Args;
use clap::Parser;
use proglog_log::Log;
use proglog_server::ServerOptions;
use tokio::net::TcpListener;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(io::stderr)
        .init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proglog-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let connections_max = descriptors::raise_limit();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    let listener = runtime.block_on(TcpListener::bind(&args.listen));
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let log = args.open_log()?;
    let options = ServerOptions::new().connections_max(connections_max);
    runtime.block_on(serve(listener, log.clone(), &options))?;
    // Ends what is left of connections.
    drop(runtime);
    log.close().context("cannot close the log")?;
    tracing::info!("closed");
    Ok(())
}

async fn serve(listener: TcpListener, log: Log, options: &ServerOptions) -> anyhow::Result<()> {
    let shutdown = signals::shutdown().context("cannot catch signals")?;
    let address = listener
        .local_addr()
        .context("cannot get the listener's address")?;
    // Standard output may be closed; that is no reason not to serve.
    let _ = writeln!(io::stdout(), "listening on http://{address}");
    options.serve(listener, Arc::new(log), shutdown).await;
    Ok(())
}
