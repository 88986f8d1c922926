//! Keeping what recovery drops, in a file beside the store: `<store>.torn-<position>`, or with a
//! number behind it where that name is taken by other bytes.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::io::atomic_file;
use crate::io::{Directory, OpenMode, Storage};
use crate::position::Position;
use crate::recovery::{FileSource, SetAside, for_each_block};

/// Copies `range` to a file of its own, durable on return with its name. A copy that an earlier,
/// interrupted recovery made is made again under its name.
pub(crate) fn copy(
    directory: &dyn Directory,
    source: FileSource<'_>,
    range: Range<Position>,
    files_max: usize,
) -> Result<SetAside> {
    let store = source.name;
    let prefix = format!("{store}.torn-");
    let names = directory
        .list()
        .map_err(|error| Error::io(Operation::List, store, error))?;
    let existing = names
        .iter()
        .filter(|name| name.starts_with(&prefix))
        .collect::<Vec<_>>();
    let base = format!("{prefix}{}", range.start);
    let bytes = range.end.get() - range.start.get();
    let found = |file: String| SetAside {
        file,
        position: range.start,
        bytes,
    };
    for number in 0..=existing.len() {
        let name = if number == 0 {
            base.clone()
        } else {
            format!("{base}.{number}")
        };
        if !existing.iter().any(|taken| **taken == name) {
            if existing.len() >= files_max {
                let file = Arc::clone(store);
                return Err(Error::SetAsideFull {
                    file,
                    got: existing.len(),
                    max: files_max,
                });
            }
            write(directory, source, range.clone(), &name)?;
            return Ok(found(name));
        }
        if is_copy(directory, source, range.clone(), &name)? {
            // The recovery that wrote it may have ended, or failed, before the name was durable.
            write(directory, source, range.clone(), &name)?;
            return Ok(found(name));
        }
    }
    unreachable!("of n + 1 names, n files take at most n")
}

fn write(
    directory: &dyn Directory,
    source: FileSource<'_>,
    range: Range<Position>,
    name: &str,
) -> Result<()> {
    let start = range.start.get();
    atomic_file::make(directory, &name.into(), |file, file_name| {
        for_each_block(source, range, |position, block| {
            file.write_all_at(block, position.get() - start)
                .map_err(|error| Error::io(Operation::Write, file_name, error))
        })
    })
    .map(drop)
}

/// Whether the file `name` holds the bytes of `range`.
fn is_copy(
    directory: &dyn Directory,
    source: FileSource<'_>,
    range: Range<Position>,
    name: &str,
) -> Result<bool> {
    let file_name: Arc<str> = name.into();
    let fail = |error| Error::io(Operation::Read, &file_name, error);
    let file = directory.open(name, OpenMode::Read).map_err(fail)?;
    let start = range.start.get();
    let mut equal = file.len().map_err(fail)? == range.end.get() - start;
    for_each_block(source, range, |position, block| {
        equal = equal && holds(&*file, block, position.get() - start).map_err(fail)?;
        Ok(())
    })?;
    Ok(equal)
}

fn holds(file: &dyn Storage, bytes: &[u8], offset: u64) -> io::Result<bool> {
    let mut found = vec![0; bytes.len()];
    let read = file.read_full_at(&mut found, offset)?;
    Ok(found[..read] == *bytes)
}
