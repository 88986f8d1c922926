//! A copy of the workspace that is damaged on purpose.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::report::Line;
use crate::system::limit;

/// No row takes so long; one that does because of a sabotage has not caught it.
const RUN_MAX: Duration = Duration::from_mins(10);

/// The folder of what this program builds.
const NAME: &str = "reliability";

/// What this program is called.
const PROGRAM: &str = "proglog-reliability";

/// Where patches are.
const PATCHES: &str = "crates/proglog-reliability/sabotage";

/// How whatever is in a copy is built: again and again, and it rarely runs for long. What runs on every byte is
/// optimised all the same.
const CONFIG: &str = "
[profile.dev]
opt-level = 0
debug = false

[profile.dev.package]
crc-fast.opt-level = 3
memchr.opt-level = 3
";

/// The top of the workspace that this program was built in.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// Where everything is built that this program builds. A copy builds in the same folder as the workspace, so
/// that what neither of them changes is built once.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from);
    if target.ends_with(NAME) {
        return target;
    }
    target.join(NAME)
}

/// A copy of the workspace. It stays in the same place, so that what a sabotage does not touch is built
/// once.
#[derive(Debug)]
pub(crate) struct Copy {
    path: PathBuf,
    target: PathBuf,
    /// The patch that is in it.
    applied: Option<PathBuf>,
}

impl Copy {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let target = target();
        let path = target.join("copy");
        let new = Self {
            path,
            target,
            applied: None,
        };
        mirror(&new.path)?;
        // Of what is listed there the row `mutants` tells what a patch has changed.
        new.git(&["init", "--quiet"])?;
        new.git(&["add", "--all"])?;
        let config = ".cargo/config.toml";
        let of_workspace = fs::read_to_string(workspace().join(config)).unwrap_or_default();
        put(&new.path.join(config), (of_workspace + CONFIG).as_bytes())?;
        Ok(new)
    }

    /// Damages the copy by this patch alone.
    pub(crate) fn sabotage(&mut self, patch: &str) -> anyhow::Result<Sabotaged<'_>> {
        if let Some(applied) = self.applied.take() {
            self.apply(&applied, &["--reverse"])?;
        }
        let file = workspace().join(PATCHES).join(format!("{patch}.patch"));
        ensure!(file.exists(), "there is no patch {patch}");
        self.apply(&file, &[])?;
        self.applied = Some(file);
        let program = build(PROGRAM, &self.path, &self.target.join("debug"))?;
        Ok(Sabotaged {
            copy: self,
            program,
        })
    }

    fn apply(&self, patch: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        let patch = patch.to_str().context("its name is not Unicode")?;
        self.git(&[&["apply"], arguments, &[patch]].concat())
            .context("the patch does not apply")
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(&self.path)
            // A hook of the repository that this is a copy of has these set.
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .output()
            .context("cannot run git")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {arguments:?}: {told}");
        Ok(())
    }
}

/// Makes `folder` equal to the workspace. Files that are equal are left alone: they need not be built.
pub(crate) fn mirror(folder: &Path) -> anyhow::Result<()> {
    let mut wanted = HashSet::new();
    for name in names()? {
        let (from, to) = (workspace().join(&name), folder.join(name));
        // Listed, and removed since.
        let Ok(bytes) = fs::read(&from) else { continue };
        put(&to, &bytes)?;
        wanted.insert(to);
    }
    remove_others(folder, &wanted)
}

/// The files of the workspace. A copy has no others.
fn names() -> anyhow::Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(workspace())
        .output()
        .context("cannot run git")?;
    ensure!(listed.status.success(), "git cannot list the files");
    let names = String::from_utf8(listed.stdout).context("a file's name is not Unicode")?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(PathBuf::from).collect())
}

/// Builds a program of the workspace in `folder`, and returns where it is: in `built`, a target's folder for one
/// profile. The whole workspace tells which features its dependencies have, so that its programs share them.
pub(crate) fn build(program: &str, folder: &Path, built: &Path) -> anyhow::Result<PathBuf> {
    let is_copy = folder.starts_with(target());
    let target = built
        .parent()
        .context("a target has a folder for each profile")?;
    let is_release = built.ends_with("release");
    let is_known = is_release || built.ends_with("debug");
    ensure!(is_known, "of which profile is {}?", built.display());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--workspace", "--bin", program])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        // It would be built elsewhere.
        .env_remove("CARGO_BUILD_TARGET");
    if is_release {
        cargo.arg("--release");
    }
    if is_copy {
        // It is built again and again.
        cargo.env("CARGO_INCREMENTAL", "1");
    } else if !is_release {
        // Whoever tests the workspace has built it with these, which takes other features.
        cargo.arg("--examples");
    }
    let output = cargo.output().context("cannot run cargo")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} does not compile: {told}"
    );
    Ok(built.join(program))
}

/// Sees to it that the file at `path` has these bytes. One that has them is left alone: what is made of it need
/// not be made anew.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes all files in `folder` but those that are wanted.
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

/// A copy that was damaged and built.
#[derive(Debug)]
pub(crate) struct Sabotaged<'a> {
    copy: &'a Copy,
    program: PathBuf,
}

impl Sabotaged<'_> {
    /// Runs a row there, until it tells of something bad.
    pub(crate) fn run(&self, row: &str, seed: u64) -> anyhow::Result<Line> {
        let mut command = Command::new(&self.program);
        command
            .args([row, "--until-bad", "--seed", &seed.to_string()])
            .current_dir(&self.copy.path)
            .env("CARGO_TARGET_DIR", &self.copy.target)
            .stderr(Stdio::null());
        let (output, hangs) = limit::output(&mut command, RUN_MAX)?;
        ensure!(!hangs, "it did not end");
        let told = String::from_utf8(output.stdout)?;
        let line = told.lines().next().context("it told nothing")?;
        serde_json::from_str(line).with_context(|| format!("it told {line:?}"))
    }
}
