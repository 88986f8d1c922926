//! The order of the modules: each imports only those before it, and no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules at the top of the crate. Those of one line may import each other.
const ORDER: [&[&str]; 10] = [
    &["offset", "clock", "sync", "retention", "options", "error"],
    &["record", "runtime"],
    &["layout", "commit"],
    &["segment"],
    &["read"],
    &["engine", "commit_log"],
    &["open", "memory"],
    &["read_only"],
    &["log"],
    &["testing"],
];

/// Imports of each module, both as paths from the root such as `read::view`. Unit tests do not count.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn imports() -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut texts = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(&root).expect("it is in the folder");
        let path = path.with_extension("");
        let names = path
            .iter()
            .map(|name| name.to_str().expect("a name is text"));
        let names: Vec<_> = names.filter(|name| *name != "mod").collect();
        let text = fs::read_to_string(&file).expect("a source can be read");
        texts.insert(names.join("::"), text);
    }
    texts.remove("lib");
    let modules: BTreeSet<String> = texts.keys().cloned().collect();
    let imports = texts
        .into_iter()
        .filter(|(module, _)| !module.ends_with("tests"))
        .map(|(module, text)| {
            let mut imported = imported(&text, &modules);
            imported.remove(&module);
            (module, imported)
        });
    imports.collect()
}

/// Modules that the text of a file names in `use crate::` items outside its unit tests.
fn imported(text: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next();
    let items = text.unwrap_or_default().split("\nuse crate::").skip(1);
    let mut imported = BTreeSet::new();
    for item in items {
        let path = item.split(';').next().unwrap_or_default();
        let (prefix, names) = path.split_once("::{").unwrap_or((path, "self"));
        for name in names.split([',', '}']).map(str::trim) {
            let whole = format!("{prefix}::{name}");
            // The module, or that of the item.
            let parent = prefix
                .rsplit_once("::")
                .map_or(prefix, |(parent, _)| parent);
            let module = [whole.as_str(), prefix, parent].into_iter();
            imported.extend(
                module
                    .filter(|path| modules.contains(*path))
                    .map(str::to_owned)
                    .next(),
            );
        }
    }
    imported
}

fn rank(module: &str) -> usize {
    let top = module.split("::").next().unwrap_or(module);
    let rank = ORDER.iter().position(|modules| modules.contains(&top));
    rank.unwrap_or_else(|| panic!("{top} has no place in the order"))
}

#[test]
fn no_module_imports_a_later_one() {
    let imports = imports();
    assert!(imports["engine::append"].contains("engine::writer"));
    assert!(imports["read::cursor"].contains("read::view"));
    for (module, imported) in &imports {
        for other in imported {
            assert!(rank(other) <= rank(module), "{module} imports {other}");
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut left = imports();
    // Takes away files that import none of those left, until there are no more.
    loop {
        let done: BTreeSet<String> = left
            .iter()
            .filter(|(_, imported)| !imported.iter().any(|other| left.contains_key(other)))
            .map(|(module, _)| module.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module, _| !done.contains(module));
    }
    assert!(left.is_empty(), "in a circle, or importing one: {left:#?}");
}
