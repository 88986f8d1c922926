//! Atomic batches: every reader sees all of a batch or none of it, at any time.
//!
//! Each batch here moves money: a debit and a credit of the same amount. A second thread keeps reading
//! the log while the first appends, and never finds a balance other than zero.
//!
//! ```text
//! $ cargo run -p examples --example atomic_batches
//! 300 transfers are at offsets 0 to 600 (exclusive)
//! while they were appended, 6983 readings were all in balance
//! a batch with one record that is too large appended nothing
//! ```

use std::error::Error;
use std::thread;

use proglog_log::{ErrorKind, Log, LogOptions, Offset};

const TRANSFERS: u64 = 300;

/// The sum of all readable movements, and their count.
fn balance(log: &Log) -> Result<(i64, usize), Box<dyn Error + Send + Sync>> {
    let (mut sum, mut count) = (0, 0);
    for record in log.records(0..) {
        sum += str::from_utf8(&record?.value)?.parse::<i64>()?;
        count += 1;
    }
    Ok((sum, count))
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    let options = LogOptions::new().record_bytes_max(64);
    let log = Log::open(directory.path(), &options)?;

    let reader = thread::spawn({
        let log = log.clone();
        move || {
            let mut readings = 0;
            while log.end_offset() < Offset::new(2 * TRANSFERS) {
                let (sum, count) = balance(&log)?;
                assert_eq!(sum, 0, "half a transfer among {count} movements");
                readings += 1;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(readings)
        }
    });
    for amount in 1..=TRANSFERS {
        let offsets = log.append_batch([format!("-{amount}"), format!("{amount}")])?;
        assert_eq!(offsets.end, offsets.start.saturating_add(2));
    }
    let end = log.end_offset();
    println!("{TRANSFERS} transfers are at offsets 0 to {end} (exclusive)");
    let readings = reader.join().expect("the reader does not panic")?;
    println!("while they were appended, {readings} readings were all in balance");

    let refused = log.append_batch(["-7".to_owned(), "7".repeat(65)]);
    let error = refused.expect_err("the second record is over the limit");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(log.end_offset(), end);
    println!("a batch with one record that is too large appended nothing");
    log.close()?;
    Ok(())
}
