//! The operating system alone: `write` and `pread` of blocks of each size, in MB/s.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use benches::{Table, grouped, median, payload, size_name};

use crate::bench::{Bench, Result, Scratch, rate};

const ROUNDS: usize = 3;
/// The most blocks to write: each takes a system call.
const CALLS_MAX: u64 = 100_000;

pub(crate) fn table(bench: &Bench) -> Result<Table> {
    let mut table = Table::new(&["block", "raw write MB/s", "raw pread MB/s"]);
    for bytes in &bench.sizes {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let (write, read) = measure(*bytes, bench.scale.store_bytes)?;
            rates[0].push(write);
            rates[1].push(read);
        }
        let [write, read] = rates.map(|rates| grouped(median(&rates)));
        table.push([size_name(*bytes), write, read]);
    }
    Ok(table)
}

/// Writes a growing file and reads it in order.
fn measure(bytes: u64, total: u64) -> Result<(f64, f64)> {
    let scratch = Scratch::new()?;
    let mut block = payload(usize::try_from(bytes)?).to_vec();
    let calls = (total / bytes).clamp(1, CALLS_MAX);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(scratch.path().join("raw"))?;
    let begun = Instant::now();
    for _ in 0..calls {
        file.write_all(black_box(&block))?;
    }
    let written = rate(calls * bytes, begun.elapsed()) / 1e6;
    let begun = Instant::now();
    for call in 0..calls {
        file.read_exact_at(black_box(&mut block), call * bytes)?;
    }
    let read = rate(calls * bytes, begun.elapsed()) / 1e6;
    drop(file);
    scratch.discard()?;
    Ok((written, read))
}
