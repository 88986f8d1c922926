//! Completion of a truncation that a crash interrupted.

use std::sync::Arc;

use proglog_store::{Boundary, Directory, Store};

use crate::error::{Error, Result, SegmentIdentity};
use crate::layout::checkpoint::Checkpoint;
use crate::layout::checkpoint_file::CheckpointFile;
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::options::Options;
use crate::segment::{Segment, removal};

/// Finishes the truncation of the log in `directory`, if its checkpoint says that one was begun. Returns
/// the base offsets of the segments that there are then.
pub(crate) fn finish(
    directory: &Arc<dyn Directory>,
    checkpoint: &mut CheckpointFile,
    bases: Vec<Offset>,
    options: &Options,
) -> Result<Vec<Offset>> {
    let current = checkpoint.current().clone();
    let Some(truncation) = current.truncation() else {
        return Ok(bases);
    };
    let mut bases = removal::drop_segments(&**directory, truncation, bases)?;
    let base_offset = truncation.to.offset();
    let label = Label {
        identity: SegmentIdentity {
            log_id: current.log_id,
            base_offset,
        },
        previous_base: bases.iter().max().copied(),
    };
    drop(Segment::create(directory, label, options)?);
    bases.push(base_offset);
    checkpoint.write_twice(&current.without_truncation(truncation))?;
    Ok(bases)
}

/// Whether the log in `directory` can be truncated as its checkpoint says, if it says so: it is this log's, and the
/// segment that is to be truncated itself, if one is, is there and goes as far. To be asked before anything is
/// changed.
pub(crate) fn check_possible(
    directory: &dyn Directory,
    checkpoint: &Checkpoint,
    bases: &[Offset],
) -> Result<()> {
    let Some(truncation) = checkpoint.truncation() else {
        return Ok(());
    };
    check_own(directory, checkpoint.log_id, bases)?;
    let LogPosition {
        segment_base: base,
        boundary: Boundary { position: to, .. },
    } = truncation.to;
    if truncation.drops(base) {
        return Ok(());
    }
    if !bases.contains(&base) {
        return Err(Error::MissingSegment { base_offset: base });
    }
    let name = names::store(base);
    let end = Store::open_sealed_in(directory, &name)?.end().position;
    if end < to {
        return Err(Error::RecoveryPointPastEnd {
            file: CHECKPOINT.into(),
            segment: name.into(),
            recovery_point: to,
            end,
        });
    }
    Ok(())
}

/// No segment says that it is of another log than the checkpoint: what another log was to lose stays here.
/// One that was to go may be damaged, or empty (see [`removal`]), and say nothing.
fn check_own(directory: &dyn Directory, log_id: u128, bases: &[Offset]) -> Result<()> {
    for base in bases {
        if let Ok(label) = Label::read(directory, *base)
            && label.identity.log_id != log_id
        {
            return Err(Error::WrongSegment {
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
