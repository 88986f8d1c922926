//! The speed of the server beside a bare HTTP server that answers the same bodies.
//!
//! ```text
//! cargo bench --bench http                        # everything: about four minutes
//! cargo bench --bench http -- --quick             # with shorter rounds
//! cargo bench --bench http -- read --connections 32
//! cargo bench --bench http -- --json FILE         # the figures, one row per line
//! ```
//!
//! Both servers are processes of their own and run for the whole of a row, on the same cores as the client, which is the
//! same for both and takes turns between them. Each connection has one request under way. The README in the directory
//! above explains the figures. All files are in the system's temporary directory; `TMPDIR` selects another disk.

mod bare;
mod client;
mod engine;
mod row;
mod server;
mod works;

use std::path::PathBuf;
use std::time::Duration;

use benches::{Effort, machine, today, write_rows};
use clap::Parser;

use crate::row::Bench;
use crate::server::Serve;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Measures the server beside a bare HTTP server
#[derive(Debug, Parser)]
struct Arguments {
    /// Works to measure, or parts of their names [default: all]
    works: Vec<String>,
    /// Only with this number of connections
    #[arg(long)]
    connections: Option<usize>,
    /// Write the rows to this file, one line of JSON each
    #[arg(long)]
    json: Option<PathBuf>,
    /// Take shorter and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Run everything once, for a moment
    #[arg(long)]
    test: bool,
    /// Passed by cargo to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Run one of the servers, in the process that the bench starts for it
    #[command(flatten)]
    serve: Option<Serve>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(serve) = arguments.serve {
        return serve.run();
    }
    let (time, pairs) = match (arguments.test, arguments.quick) {
        (true, _) => (Duration::from_millis(20), 0),
        (_, true) => (Duration::from_millis(400), 3),
        _ => (Duration::from_millis(1500), 5),
    };
    let effort = Effort {
        pairs,
        pairs_min: pairs,
        time: Duration::ZERO,
    };
    let mut bench = Bench {
        works: arguments.works,
        connections: arguments.connections,
        time,
        effort,
        rows: Vec::new(),
    };
    println!("{}, {}\n", machine(), today());
    works::run(&mut bench)?;
    println!("{}", row::table(&bench.rows));
    if let Some(path) = arguments.json {
        let rows = bench.rows.iter().map(|measured| measured.row.clone());
        write_rows(path, &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}
