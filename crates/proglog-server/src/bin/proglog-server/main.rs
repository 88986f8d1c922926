//! The program `proglog-server`: flags, signals and logging around the library.

mod args;
mod descriptors;
mod diagnostics;
mod logs;
mod signals;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use args::Args;
use clap::Parser;
use diagnostics::Diagnostics;
use proglog_broker::Broker;
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
    // Before the logs are opened, which may take long.
    let shutdown = signals::shutdown().context("cannot catch signals")?;
    let connections_max = descriptors::raise_limit(args.connections_max);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    let listener = runtime.block_on(TcpListener::bind(&args.listen));
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr();
    let address = address.context("cannot get the listener's address")?;
    ensure!(
        args.insecure || address.ip().is_loopback(),
        "{address} can be reached from other machines, without encryption and authentication; \
         start with --insecure if that is intended"
    );
    let broker = runtime.block_on(logs::open(&args.data_dir, args.log_defaults()))?;
    // Standard output may be closed; that is no reason not to serve.
    let _ = writeln!(io::stdout(), "listening on http://{address}");
    let mut options = ServerOptions::new().connections_max(connections_max);
    if let Some(name) = &args.advertise {
        options = options.own_name(name).node("node-1", name);
    }
    runtime.block_on(serve(listener, broker, &options, shutdown))
}

async fn serve(
    listener: TcpListener,
    broker: Broker,
    options: &ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    options
        .serve_broker(listener, broker.clone(), shutdown)
        .await;
    broker.close().await.context("cannot close the logs")?;
    tracing::info!("closed");
    Ok(())
}
