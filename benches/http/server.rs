//! The servers, each in a process of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use proglog_log::{Durability, Log, LogOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::{Result, bare};

/// The server that a process runs.
#[derive(Debug, Clone, Args)]
#[group(requires = "serve", multiple = true)]
pub(crate) struct Serve {
    /// The server
    #[arg(long, hide = true, required = false)]
    serve: Kind,
    /// The directory of its log
    #[arg(long, hide = true, required = false)]
    directory: PathBuf,
}

/// The kinds of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// An HTTP server that decodes and answers the same bodies, and keeps no log.
    Bare,
    /// proglog, whose log is synced.
    Synced,
    /// proglog, whose log is buffered.
    Buffered,
}

impl Serve {
    /// Serves until the process is killed. Prints the address first.
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        println!("{}", listener.local_addr()?);
        io::stdout().flush()?;
        let durability = match self.serve {
            Kind::Bare => return Ok(runtime.block_on(bare::serve(listener, &self.directory))?),
            Kind::Synced => Durability::Synced,
            Kind::Buffered => Durability::Buffered,
        };
        let options = LogOptions::new().durability(durability);
        let log = Arc::new(Log::open(&self.directory, &options)?);
        runtime.block_on(proglog_server::serve(listener, log, std::future::pending()));
        Ok(())
    }
}

/// A server that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts a server on the log in `directory`.
    pub(crate) fn start(kind: Kind, directory: &Path) -> Result<Self> {
        let name = kind.to_possible_value().expect("no kind is skipped");
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", name.get_name(), "--directory"])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self { child, address })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
