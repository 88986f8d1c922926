//! Where mutants are made and tried: a copy of the workspace, in which cargo-mutants changes one place
//! after the other.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail, ensure};
use tempfile::NamedTempFile;

use crate::copy::{mirror, target, workspace};

/// A package whose mutants are tried.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// Its tests in lots, the quick ones first: only what survives a lot is tried with the next.
    pub(crate) lots: &'static [Lot],
}

impl Package {
    /// No test is left out, that is: no file, and no folder with a `main.rs`.
    fn check_tests(&self) -> anyhow::Result<()> {
        let folder = workspace().join("crates").join(self.name).join("tests");
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_test =
                path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let mut lots = self.lots.iter();
            let is_known = name == OF_DOUBLE || lots.any(|lot| lot.tests.contains(&name));
            ensure!(
                is_known || !is_test,
                "no lot has the test {name} of {}",
                self.name
            );
        }
        Ok(())
    }
}

/// Tests that are run together on a mutant.
#[derive(Debug)]
pub(crate) struct Lot {
    /// With those in the package's sources.
    lib: bool,
    tests: &'static [&'static str],
    /// Tests that go on for so many seconds are taken for tests that do not end.
    seconds_max: u32,
}

const fn quick(tests: &'static [&'static str]) -> Lot {
    Lot {
        lib: true,
        tests,
        seconds_max: 60,
    }
}

const fn slow(tests: &'static [&'static str]) -> Lot {
    Lot {
        lib: false,
        tests,
        seconds_max: 600,
    }
}

pub(crate) const PACKAGES: [Package; 2] = [
    Package {
        name: "proglog-store",
        lots: &[
            quick(&["append", "compat", "model", "recover"]),
            slow(&["crash"]),
        ],
    },
    Package {
        name: "proglog-log",
        lots: &[
            quick(&[
                "by_hand",
                "compat",
                "concurrency",
                "following",
                "model",
                "operations",
                "regressions",
                "relative_path",
                "runtime",
                "scenarios",
                "tickets",
            ]),
            slow(&["damage"]),
            slow(&["crash", "full_disk"]),
        ],
    },
];

/// The double is no part of the product; and these are the tests of it.
const OF_DOUBLE: &str = "double";
const NOT_TRIED: [&str; 1] = ["crates/proglog-store/src/testing/**"];

/// How many seconds a build may take. One that loops is taken for one that fails.
const BUILD_SECONDS_MAX: &str = "600";

/// A change to the code.
#[derive(Debug, Clone)]
pub(crate) struct Mutant {
    /// As cargo-mutants names it, with the line and the column.
    pub(crate) name: String,
    pub(crate) package: &'static str,
    /// What changes, and the line that it is in: this stays the same when lines above it change.
    pub(crate) what: String,
    file: String,
    line: usize,
    /// The line that it begins in.
    text: String,
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Caught,
    /// The tests did not end, which anyone would notice.
    TimedOut,
    Survived,
    /// It does not compile.
    Unviable,
}

/// The files in which cargo-mutants tells of each.
const FATES: [(&str, Fate); 4] = [
    ("caught.txt", Fate::Caught),
    ("timeout.txt", Fate::TimedOut),
    ("missed.txt", Fate::Survived),
    ("unviable.txt", Fate::Unviable),
];

/// The copy that is changed.
#[derive(Debug)]
pub(crate) struct Lab {
    path: PathBuf,
    target: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let target = target();
        let path = target.join("mutated");
        PACKAGES.iter().try_for_each(Package::check_tests)?;
        mirror(&path)?;
        Ok(Self { path, target })
    }

    /// All mutants; or those of the lines that a diff changes.
    pub(crate) fn list(&self, diff: Option<&Path>) -> anyhow::Result<Vec<Mutant>> {
        let mut command = self.cargo();
        // What it tells by the way would stand in the list.
        command.args(["--list", "--level", "error"]);
        for package in &PACKAGES {
            command.args(["--package", package.name]);
        }
        for file in NOT_TRIED {
            command.args(["--exclude", file]);
        }
        if let Some(diff) = diff {
            command.arg("--in-diff").arg(diff);
        }
        let output = command.output().context("cannot run cargo-mutants")?;
        ensure!(output.status.success(), "{}", told(&output));
        let listed = String::from_utf8(output.stdout).context("the list is not Unicode")?;
        let mut texts = HashMap::new();
        listed
            .lines()
            .map(|name| self.mutant(name, &mut texts))
            .collect()
    }

    /// The mutant of this name, which begins with a file, a line and a column.
    fn mutant(&self, name: &str, texts: &mut HashMap<String, String>) -> anyhow::Result<Mutant> {
        let parts: Vec<_> = name.splitn(4, ':').collect();
        let [file, line, _, change] = parts[..] else {
            bail!("it is not told where this mutant is: {name}");
        };
        let package = PACKAGES
            .iter()
            .find(|package| file.split('/').nth(1) == Some(package.name));
        let package = package.with_context(|| format!("of no package: {name}"))?;
        if !texts.contains_key(file) {
            texts.insert(file.to_owned(), fs::read_to_string(self.path.join(file))?);
        }
        let line = line.parse::<usize>()?;
        let text = texts[file].lines().nth(line.saturating_sub(1));
        let text = text.with_context(|| format!("its line is not there: {name}"))?;
        Ok(Mutant {
            name: name.to_owned(),
            package: package.name,
            what: format!("{file}:{change} | {}", text.trim()),
            file: file.to_owned(),
            line,
            text: text.to_owned(),
        })
    }

    /// What becomes of each of these mutants, all of one package, with these of its tests: they have to pass
    /// on the unchanged code first, as all mutants would be caught if they do not.
    pub(crate) fn try_all<'a>(
        &self,
        mutants: &[&'a Mutant],
        package: &Package,
        lot: &Lot,
    ) -> anyhow::Result<Vec<(&'a Mutant, Fate)>> {
        let told_in = self.target.join("mutants-told");
        fs::create_dir_all(&told_in)?;
        let mut command = self.cargo();
        command
            .args(["--in-place", "--profile", "mutants", "--no-shuffle"])
            .args(["--package", package.name])
            .args(["--timeout", &lot.seconds_max.to_string()])
            .args(["--build-timeout", BUILD_SECONDS_MAX])
            .arg("--output")
            .arg(&told_in);
        for mutant in mutants {
            command.args(["--re", &format!("^{}$", escaped(&mutant.name))]);
        }
        // Mutants that leave a field out are tried whatever the names asked for, if their line changes.
        let lines = lines_of(mutants)?;
        command.arg("--in-diff").arg(lines.path());
        if lot.lib {
            command.arg("--cargo-arg=--lib");
        }
        for test in lot.tests {
            command.arg(format!("--cargo-arg=--test={test}"));
        }
        let output = command.output().context("cannot run cargo-mutants")?;
        // It tells by its status that some survived, or timed out.
        if !matches!(output.status.code(), Some(0 | 2 | 3)) {
            bail!("{}", told(&output));
        }
        fates(mutants, &told_in.join("mutants.out"))
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["mutants", "--colors", "never"])
            .current_dir(&self.path)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            .env_remove("RUST_BACKTRACE");
        cargo
    }
}

