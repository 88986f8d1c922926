//! The order of the crates, and of the modules in each.
//!
//! The checks read the text of the sources: paths that begin with `crate`, `super`, `self` or the name of a child module.
//! They leave out comments, tests, and re-exports of child modules.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top modules of a crate in order: each uses only those before it.
const ORDERS: [(&str, &str); 3] = [
    (
        "proglog-store",
        "position sync format error io options scan recovery store segment testing",
    ),
    (
        "proglog-log",
        "offset clock sync retention stat error record producers runtime layout observer commit segment options read commit_log engine \
         open memory read_only log testing",
    ),
    (
        "proglog-broker",
        "name id config meta threads error options admission nearest backoff backend wait cursor producers ends open_log slot logs \
         verification handle cursors upkeep broker",
    ),
];

/// The most lines of a source file that is not generated.
const LINES_MAX: usize = 500;

/// The modules of a crate by their paths, and what each uses of them. The root is the empty path.
type Uses = BTreeMap<Module, BTreeSet<Module>>;
type Module = Vec<String>;

#[test]
fn each_crate_depends_on_the_layers_below_it_and_on_no_other() {
    for (package, below) in [
        ("proglog-api", &[][..]),
        ("proglog-store", &[]),
        ("proglog-log", &["proglog-api", "proglog-store"]),
        ("proglog-broker", &["proglog-log"]),
        (
            "proglog-server",
            &["proglog-api", "proglog-broker", "proglog-log"],
        ),
    ] {
        let below = below.iter().copied().map(str::to_owned).collect();
        assert_eq!(layers_below(package), below, "{package}");
    }
}

#[test]
fn each_module_uses_only_those_before_it() {
    for (package, order) in ORDERS {
        let order: Vec<_> = order.split(' ').collect();
        let rank = |module: &Module| {
            let top = module.first()?;
            let rank = order.iter().position(|name| name == top);
            Some(rank.unwrap_or_else(|| panic!("{package}: the order lacks {top}")))
        };
        for (module, used) in uses(&crates().join(package).join("src")) {
            let Some(own) = rank(&module) else { continue };
            let above = used
                .into_iter()
                .filter(|used| rank(used).is_none_or(|rank| rank > own));
            let above: Vec<_> = above.map(|used| used.join("::")).collect();
            assert!(
                above.is_empty(),
                "{package}: {} uses {above:?}",
                module.join("::")
            );
        }
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let roots = roots();
    assert!(roots.len() > 8, "{roots:?}");
    for root in roots {
        let mut left = uses(&root);
        // A file that uses nothing that is left, or that nothing left uses, is part of no circle.
        loop {
            let files: BTreeSet<_> = left.keys().cloned().collect();
            let used: BTreeSet<_> = left.values().flatten().cloned().collect();
            left.retain(|file, uses| {
                uses.retain(|used| files.contains(used));
                used.contains(file) && !uses.is_empty()
            });
            if left.len() == files.len() {
                break;
            }
        }
        let arrows = left.iter().flat_map(|(file, uses)| {
            let from = file.join("::");
            uses.iter()
                .map(move |used| format!("{from} uses {}", used.join("::")))
        });
        let arrows: Vec<_> = arrows.collect();
        assert!(
            arrows.is_empty(),
            "a circle in {}: {arrows:#?}",
            root.display()
        );
    }
}

#[test]
fn no_source_file_is_longer_than_it_may_be() {
    for path in roots().iter().flat_map(|root| modules(root).into_values()) {
        let source = fs::read_to_string(&path).unwrap();
        let lines = source.lines().count();
        let is_generated = source.starts_with("// This file is @generated");
        assert!(
            is_generated || lines <= LINES_MAX,
            "{} has {lines} lines",
            path.display()
        );
    }
}

fn crates() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The crates of this workspace that `package` depends on.
fn layers_below(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(["--depth", "1", "--prefix", "none"])
        .args(["--all-features", "--offline"])
        .current_dir(crates())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let ours = names.filter(|name| name.starts_with("proglog-") && *name != package);
    ours.map(str::to_owned).collect()
}

/// All folders below `crates` with the root of a library or a program.
fn roots() -> Vec<PathBuf> {
    let (mut roots, mut folders) = (Vec::new(), vec![crates().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_dir() && name != "target" && name != "tests" {
                folders.push(path);
            } else if name == "lib.rs" || name == "main.rs" {
                roots.push(path.parent().unwrap().to_owned());
            }
        }
    }
    roots.sort();
    roots.dedup();
    roots
}

/// The files of the modules below a root. Tests and programs beside a library are left out.
fn modules(root: &Path) -> BTreeMap<Module, PathBuf> {
    let (mut modules, mut folders) = (BTreeMap::new(), vec![(Module::new(), root.to_owned())]);
    while let Some((module, folder)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let child = [&module[..], &[name.to_owned()]].concat();
            if path.is_dir() && name != "bin" {
                folders.push((child, path));
            } else if path.extension().is_some_and(|end| end == "rs") && name != "tests" {
                let is_root = ["lib", "main", "mod"].contains(&name);
                modules.insert(if is_root { module.clone() } else { child }, path);
            }
        }
    }
    modules
}

