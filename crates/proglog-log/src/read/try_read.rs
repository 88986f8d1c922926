//! Reads that wait for no device: of records that are in memory, in segments whose files are open.
//!
//! Where a read would have to wait, or finds something else than the record, it returns `None`, and the caller reads as
//! usual, which says what is wrong, if anything is.

use crate::error::reason::Result;
use crate::offset::Offset;
use crate::options::Visibility;
use crate::read::view::{Readable, View};
use crate::record::{StoredRecord, decode};

/// Reads the record at `offset` alone.
pub(crate) fn try_read(
    view: &View,
    visibility: Visibility,
    offset: Offset,
) -> Result<Option<StoredRecord>> {
    match view.check_readable(offset, visibility)? {
        Readable::Record => Ok(view
            .opened_files_of(offset)
            .and_then(|files| files.try_read(offset))),
        Readable::End => Err(view.out_of_range(offset, visibility)),
    }
}

/// Reads consecutive records of one segment, starting at `from`: as many as are in memory, but no more than fit.
pub(crate) fn try_read_batch(
    view: &View,
    visibility: Visibility,
    from: Offset,
    records_max: usize,
    bytes_max: usize,
) -> Result<Option<Vec<StoredRecord>>> {
    let generation = view.generation();
    if view.check_readable(from, visibility)? == Readable::End || records_max == 0 {
        return Ok(Some(Vec::new()));
    }
    let end = from.saturating_add(records_max as u64);
    let read = read_cached(view, visibility, from, end, bytes_max);
    // Records before a truncation may have been read together with others from after it.
    Ok(read.filter(|_| view.generation() == generation))
}

fn read_cached(
    view: &View,
    visibility: Visibility,
    from: Offset,
    end: Offset,
    bytes_max: usize,
) -> Option<Vec<StoredRecord>> {
    let files = view.opened_files_of(from)?;
    let (bound, position) = view.bound_in(files.base(), visibility)?;
    let end = end.min(bound);
    if from >= end {
        return None;
    }
    let (end, frames) = files.try_run(from..end, position, bytes_max)?;
    let (mut records, mut bytes, mut next) = (Vec::new(), 0, from);
    for frame in frames {
        let record = frame
            .ok()
            .and_then(|frame| decode::record(frame.payload).ok());
        let Some(record) = record.filter(|record| record.offset == next) else {
            break;
        };
        bytes += record.size();
        if bytes > bytes_max && !records.is_empty() {
            break;
        }
        records.push(record);
        next = next.saturating_add(1);
        if next >= end {
            break;
        }
    }
    (!records.is_empty()).then_some(records)
}
