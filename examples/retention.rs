//! Two ways to drop old records: `trim`, exact to the record, and a retention policy, which drops whole
//! segments.
//!
//! ```text
//! $ cargo run -p examples --example retention
//! trimmed: 7 is gone, 8 is the first
//! 10000 records were appended, and the newest 2116 are kept, of at least 2000
//! after reopening the log still starts at 7884
//! ```

use std::error::Error;

use proglog_log::{Durability, ErrorKind, Log, LogOptions, Offset, Retention};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    // Small segments, so that there are some to drop, and no waiting for syncs.
    let options = LogOptions::new()
        .segment_bytes_max(64 << 10)
        .durability(Durability::Buffered)
        .retention(Retention::new().records(2000));
    let log = Log::open(directory.path(), &options)?;

    for number in 0..20 {
        log.append(format!("reading {number}"))?;
    }
    log.trim(8)?; // durable on return, whatever the durability
    let gone = log.read(7).expect_err("it was trimmed");
    assert_eq!(gone.kind(), ErrorKind::Trimmed);
    assert_eq!(log.start_offset(), Offset::new(8));
    println!("trimmed: 7 is gone, 8 is the first");

    for number in 20..10_000 {
        log.append(format!("reading {number} {:>40}", "of some sensor"))?;
    }
    // The log does the same in the background whenever a segment is full.
    let start = log.apply_retention()?;
    let kept = log.end_offset() - start;
    assert!((2000..4000).contains(&kept), "{kept} are kept");
    println!("10000 records were appended, and the newest {kept} are kept, of at least 2000");

    log.close()?;
    let log = Log::open(directory.path(), &options)?;
    assert_eq!(log.start_offset(), start);
    assert_eq!(log.read(start)?.offset, start.get());
    println!("after reopening the log still starts at {start}");
    log.close()?;
    Ok(())
}
