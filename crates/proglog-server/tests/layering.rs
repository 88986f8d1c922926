//! The order of the crates: each depends on those below it alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates of this workspace that `package` depends on.
fn layers_below(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(["--depth", "1", "--prefix", "none"])
        .args(["--all-features", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let ours = names.filter(|name| name.starts_with("proglog-") && *name != package);
    ours.map(str::to_owned).collect()
}

#[test]
fn each_crate_depends_on_the_layers_below_it_and_on_no_other() {
    for (package, below) in [
        ("proglog-api", &[][..]),
        ("proglog-store", &[]),
        ("proglog-log", &["proglog-api", "proglog-store"]),
        ("proglog-server", &["proglog-api", "proglog-log"]),
    ] {
        let below = below.iter().copied().map(str::to_owned).collect();
        assert_eq!(layers_below(package), below, "{package}");
    }
}
