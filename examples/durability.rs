//! Durability: the crashes that an acknowledged record survives, and three ways to wait for it.
//!
//! - `Synced`, the default: acknowledged once it is on the device; survives a power failure.
//! - `Interval`: acknowledged once the operating system has it; survives the end of the process. A
//!   power failure may lose records appended since the last sync.
//! - `Buffered`: acknowledged at once; the end of the process may lose records still in its memory.
//!
//! ```text
//! $ cargo run -p examples --example durability
//! Synced:       after submit 0 of 3 can be read, after the acknowledgements 3; 100 appends took 17.1ms
//! Interval(1s): after submit 0 of 3 can be read, after the acknowledgements 3; 100 appends took 0.3ms
//! Buffered:     after submit 3 of 3 can be read, after the acknowledgements 3; 100 appends took 0.1ms
//! ```

use std::error::Error;
use std::sync::mpsc;
use std::time::Instant;

use proglog_log::{Durability, Log, LogOptions, Offset};

fn main() -> Result<(), Box<dyn Error>> {
    for durability in [
        Durability::Synced,
        Durability::INTERVAL,
        Durability::Buffered,
    ] {
        show(durability)?;
    }
    Ok(())
}

fn show(durability: Durability) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let options = LogOptions::new().durability(durability);
    let log = Log::open(directory.path(), &options)?;

    // A ticket has the offsets at once. The outcome comes later, in one of three ways.
    let tickets = [log.submit("a")?, log.submit("b")?, log.submit("c")?];
    let early = log.end_offset();
    let [waited, awaited, called] = tickets;
    assert_eq!(called.offsets().start, Offset::new(2));

    assert_eq!(waited.wait()?.start, Offset::new(0));

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    assert_eq!(runtime.block_on(awaited)?.start, Offset::new(1));

    let (sender, receiver) = mpsc::channel();
    called.on_complete(move |outcome| drop(sender.send(outcome)));
    assert_eq!(receiver.recv()??.start, Offset::new(2));

    // Readers see a record only once it is as durable as promised.
    let late = log.end_offset();
    let at_once = durability == Durability::Buffered;
    assert_eq!(early, Offset::new(if at_once { 3 } else { 0 }));
    assert_eq!(late, Offset::new(3));

    let begun = Instant::now();
    for _ in 0..100 {
        log.append("one after the other")?;
    }
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    let name = format!("{durability:?}:");
    println!(
        "{name:<13} after submit {early} of 3 can be read, after the acknowledgements {late}; \
         100 appends took {millis:.1}ms"
    );
    log.close()?;
    Ok(())
}
