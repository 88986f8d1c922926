//! The modules of the crate import each other in one direction.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules at the top of `src`. Each may import those before it.
const ORDER: [&str; 12] = [
    "position", "sync", "format", "error", "io", "options", "scan", "recovery", "store", "segment",
    "lib", "testing",
];

fn source_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn rank(module: &str) -> usize {
    let rank = ORDER.iter().position(|name| *name == module);
    rank.unwrap_or_else(|| panic!("`{module}` has no place in the order"))
}

/// The modules named after `crate::` outside of comments and tests.
fn imports(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
    lines.flat_map(|line| {
        line.split("crate::").skip(1).map(|path| {
            let end = path.find(|next: char| !next.is_alphanumeric() && next != '_');
            &path[..end.unwrap_or(path.len())]
        })
    })
}

#[test]
fn each_module_imports_only_those_before_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&root, &mut files);
    let mut count = 0;
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        let module = path.iter().next().unwrap().to_str().unwrap();
        for import in imports(&fs::read_to_string(file).unwrap()) {
            assert!(
                rank(import) <= rank(module),
                "{} imports `{import}`",
                file.display()
            );
            count += 1;
        }
    }
    assert!(count > 100, "found {count} imports");
}
