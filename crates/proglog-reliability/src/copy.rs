//! Folders kept equal to the workspace, so that Cargo rebuilds only what differs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::workspace::{root, run};

/// Makes `folder` equal to the workspace. Equal files keep their time, so Cargo does not rebuild them.
pub(crate) fn mirror(folder: &Path) -> anyhow::Result<()> {
    let mut wanted = HashSet::new();
    for name in names()? {
        // Listed files may have been removed since.
        let Ok(bytes) = fs::read(root().join(&name)) else {
            continue;
        };
        let to = folder.join(name);
        put(&to, &bytes)?;
        wanted.insert(to);
    }
    remove_others(folder, &wanted)
}

/// The files of the workspace, without those that Git ignores.
fn names() -> anyhow::Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(root());
    let names = String::from_utf8(run(&mut git)?).context("a file's name is not Unicode")?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(PathBuf::from).collect())
}

/// Writes a file, unless it has these bytes already.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes all files in `folder` but the wanted ones.
pub(crate) fn remove_others(folder: &Path, wanted: &HashSet<PathBuf>) -> anyhow::Result<()> {
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
