//! How near proglog comes to what the machine gives.
//!
//! ```text
//! cargo bench --bench limits                           # everything: about a quarter of an hour
//! cargo bench --bench limits -- --quick                # within a minute, from smaller files
//! cargo bench --bench limits -- log/append             # one kind of work
//! cargo bench --bench limits -- append --bytes 1024    # all kinds with this in their names, of 1 KiB
//! cargo bench --bench limits -- --json FILE            # the figures, one row a line
//! cargo bench --bench limits -- --svg FILE             # a picture
//! ```
//!
//! The README beside this directory says what the figures mean. All files lie in the system's
//! temporary directory; `TMPDIR` chooses another disk.

mod append;
mod bare;
mod bench;
mod raw;
mod read;
mod reopen;
mod synced;
mod targets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use benches::{Figure, SIZES, machine, today, write_rows};
use clap::Parser;

use crate::bench::{Bench, Result, Scale};

/// What can be measured, and how many rows each size makes.
const WORKS: [(&str, usize); 11] = [
    ("store/append", 1),
    ("log/append", 2),
    ("log/append-batch100", 1),
    ("log/append-synced", synced::THREADS.len()),
    ("store/scan", 1),
    ("log/scan", 1),
    ("store/read", 1),
    ("log/read", 1),
    ("log/reopen-clean", 1),
    ("log/reopen-killed", 1),
    ("log/verify", 1),
];

/// How near proglog comes to what the machine gives.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure: kinds of work, or parts of their names [default: all]
    works: Vec<String>,
    /// Only records of this size, in bytes
    #[arg(long)]
    bytes: Option<u64>,
    /// Write the rows to this file, as a line of JSON each
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw the rows into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// End within a minute
    #[arg(long)]
    quick: bool,
    /// Do everything once, with little data
    #[arg(long)]
    test: bool,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (scale, pairs, seconds) = match (arguments.test, arguments.quick) {
        (true, _) => (Scale::TEST, (0, 0), 0),
        (_, true) => (Scale::QUICK, (7, 3), 45),
        _ => (Scale::FULL, (7, 3), 900),
    };
    let sizes = SIZES.map(|(_, bytes)| bytes as u64);
    let sizes = match arguments.bytes {
        Some(bytes) => vec![bytes],
        None => sizes.to_vec(),
    };
    let mut bench = Bench {
        scale,
        pairs,
        end: Instant::now() + Duration::from_secs(seconds),
        rows_left: 0,
        works: arguments.works,
        sizes,
        rows: Vec::new(),
    };
    let wanted = WORKS.iter().filter(|(work, _)| bench.wants(work));
    let rows = wanted
        .map(|(_, rows)| rows * bench.sizes.len())
        .sum::<usize>();
    bench.rows_left = u32::try_from(rows)?;
    let about = format!("{}, {}", machine(), today());
    println!("{about}\n\n{}", raw::table(&bench)?);

    append::run(&mut bench)?;
    synced::run(&mut bench)?;
    read::run(&mut bench)?;
    reopen::run(&mut bench)?;

    let (table, reached) = targets::table(&bench.rows, &WORKS);
    println!("{table}\n{reached}");
    if let Some(path) = arguments.json {
        write_rows(path, &bench.rows)?;
    }
    if let Some(path) = arguments.svg {
        let title = "proglog beside the limit of the machine";
        std::fs::write(path, Figure::of_rows(title, &about, &bench.rows).svg())?;
    }
    Ok(())
}
