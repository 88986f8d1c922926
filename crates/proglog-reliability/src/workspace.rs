//! The workspace this program was built in, and where Cargo builds what the rows need.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The file of Cargo's settings.
pub(crate) const CONFIG_FILE: &str = ".cargo/config.toml";

/// The top of the workspace.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// Cargo's target directory.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Cargo's folder for intermediate artifacts. Copies of the workspace share it, so that each dependency is built once.
/// Their own packages have another profile, and so do not mix with those of the workspace.
pub(crate) fn build_dir() -> PathBuf {
    std::env::var_os("CARGO_BUILD_BUILD_DIR").map_or_else(target, PathBuf::from)
}

/// The folder for everything that this program makes. Copies of the workspace share it too: below a build directory
/// Cargo does not distinguish equal packages in different folders.
pub(crate) fn scratch() -> PathBuf {
    build_dir().join("reliability")
}

/// Cargo, run in `folder`. Final artifacts go to the folder `target`.
pub(crate) fn cargo(folder: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_BUILD_BUILD_DIR", build_dir())
        // A target triple would add a folder to the path of each artifact.
        .env_remove("CARGO_BUILD_TARGET");
    cargo
}

/// Builds a program of this workspace next to the running one, with the same profile.
pub(crate) fn build(program: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("this program has no path")?;
    let built = this.parent().context("a program is in a folder")?;
    let target = built.parent().context("each profile has a folder")?;
    let mut cargo = cargo(root(), target);
    cargo.args(["build", "--bin", program]).args(SHARED);
    match built.file_name().and_then(|profile| profile.to_str()) {
        Some("debug") => {}
        Some("release") => _ = cargo.arg("--release"),
        _ => anyhow::bail!("{} belongs to no known profile", built.display()),
    }
    run(&mut cargo).with_context(|| format!("{program} does not compile"))?;
    Ok(built.join(program))
}

/// The packages and a target that every build selects: Cargo derives the features of dependencies from the
/// selection, and builds a dependency again for each set of features.
pub(crate) const SHARED: [&str; 4] = ["--quiet", "--workspace", "--test", "crash"];

/// Runs Git in `folder`; returns its standard output.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    git.args(arguments)
        .current_dir(folder)
        // A Git hook sets these for the repository that it runs in.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE");
    String::from_utf8(run(&mut git)?).context("what Git prints is not Unicode")
}

/// Runs a command to its end; returns its standard output. The error has the standard error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} fails: {errors}");
    Ok(output.stdout)
}
