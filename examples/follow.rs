//! Followers: readers that get every record as it is appended, and sleep in between.
//!
//! One thread follows from the start, another from the end. Appends wake them; nothing polls. In async
//! code, `into_stream` does the same without blocking.
//!
//! ```text
//! $ cargo run -p examples --example follow
//! from the start: created, paid, shipped, delivered
//! what was new: shipped, delivered
//! nothing more came within 10 ms
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use proglog_log::{Follow, Log, LogOptions, RecvTimeoutError};

/// The values of the next records, up to `delivered`.
fn until_delivered(follower: Follow) -> Result<Vec<String>, proglog_log::Error> {
    let mut seen = Vec::new();
    for record in follower {
        seen.push(String::from_utf8_lossy(&record?.value).into_owned());
        if seen.last().is_some_and(|value| value == "delivered") {
            break;
        }
    }
    Ok(seen)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let log = Log::open(directory.path(), &LogOptions::new())?;
    log.append_batch(["created", "paid"])?;

    let (from_start, from_now) = (log.follow(0), log.follow(log.end_offset()));
    let from_start = thread::spawn(|| until_delivered(from_start));
    let from_now = thread::spawn(|| until_delivered(from_now));
    for value in ["shipped", "delivered"] {
        log.append(value)?;
    }

    let seen = from_start.join().expect("it does not panic")?;
    assert_eq!(seen, ["created", "paid", "shipped", "delivered"]);
    println!("from the start: {}", seen.join(", "));
    let seen = from_now.join().expect("it does not panic")?;
    assert_eq!(seen, ["shipped", "delivered"]);
    println!("what was new: {}", seen.join(", "));

    let mut follower = log.follow(log.end_offset());
    let wait = Duration::from_millis(10);
    let nothing = follower.recv_timeout(wait);
    assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
    println!("nothing more came within 10 ms");
    log.close()?;
    Ok(())
}
