//! Looks at a log's files: whether anything has changed, in two system calls however many segments there are.
//!
//! Each look reads the place where the newest segment's next frame will begin; as long as there is none, nothing was
//! appended. Times and lengths of files do not say that: appends into preallocated space leave the length as it is, and
//! those of one tick of the clock the time. The second call of a look is one of these in turn:
//!
//! - the checkpoint, which trims, truncations, resets and rolls write, every other time;
//! - each of [`SELDOM`], which shows what hardly ever happens.
//!
//! What the calls return is compared with what was there before the last refresh began, so a change during the refresh
//! is not missed. What cannot be found out counts as changed: the refresh then says what is wrong.

use std::io;
use std::sync::Arc;

use proglog_store::Store;
use proglog_store::io::{Directory, FileId, OpenMode, Storage};
use proglog_store::segment::{Sign, StoreExt};

use crate::layout::checkpoint::USED;
use crate::layout::checkpoint_file::SLOT_LEN;
use crate::layout::log_position::LogPosition;
use crate::layout::names::{self, CHECKPOINT};
use crate::offset::Offset;
use crate::read_only::snapshot::exists;

/// Bytes of the checkpoint's file, from the start of the first slot to the end of the first copy in the second. Both
/// copies in a slot are written together.
const CHECKPOINT_LEN: usize = SLOT_LEN + USED;

/// What looks compare with the state of a log's files.
pub(super) struct Watch {
    checkpoint: Arc<dyn Storage>,
    checkpoint_id: Option<FileId>,
    /// `None` if it could not be read.
    checkpoint_bytes: Option<Box<[u8]>>,
    /// The newest segment.
    newest: Option<Newest>,
    /// Name of the segment that comes next; `None` if the newest has no record, so that none can.
    next_name: Option<String>,
    /// Number of the next look.
    turn: usize,
}

struct Newest {
    store: Store,
    name: String,
    id: Option<FileId>,
}

/// A sign of a change that hardly ever comes without one of the others.
#[derive(Debug, Clone, Copy)]
enum Seldom {
    /// The directory was renamed, replaced or removed.
    DirectoryMoved,
    /// The newest segment was created again. That of a log that was opened again and had no record in it is.
    NewestReplaced,
    /// The log has rolled, and failed to write that to the checkpoint.
    Rolled,
    /// The file of the checkpoint was replaced, as by a repair.
    CheckpointReplaced,
    /// Appends that nothing claims as synced were dropped.
    FramesReplaced,
    /// The file of the newest segment is longer or shorter, and the next frame is damaged.
    LengthChanged,
}

const SELDOM: [Seldom; 6] = [
    Seldom::DirectoryMoved,
    Seldom::NewestReplaced,
    Seldom::Rolled,
    Seldom::CheckpointReplaced,
    Seldom::FramesReplaced,
    Seldom::LengthChanged,
];

impl Watch {
    /// Begins to watch the log in `directory`, of which a refresh is about to read everything.
    pub(super) fn begin(directory: &dyn Directory) -> io::Result<Self> {
        let checkpoint = directory.open(CHECKPOINT, OpenMode::Read)?;
        Ok(Self {
            checkpoint_id: checkpoint.id()?,
            checkpoint_bytes: read(&*checkpoint),
            checkpoint,
            newest: None,
            next_name: None,
            turn: 0,
        })
    }

    /// Watches a log that ends at `end` from here on, and whose newest segment is `newest`.
    pub(super) fn after_refresh(self, newest: Option<(Offset, Store)>, end: LogPosition) -> Self {
        let may_roll = newest.is_none() || end.offset() > end.segment_base;
        let newest = newest.map(|(base, store)| Newest {
            id: store.file_id(),
            name: names::store(base),
            store,
        });
        Self {
            newest,
            next_name: may_roll.then(|| names::store(end.offset())),
            ..self
        }
    }

    /// Looks once. Returns whether anything may have changed.
    pub(super) fn has_news(&mut self, directory: &dyn Directory) -> bool {
        let turn = self.turn;
        self.turn = (turn + 1) % (2 * SELDOM.len());
        self.newest_shows(Sign::Appended)
            || match turn % 2 {
                0 => read(&*self.checkpoint) != self.checkpoint_bytes,
                _ => self.shows(SELDOM[turn / 2], directory),
            }
    }

    fn newest_shows(&self, sign: Sign) -> bool {
        let newest = self.newest.as_ref();
        newest.is_some_and(|newest| newest.store.has_changed(sign).unwrap_or(true))
    }

    fn shows(&self, sign: Seldom, directory: &dyn Directory) -> bool {
        match sign {
            Seldom::DirectoryMoved => !directory.is_in_place().unwrap_or(true),
            Seldom::NewestReplaced => (self.newest.as_ref())
                .is_some_and(|newest| !is_still(directory, &newest.name, newest.id)),
            Seldom::Rolled => (self.next_name.as_ref()).is_some_and(|name| exists(directory, name)),
            Seldom::CheckpointReplaced => !is_still(directory, CHECKPOINT, self.checkpoint_id),
            Seldom::FramesReplaced => self.newest_shows(Sign::Replaced),
            Seldom::LengthChanged => self.newest_shows(Sign::Length),
        }
    }
}

/// Reads the checkpoint's file; `None` if that fails, so that one which cannot be read is the same as before.
fn read(checkpoint: &dyn Storage) -> Option<Box<[u8]>> {
    let mut bytes = vec![0; CHECKPOINT_LEN].into_boxed_slice();
    checkpoint.read_full_at(&mut bytes, 0).ok().map(|_| bytes)
}

/// Returns whether the file `name` is known to be the one with this identity.
fn is_still(directory: &dyn Directory, name: &str, id: Option<FileId>) -> bool {
    id.is_some() && directory.id_of(name).is_ok_and(|found| found == id)
}
