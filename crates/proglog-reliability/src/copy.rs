//! Folders kept equal to the workspace, so that Cargo rebuilds only what differs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::workspace::{git, root};

/// Makes `folder` equal to the workspace, without the files that Git ignores, but for what `edit` changes: it gets the
/// path and the bytes of each file. Equal files keep their time, so Cargo does not rebuild them.
pub(crate) fn mirror(folder: &Path, edit: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> anyhow::Result<()> {
    let mut wanted = HashSet::new();
    let all = ["--cached", "--others", "--exclude-standard"];
    for name in git(root(), &[&["ls-files", "-z"], &all[..]].concat())?.split_terminator('\0') {
        // Listed files may have been removed since.
        let Ok(bytes) = fs::read(root().join(name)) else {
            continue;
        };
        let to = folder.join(name);
        put(&to, &edit(name, bytes))?;
        wanted.insert(to);
    }
    remove_others(folder, &wanted)
}

/// Writes a file, unless it has these bytes already.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes all files in `folder` but the wanted ones.
fn remove_others(folder: &Path, wanted: &HashSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
