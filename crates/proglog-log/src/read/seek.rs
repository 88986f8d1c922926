//! Search for a record by the time at which it was appended.

use crate::error::Result;
use crate::error::kind::ErrorKind;
use crate::error::reason::Reason;
use crate::offset::{Offset, Offsets};
use crate::record::StoredRecord;

/// Returns the first of `offsets` whose record was appended at `time` (microseconds since 1970) or later, or
/// their end if there is none. `read` reads a record.
pub(crate) fn offset_for_time(
    offsets: Offsets,
    time: i64,
    read: impl Fn(Offset) -> Result<StoredRecord>,
) -> Result<Offset> {
    let Offsets {
        start: mut low,
        end: mut high,
    } = offsets;
    while low < high {
        let middle = low + (high - low) / 2;
        match first_readable(Offsets::new(middle, high), &read) {
            Ok(Some((offset, appended_at))) if appended_at < time => low = offset + 1,
            Ok(_) => high = middle,
            Err(error) => match error.reason {
                // The log was truncated in the meantime.
                Reason::OutOfRange { .. } => high = middle,
                Reason::Trimmed { start, .. } => low = start.min(high),
                _ => return Err(error),
            },
        }
    }
    Ok(low)
}

/// Returns the offset and the time of the first readable record at `offsets`.
fn first_readable(
    offsets: Offsets,
    read: impl Fn(Offset) -> Result<StoredRecord>,
) -> Result<Option<(Offset, i64)>> {
    for offset in offsets {
        match read(offset) {
            Ok(record) => return Ok(Some((offset, record.appended_at))),
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
