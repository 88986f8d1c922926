//! Damage below the newest sync mark of a log that was killed.

use proglog_log::{ErrorKind, Log, LogOptions};
use proglog_store::testing::{SimDisk, Survivors};

use super::background;
use super::history::{Checked, Violation};

const RECORDS: u64 = 9;
const SEGMENT: &str = "00000000000000000000.log";
/// The two copies of the header of a segment's file.
const HEADER_LEN: u64 = 2 * 4096;

/// A log of which each record was synced alone, as its killed process left it.
pub fn killed_log() -> Checked<SimDisk> {
    background::stop();
    let disk = SimDisk::new();
    let log = open(&disk)?;
    for number in 0..RECORDS {
        log.append(value(number)).map_err(failed)?;
    }
    Ok(disk.crash(Survivors::KeepAll))
}

/// The bytes of all records but the last, which no mark covers.
pub fn bytes_below_mark(disk: &SimDisk) -> Vec<u64> {
    let last = value(RECORDS - 1);
    let bytes = disk.read_file(SEGMENT);
    let found = bytes
        .windows(last.len())
        .position(|window| window == last.as_bytes());
    // The mark, and the headers of both frames and the record, stand before the value.
    let end = found.unwrap_or_default().saturating_sub(80) as u64;
    (HEADER_LEN..end).collect()
}

/// Damages `byte` and checks what the log shows then.
pub fn damage_at(killed: &SimDisk, byte: u64) -> Checked<usize> {
    let disk = killed.deep_clone();
    disk.flip(SEGMENT, byte, u8::try_from(byte % 8).unwrap_or_default());
    let log = open(&disk)?;
    if log.end_offset().get() != RECORDS {
        return Err(format!("byte {byte}: the log ends at {}", log.end_offset()));
    }
    let mut unreadable = 0;
    for number in 0..RECORDS {
        match log.read(number) {
            Ok(record) if record.value == value(number) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => unreadable += 1,
            wrong => return Err(format!("byte {byte}: offset {number} gives {wrong:?}")),
        }
    }
    if unreadable > 1 {
        return Err(format!("byte {byte}: {unreadable} records are unreadable"));
    }
    Ok(unreadable)
}

fn value(number: u64) -> String {
    format!("the value of record {number}")
}

fn open(disk: &SimDisk) -> Checked<Log> {
    Log::open_in(
        disk.directory(),
        &LogOptions::new().idle_after(std::time::Duration::MAX),
    )
    .map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn failed(error: proglog_log::Error) -> Violation {
    format!("an operation failed: {error:?}")
}
