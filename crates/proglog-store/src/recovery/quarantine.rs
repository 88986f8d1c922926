//! Quarantine of the bytes that recovery drops: `<store>.torn-<position>`, a file beside the store. If
//! other bytes have that name, a number is appended to it. Of more files than the limit, the oldest are removed.

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
    /// The names of the store's oldest set-aside files, which were removed to keep no more than
    /// [`StoreOptions::set_aside_files_max`](crate::StoreOptions::set_aside_files_max).
    pub removed: Vec<String>,
}

/// Copies `range` to a file of its own, durable on return with its name. A copy that an interrupted
/// recovery made is replaced under its name: that name may not be durable. Then removes the oldest files
/// that are more than `files_max`, but never this one. Fails with [`Error::EndUnreadable`] if not all can be copied.
pub(crate) fn copy(
    directory: &dyn Directory,
    store: &NamedFile,
    range: &Range<Position>,
    files_max: usize,
) -> Result<SetAside> {
    let mut others = set_aside_files(directory, store.name())?;
    let name = free_name(directory, store, range, &others).map_err(Error::of_end)?;
    let file = Arc::<str>::from(name);
    atomic_file::replace(directory, &file, |file| {
        store.copy_to(offsets_of(range), file, 0)
    })
    .map_err(Error::of_end)?;
    others.retain(|other| **other != *file);
    let surplus = (others.len() + 1).saturating_sub(files_max.max(1));
    others.truncate(surplus);
    // Those that cannot be removed, and names that reappear after a crash, are left to the next recovery.
    others.retain(|name| directory.remove(name).is_ok());
    Ok(SetAside {
        file: file.to_string(),
        position: range.start,
        bytes: range.end.get() - range.start.get(),
        removed: others,
    })
}

/// The names of the files beside `store` that hold bytes set aside from it, the oldest first. A store is torn
/// at ever higher positions, and a name that is taken gets the next number.
fn set_aside_files(directory: &dyn Directory, store: &Arc<str>) -> Result<Vec<String>> {
    let prefix = prefix(store);
    let names = directory
        .list()
        .map_err(|error| Error::io(Operation::List, store, error))?;
    let age = |name: &str| {
        let (position, number) = place(name.strip_prefix(&prefix)?)?;
        Some((position, number, name.to_owned()))
    };
    let mut files: Vec<_> = names.iter().filter_map(|name| age(name)).collect();
    files.sort_unstable();
    Ok(files.into_iter().map(|(.., name)| name).collect())
}

/// What stands between the name of a store and the position of bytes that were set aside from it.
const INFIX: &str = ".torn-";

fn prefix(store: &str) -> String {
    format!("{store}{INFIX}")
}

/// Returns the name of the store from which the file `name` was set aside; `None` for any other name.
pub(crate) fn store_of(name: &str) -> Option<&str> {
    let (store, suffix) = name.split_once(INFIX)?;
    place(suffix).map(|_| store)
}

/// The position and the number in `suffix`, the part of a name after its prefix; `None` if it is no such name.
fn place(suffix: &str) -> Option<(u64, u64)> {
    let (position, number) = suffix.split_once('.').unwrap_or((suffix, "0"));
    Some((position.parse().ok()?, number.parse().ok()?))
}

/// The first name for the bytes of `range` that no other bytes have.
fn free_name(
    directory: &dyn Directory,
    store: &NamedFile,
    range: &Range<Position>,
    taken: &[String],
) -> Result<String> {
    let base = format!("{}{}", prefix(store.name()), range.start);
    let numbers = (1..).map(|number| format!("{base}.{number}"));
    for name in std::iter::once(base.clone()).chain(numbers) {
        if !taken.contains(&name) || is_copy(directory, store, range, &name.as_str().into())? {
            return Ok(name);
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
    let mut equal = file.len()? == range.end.get() - range.start.get();
    let mut found = Vec::new();
    store.for_each_block(offsets_of(range), |at, block| {
        found.resize(block.len(), 0);
        equal = equal
            && matches!(file.read_at(&mut found, at), Ok(read) if read == block.len())
            && found == block;
        Ok(())
    })?;
    Ok(equal)
}