/// A diff by which the lines that these mutants begin in are new, and no others.
fn lines_of(mutants: &[&Mutant]) -> anyhow::Result<NamedTempFile> {
    let mut files = BTreeMap::<_, BTreeMap<_, _>>::new();
    for mutant in mutants {
        let lines = files.entry(&mutant.file).or_default();
        lines.insert(mutant.line, &mutant.text);
    }
    let mut diff = NamedTempFile::new().context("cannot make a file")?;
    for (file, lines) in files {
        writeln!(diff, "--- a/{file}\n+++ b/{file}")?;
        for (line, text) in lines {
            writeln!(diff, "@@ -{line},0 +{line} @@\n+{text}")?;
        }
    }
    Ok(diff)
}

fn fates<'a>(mutants: &[&'a Mutant], told_in: &Path) -> anyhow::Result<Vec<(&'a Mutant, Fate)>> {
    let mut fates = Vec::new();
    for (file, fate) in FATES {
        let text = fs::read_to_string(told_in.join(file))
            .with_context(|| format!("cannot read {file}"))?;
        for name in text.lines() {
            // Others may have been tried by the way.
            if let Some(mutant) = mutants.iter().find(|mutant| mutant.name == name) {
                fates.push((*mutant, fate));
            }
        }
    }
    ensure!(
        fates.len() == mutants.len(),
        "{} of {} mutants were tried",
        fates.len(),
        mutants.len()
    );
    Ok(fates)
}

/// What was changed in the packages' sources since this commit; without one, since they were listed, as in a copy.
pub(crate) fn diff(base: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let arguments = ["diff", "--no-ext-diff", "--no-color"].into_iter();
    let arguments: Vec<_> = arguments.chain(base).chain(["--"]).collect();
    let output = git(&arguments, &sources())?;
    ensure!(output.status.success(), "{}", told(&output));
    Ok(output.stdout)
}

/// The commit that the sources are compared with: the one that the table tells of, or the one before the
/// last that changed them. None where there is no history, as in a copy.
pub(crate) fn base() -> anyhow::Result<Option<String>> {
    let report = fs::read_to_string(workspace().join("RELIABILITY.md"))?;
    let row = report.lines().find(|line| line.starts_with("| 17 |"));
    let commit = row.and_then(|row| row.split('|').rev().nth(1));
    if let Some(commit) = commit {
        let commit = commit.trim().trim_end_matches("+changes");
        if is_commit(commit)? {
            return Ok(Some(commit.to_owned()));
        }
    }
    let last = git(&["log", "-1", "--format=%H", "--"], &sources())?;
    let before = format!("{}^", String::from_utf8_lossy(&last.stdout).trim());
    Ok(is_commit(&before)?.then_some(before))
}

fn is_commit(name: &str) -> anyhow::Result<bool> {
    let commit = format!("{name}^{{commit}}");
    let output = git(&["rev-parse", "--quiet", "--verify"], &[commit])?;
    Ok(output.status.success())
}

fn sources() -> [String; 2] {
    PACKAGES
        .each_ref()
        .map(|package| format!("crates/{}/src", package.name))
}

fn git(command: &[&str], what: &[impl AsRef<OsStr>]) -> anyhow::Result<Output> {
    Command::new("git")
        .args(command)
        .args(what)
        .current_dir(workspace())
        .output()
        .context("cannot run git")
}

/// A regular expression for just this text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The last of what a program told.
fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
