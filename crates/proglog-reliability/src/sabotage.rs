//! A copy of the workspace that is damaged on purpose, by one patch at a time.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::copy::mirror;
use crate::report::Line;
use crate::system::limit;
use crate::workspace::{self, CONFIG_FILE, SHARED, cargo, git, root, scratch};

/// No row and no test takes this long; one that does because of a sabotage has not caught it.
const RUN_MAX: Duration = Duration::from_mins(10);

const PROGRAM: &str = "proglog-reliability";

/// The folder of the patches.
const PATCHES: &str = "crates/proglog-reliability/sabotage";

/// The profile of a copy, whose packages are built again for each patch and run briefly. The dependencies are built
/// as in the workspace, which has built them.
const CONFIG: &str = "
[profile.dev.package]
proglog-api.opt-level = 0
proglog-fuzz.opt-level = 0
proglog-harness.opt-level = 0
proglog-log.opt-level = 0
proglog-reliability.opt-level = 0
proglog-server.opt-level = 0
proglog-store.opt-level = 0
";

/// A patch, and what has to catch it besides rows.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) name: String,
    /// The test that its line `Caught by: <package> <target> <test>` names.
    pub(crate) test: Option<Test>,
}

/// A test of the workspace.
#[derive(Debug)]
pub(crate) struct Test {
    /// The test target, of any package.
    target: String,
    /// The name, with its modules.
    name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All patches, by name.
pub(crate) fn patches() -> anyhow::Result<Vec<Patch>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(root().join(PATCHES))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.context("a patch's name is not Unicode")?.to_owned();
        let content = fs::read_to_string(&path)?;
        let line = content
            .lines()
            .find_map(|line| line.strip_prefix("Caught by: "));
        let test = line.map(|line| match *line.split(' ').collect::<Vec<_>>() {
            [_, target, name] => Ok(Test {
                target: target.to_owned(),
                name: name.to_owned(),
            }),
            _ => bail!("{name}: a package, a target and a test are not named by {line:?}"),
        });
        let test = test.transpose()?;
        patches.push(Patch { name, test });
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(patches)
}

/// The copy. It stays in one place, so that Cargo rebuilds only what a patch touches.
#[derive(Debug)]
pub(crate) struct Copy {
    path: PathBuf,
    target: PathBuf,
}

impl Copy {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let path = scratch().join("copy");
        mirror(&path, |name, mut bytes| {
            if name == CONFIG_FILE {
                bytes.extend_from_slice(CONFIG.as_bytes());
            }
            bytes
        })?;
        git(&path, &["init", "--quiet"])?;
        git(&path, &["add", "--all"])?;
        let target = scratch().join("copied");
        Ok(Self { path, target })
    }

    /// Replaces the applied patch by this one, and builds the program if a row is to run.
    pub(crate) fn sabotage(&self, patch: &str, has_rows: bool) -> anyhow::Result<()> {
        git(&self.path, &["checkout", "--quiet", "."])?;
        let file = root().join(PATCHES).join(format!("{patch}.patch"));
        let file = file.to_str().context("its name is not Unicode")?;
        git(&self.path, &["apply", file]).context("the patch does not apply")?;
        let mut build = self.cargo();
        build.arg("build").args(SHARED);
        if has_rows {
            build.args(["--bin", PROGRAM]);
        }
        workspace::run(&mut build).context("it does not compile")?;
        Ok(())
    }

    fn cargo(&self) -> Command {
        let mut cargo = cargo(&self.path, &self.target);
        cargo.env("CARGO_INCREMENTAL", "1");
        cargo
    }

    /// Runs a row until it finds something bad, and returns that too; fails if it finds nothing.
    pub(crate) fn run(&self, row: &str, seed: u64) -> anyhow::Result<(Line, String)> {
        let Self { path, target } = self;
        let mut command = Command::new(target.join("debug").join(PROGRAM));
        command
            .args([row, "--until-bad", "--seed", &seed.to_string()])
            .current_dir(path)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_BUILD_BUILD_DIR", workspace::build_dir())
            .stderr(Stdio::piped());
        let (output, hangs) = limit::output(&mut command, RUN_MAX)?;
        ensure!(!hangs, "it did not end");
        let errors = String::from_utf8_lossy(&output.stderr);
        let output = String::from_utf8(output.stdout)?;
        let line = output.lines().next().context("there is no output")?;
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("the output is {line:?}"))?;
        let finding = line.figures.finding.clone();
        let finding = finding.with_context(|| format!("it is not caught. {errors}"))?;
        Ok((line, finding))
    }

    /// Fails unless this test fails.
    pub(crate) fn run_test(&self, test: &Test) -> anyhow::Result<()> {
        let Test { target, name: test } = test;
        let mut command = self.cargo();
        command
            .args(["test", "--quiet", "--workspace", "--test", target])
            .args(["--", "--exact", test])
            .env_remove("RUST_BACKTRACE")
            .stderr(Stdio::null());
        let (output, hangs) = limit::output(&mut command, RUN_MAX)?;
        ensure!(!hangs, "the test {test} does not end");
        let output = String::from_utf8_lossy(&output.stdout);
        // The second form is of a list of failures: quiet runs print dots.
        let has_failed = output.lines().any(|line| {
            line.strip_prefix("    ") == Some(test)
                || line
                    .strip_prefix("test ")
                    .and_then(|line| line.strip_prefix(test))
                    == Some(" ... FAILED")
        });
        ensure!(has_failed, "the test {test} does not fail: {output}");
        Ok(())
    }
}
