//! Recovery after a crash: this program starts itself as a child that appends, kills the child, and
//! finds every acknowledged record in the log.
//!
//! ```text
//! $ cargo run -p examples --example recover_after_crash
//! killed the child after it had acknowledged 1000 records
//! recovery kept records 0 to 1001 (exclusive) and took 1.2ms
//! of them 1000 were known to be on the device; set aside: nothing
//! all 1000 acknowledged records are at their offsets
//! ```

use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use proglog_log::{Log, LogOptions, Offset};

const ACKNOWLEDGED_BEFORE_KILL: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    match env::args_os().nth(1) {
        Some(directory) => append_until_killed(Path::new(&directory)),
        None => kill_and_recover(),
    }
}

fn value_of(number: u64) -> String {
    format!("record number {number}")
}

/// The child: appends without end, and prints the offset of each acknowledged record.
fn append_until_killed(directory: &Path) -> Result<(), Box<dyn Error>> {
    let log = Log::open(directory, &LogOptions::new())?;
    for number in 0.. {
        let offset = log.append(value_of(number))?;
        writeln!(io::stdout(), "{offset}")?;
    }
    Ok(())
}

fn kill_and_recover() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut child = Command::new(env::current_exe()?)
        .arg(directory.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("the child has no output")?;
    let mut acknowledged = Vec::new();
    for line in BufReader::new(output).lines() {
        acknowledged.push(line?.parse::<u64>()?);
        if acknowledged.len() as u64 == ACKNOWLEDGED_BEFORE_KILL {
            child.kill()?;
        }
    }
    child.wait()?;
    let count = acknowledged.len();
    println!("killed the child after it had acknowledged {count} records");

    // The operating system has released the lock of the dead child.
    let log = Log::open(directory.path(), &LogOptions::new())?;
    let report = log.recovery();
    let (start, end) = (report.records.start, report.records.end);
    let elapsed = report.elapsed.as_secs_f64() * 1e3;
    println!("recovery kept records {start} to {end} (exclusive) and took {elapsed:.1}ms");
    let set_aside = report.set_aside.as_ref().map_or("nothing", |it| &it.file);
    let known = report.recovery_point;
    println!("of them {known} were known to be on the device; set aside: {set_aside}");
    assert!(!report.clean, "the log was not closed");
    assert!(report.damaged.is_none());
    for offset in acknowledged {
        assert_eq!(log.read(Offset::new(offset))?.value, value_of(offset));
    }
    println!("all {count} acknowledged records are at their offsets");
    log.close()?;
    Ok(())
}
