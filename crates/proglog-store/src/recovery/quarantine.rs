//! Quarantine of the bytes that recovery drops: `<store>.torn-<position>`, a file beside the store. If
//! other bytes have that name, a number is appended to it.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::io::named_file::{NamedFile, offsets_of};
use crate::io::{Directory, OpenMode, atomic_file};
use crate::position::Position;

/// The bytes that recovery dropped, kept in a file beside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// The name of the file that holds them, in the store's directory.
    pub file: String,
    /// Their position in the store.
    pub position: Position,
    /// Their number; zeros at the end are not kept.
    pub bytes: u64,
}

/// Copies `range` to a file of its own, durable on return with its name. A copy that an interrupted
/// recovery made is replaced under its name: that name may not be durable.
pub(crate) fn copy(
    directory: &dyn Directory,
    store: &NamedFile,
    range: &Range<Position>,
    files_max: usize,
) -> Result<SetAside> {
    let prefix = format!("{}.torn-", store.name());
    let mut existing = directory
        .list()
        .map_err(|error| Error::io(Operation::List, store.name(), error))?;
    existing.retain(|name| name.starts_with(&prefix));
    let base = format!("{prefix}{}", range.start);
    let names = (1..).map(|number| format!("{base}.{number}"));
    for name in std::iter::once(base.clone()).chain(names) {
        let is_new = !existing.contains(&name);
        if is_new && existing.len() >= files_max {
            return Err(Error::SetAsideFull {
                file: Arc::clone(store.name()),
                got: existing.len(),
                max: files_max,
            });
        }
        let file = Arc::from(&*name);
        if is_new || is_copy(directory, store, range, &file)? {
            atomic_file::replace(directory, &file, |file| {
                store.copy_to(offsets_of(range), file, 0)
            })?;
            return Ok(SetAside {
                file: name,
                position: range.start,
                bytes: range.end.get() - range.start.get(),
            });
        }
    }
    unreachable!("a finite number of names is taken")
}

/// Returns whether the file `name` holds the bytes of `range`, and no others.
fn is_copy(
    directory: &dyn Directory,
    store: &NamedFile,
    range: &Range<Position>,
    name: &Arc<str>,
) -> Result<bool> {
    let file = NamedFile::open(directory, name, OpenMode::Read)?;
    let len = range.end.get() - range.start.get();
    Ok(file.len()? == len && store.equals(offsets_of(range), &file, 0)?)
}
