//! Where mutants are made and tried: a copy of the workspace, in which cargo-mutants changes one place
//! after the other.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail, ensure};

use crate::copy::{mirror, target, workspace};

/// A package whose mutants are tried.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// The tests beside those in its sources that are quick.
    pub(crate) quick: &'static [&'static str],
    /// Those that take long: only what survives the others is tried with them.
    pub(crate) slow: &'static [&'static str],
}

pub(crate) const PACKAGES: [Package; 2] = [
    Package {
        name: "proglog-store",
        quick: &["append", "compat", "model", "recover"],
        slow: &["crash"],
    },
    Package {
        name: "proglog-log",
        quick: &[
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
        ],
        slow: &["crash", "damage", "full_disk"],
    },
];

/// The double is no part of the product.
const NOT_TRIED: [&str; 2] = [
    "crates/proglog-store/src/testing.rs",
    "crates/proglog-store/src/testing/**",
];

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

/// How mutants are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial<'a> {
    pub(crate) package: &'a Package,
    /// With the tests that take long, too.
    pub(crate) slow: bool,
    /// Whether the tests have to pass on the unchanged code first: all mutants would be caught if they do not.
    pub(crate) baseline: bool,
}

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
        let code = texts[file].lines().nth(line.parse::<usize>()? - 1);
        let code = code.unwrap_or_default().trim();
        Ok(Mutant {
            name: name.to_owned(),
            package: package.name,
            what: format!("{file}:{change} | {code}"),
        })
    }

    /// What becomes of each of these mutants, all of one package.
    pub(crate) fn try_all<'a>(
        &self,
        mutants: &[&'a Mutant],
        trial: Trial<'_>,
    ) -> anyhow::Result<Vec<(&'a Mutant, Fate)>> {
        let Trial { package, slow, .. } = trial;
        let told_in = self.target.join("mutants-told");
        fs::create_dir_all(&told_in)?;
        let mut command = self.cargo();
        command
            .args(["--in-place", "--profile", "mutants", "--no-shuffle"])
            .args(["--package", package.name])
            .args(["--baseline", if trial.baseline { "run" } else { "skip" }])
            .args(["--timeout", if slow { "600" } else { "120" }])
            .args(["--build-timeout", BUILD_SECONDS_MAX])
            .arg("--output")
            .arg(&told_in);
        for mutant in mutants {
            // Mutants that leave a field out are tried whatever the names asked for, if their file is.
            let file = mutant.name.split(':').next().unwrap_or_default();
            command.args(["--file", file]);
            command.args(["--re", &format!("^{}$", escaped(&mutant.name))]);
        }
        if !slow {
            command.arg("--cargo-arg=--lib");
        }
        for test in if slow { package.slow } else { package.quick } {
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

/// What was changed in the packages' sources since they were tried.
pub(crate) fn diff() -> anyhow::Result<Option<Vec<u8>>> {
    let Some(base) = base()? else {
        return Ok(None);
    };
    let mut arguments = ["diff", "--no-ext-diff", "--no-color", &base, "--"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(sources());
    let output = git(&arguments)?;
    Ok(output.status.success().then_some(output.stdout))
}

/// The commit that the sources are compared with: the one that the table tells of, or the one before the
/// last that changed them. None where there is no history, as in a copy.
fn base() -> anyhow::Result<Option<String>> {
    let report = fs::read_to_string(workspace().join("RELIABILITY.md"))?;
    let row = report.lines().find(|line| line.starts_with("| 17 |"));
    let commit = row.and_then(|row| row.split('|').rev().nth(1));
    if let Some(commit) = commit {
        let commit = commit.trim().trim_end_matches("+changes");
        if is_commit(commit)? {
            return Ok(Some(commit.to_owned()));
        }
    }
    let mut arguments = ["log", "-1", "--format=%H", "--"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(sources());
    let last = git(&arguments)?;
    let before = format!("{}^", String::from_utf8_lossy(&last.stdout).trim());
    Ok(is_commit(&before)?.then_some(before))
}

fn is_commit(name: &str) -> anyhow::Result<bool> {
    let arguments = ["rev-parse", "--quiet", "--verify"].map(str::to_owned);
    let output = git(&[&arguments[..], &[format!("{name}^{{commit}}")]].concat())?;
    Ok(output.status.success())
}

fn sources() -> impl Iterator<Item = String> {
    PACKAGES
        .iter()
        .map(|package| format!("crates/{}/src", package.name))
}

fn git(arguments: &[String]) -> anyhow::Result<Output> {
    Command::new("git")
        .args(arguments)
        .current_dir(workspace())
        // A copy lies within a repository, and is not part of it.
        .env("GIT_CEILING_DIRECTORIES", target())
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
