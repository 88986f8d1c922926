//! Check of a truncation that a crash interrupted, before opening finishes it.

use proglog_store::Boundary;
use proglog_store::io::Directory;
use proglog_store::segment::byte_of;

use crate::error::reason::{CheckpointMismatch, Reason, Result, SegmentIdentity};
use crate::layout::checkpoint::{Checkpoint, Truncation};
use crate::layout::inventory::SegmentHeader;
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT};
use crate::offset::Offset;

/// Checks that the log in `directory` can be truncated as its checkpoint says: that the segments are this
/// log's, and that the one to be truncated itself, if one is, is there and goes as far.
pub(super) fn check_possible(
    directory: &dyn Directory,
    checkpoint: &Checkpoint,
    truncation: Truncation,
    bases: &[Offset],
) -> Result<()> {
    check_own(directory, checkpoint.log_id, bases)?;
    let LogPosition {
        segment_base: base,
        boundary: Boundary { position: to, .. },
    } = truncation.to;
    if truncation.drops(base) {
        return Ok(());
    }
    if !bases.contains(&base) {
        return Err(Reason::MissingSegment { base_offset: base });
    }
    let end = SegmentHeader::read(directory, base)?.end;
    if end < to {
        return Err(Reason::CheckpointMismatch {
            file: CHECKPOINT.into(),
            reason: CheckpointMismatch::RecoveryPointPastEnd {
                segment: names::store(base).into(),
                recovery_point: byte_of(to),
                end: byte_of(end),
            },
        });
    }
    Ok(())
}

/// Checks that no segment says that it is of another log than the checkpoint: a truncation of another log
/// removes nothing here. One that is to be removed may be damaged, or empty, and say nothing.
fn check_own(directory: &dyn Directory, log_id: u128, bases: &[Offset]) -> Result<()> {
    for base in bases {
        if let Ok(SegmentHeader { label, .. }) = SegmentHeader::read(directory, *base)
            && label.identity.log_id != log_id
        {
            return Err(Reason::WrongSegment {
                file: names::store(*base).into(),
                expected: SegmentIdentity {
                    log_id,
                    base_offset: *base,
                },
                got: label.identity,
            });
        }
    }
    Ok(())
}
