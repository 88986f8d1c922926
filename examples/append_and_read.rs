//! A log on disk: append records, read one by its offset, read all in order, and reopen the log.
//!
//! ```text
//! $ cargo run -p examples --example append_and_read
//! appended at offset 0
//! appended at offset 1
//! appended at offset 2
//! offset 1 is b"paid", with key b"order-7" and 1 header
//! from offset 1 on: [b"paid", b"shipped"]
//! after reopening: offsets 0 to 3 (exclusive)
//! ```

use std::error::Error;

use proglog_log::{Log, LogOptions, Offset, Record};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let log = Log::open(directory.path(), &LogOptions::new())?;

    // Anything that converts into a record can be appended: text, bytes, or a record with a key,
    // headers and a timestamp.
    let paid = Record::new("paid")
        .with_key("order-7")
        .with_header("trace", "4bf92f35");
    for record in [Record::new("created"), paid, Record::new("shipped")] {
        let offset = log.append(record)?;
        println!("appended at offset {offset}");
    }

    let record = log.read(1)?;
    assert_eq!(record.value, "paid");
    let key = record.key.unwrap_or_default();
    let headers = record.headers.len();
    println!(
        "offset 1 is {:?}, with key {key:?} and {headers} header",
        record.value
    );

    let values = log
        .records(1..)
        .map(|record| Ok(record?.value))
        .collect::<Result<Vec<_>, proglog_log::Error>>()?;
    assert_eq!(values, ["paid", "shipped"]);
    println!("from offset 1 on: {values:?}");

    assert!(log.read(3).is_err(), "there is no such record yet");
    log.close()?;

    let log = Log::open(directory.path(), &LogOptions::new())?;
    let (start, end) = (log.start_offset(), log.end_offset());
    assert_eq!(end, Offset::new(3));
    println!("after reopening: offsets {start} to {end} (exclusive)");
    log.close()?;
    Ok(())
}
