//! The speed of proglog beside the limits of the machine.
//!
//! ```text
//! cargo bench --bench limits                           # everything: about ten minutes
//! cargo bench --bench limits -- --quick                # within a minute, from smaller files
//! cargo bench --bench limits -- log/append             # one kind of work
//! cargo bench --bench limits -- append --bytes 1024    # all kinds with this in their names, of 1 KiB
//! cargo bench --bench limits -- --json FILE            # the figures, one row per line
//! cargo bench --bench limits -- --svg FILE             # a chart
//! ```
//!
//! The README in the directory above explains the figures. All files are in the system's temporary
//! directory; `TMPDIR` selects another disk.

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

use benches::{Figure, Row, SIZES, machine, today, write_rows};
use clap::Parser;

use crate::bench::{Bench, Result, Scale};

/// The works, and the number of rows that each has per size.
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

/// Measures proglog beside the limits of the machine
#[derive(Debug, Parser)]
struct Arguments {
    /// Works to measure, or parts of their names [default: all]
    works: Vec<String>,
    /// Only records of this size, in bytes
    #[arg(long)]
    bytes: Option<u64>,
    /// Write the rows to this file, one line of JSON each
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw a chart of the rows into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Finish within a minute
    #[arg(long)]
    quick: bool,
    /// Run everything once with little data
    #[arg(long)]
    test: bool,
    /// Passed by cargo to every bench
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
        std::fs::write(
            path,
            Figure::of_rows(title, &about, &drawn(&bench.rows)).svg(),
        )?;
    }
    Ok(())
}

/// The rows of the chart: without those of four threads, which are compared with one thread and not with
/// a limit, and without those of verifying, which resemble those of scanning.
fn drawn(rows: &[Row]) -> Vec<Row> {
    let is_drawn = |row: &&Row| {
        let of_threads = row.work == "log/append" && row.threads == append::THREADS;
        !of_threads && row.work != "log/verify"
    };
    rows.iter().filter(is_drawn).cloned().collect()
}
