//! The program `proglog-server`: flags, signals and logging around the library.

mod args;
mod descriptors;
mod diagnostics;
mod signals;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use args::Args;
use clap::Parser;
use diagnostics::Diagnostics;
use proglog_log::Log;
use proglog_server::ServerOptions;
use tokio::net::TcpListener;

fn main() -> ExitCode {
    let args = Args::parse();
    let diagnostics = match Diagnostics::start() {
        Ok(diagnostics) => diagnostics,
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "proglog-server: cannot start a thread: {error}"
            );
            return ExitCode::FAILURE;
        }
    };
    let ended = run(&args);
    if let Err(error) = &ended {
        diagnostics.say(&format!("proglog-server: {error:#}"));
    }
    diagnostics.finish();
    ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn run(args: &Args) -> anyhow::Result<()> {
    // Before the log is opened, which may take long.
    let shutdown = signals::shutdown().context("cannot catch signals")?;
    let connections_max = descriptors::raise_limit(args.connections_max);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    let listener = runtime.block_on(TcpListener::bind(&args.listen));
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let log = args.open_log()?;
    let options = ServerOptions::new().connections_max(connections_max);
    runtime.block_on(serve(listener, log.clone(), &options, shutdown))?;
    // Ends what is left of connections.
    drop(runtime);
    log.close().context("cannot close the log")?;
    tracing::info!("closed");
    Ok(())
}

async fn serve(
    listener: TcpListener,
    log: Log,
    options: &ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let address = listener
        .local_addr()
        .context("cannot get the listener's address")?;
    // Standard output may be closed; that is no reason not to serve.
    let _ = writeln!(io::stdout(), "listening on http://{address}");
    options.serve(listener, Arc::new(log), shutdown).await;
    Ok(())
}