fn uses(root: &Path) -> Uses {
    let modules = modules(root);
    let known: BTreeSet<_> = modules.keys().cloned().collect();
    let used = modules.into_iter().map(|(module, path)| {
        let code = without_tests(&fs::read_to_string(path).unwrap());
        let used = paths(&without_reexports(&code, &module, &known), &module, &known);
        let used = used.into_iter().map(|mut path| {
            // The rest names an item in it.
            while !known.contains(&path) {
                path.pop();
            }
            path
        });
        let used = used.filter(|used| *used != module).collect();
        (module, used)
    });
    used.collect()
}

/// Code without comments and test modules.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let skipped = lines.by_ref().find(|line| !line.starts_with("#["));
            if skipped.is_some_and(|line| line.ends_with('{')) {
                lines.find(|line| *line == "}");
            }
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Code without `pub use` of child modules.
fn without_reexports(code: &str, module: &Module, known: &BTreeSet<Module>) -> String {
    let own = [&["crate".to_owned()], &module[..], &[String::new()]]
        .concat()
        .join("::");
    let is_child = |path: &str| {
        let path = path
            .strip_prefix("self::")
            .or(path.strip_prefix(&own))
            .unwrap_or(path);
        let name = path.split("::").next().unwrap_or_default();
        known.contains(&[&module[..], &[name.to_owned()]].concat())
    };
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let path = line
            .strip_prefix("pub use ")
            .or(line.strip_prefix("pub(crate) use "));
        if !path.is_some_and(is_child) {
            kept.push_str(line);
            kept.push('\n');
        } else if !line.ends_with(';') {
            lines.find(|line| line.ends_with(';'));
        }
    }
    kept
}

/// The paths in the code, from the root of the crate.
fn paths(code: &str, module: &Module, known: &BTreeSet<Module>) -> Vec<Module> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let name = code[..at]
            .rsplit(|c: char| !is_name(c))
            .next()
            .unwrap_or_default();
        let before = &code[..at - name.len()];
        if before.ends_with("::") {
            continue;
        }
        let child = [&module[..], &[name.to_owned()]].concat();
        let mut rest = &code[at + 2..];
        let mut base = match name {
            "crate" => Module::new(),
            "self" => module.clone(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            _ if known.contains(&child) && !before.ends_with("mod ") => child,
            _ => continue,
        };
        while let Some(above) = rest.strip_prefix("super::") {
            base.pop();
            rest = above;
        }
        expand(base, rest, &mut found);
    }
    found
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Adds the path that continues with `rest`, or those of a group in braces.
fn expand(mut path: Module, rest: &str, found: &mut Vec<Module>) {
    if let Some(group) = rest.strip_prefix('{') {
        for item in items(group) {
            expand(path.clone(), item.trim_start(), found);
        }
        return;
    }
    let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(len);
    if name != "self" {
        path.push(name.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(rest) => expand(path, rest, found),
        None => found.push(path),
    }
}

/// The items of a group, up to the brace that closes it.
fn items(group: &str) -> Vec<&str> {
    let (mut items, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                items.push(&group[start..at]);
                break;
            }
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}
