//! Mutants of the store and the log, of which the tests have to catch all that are not known to survive.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, ensure};

use super::Row;
use crate::job::Job;
use crate::mutants::lab::{Fate, Lab, Mutant, PACKAGES, Package, base, diff};
use crate::mutants::survivors::Survivors;
use crate::system::Need;

/// How many mutants of changed lines one seed tries at the most.
const CHANGED_LEN: usize = 4;

/// How many of all mutants one seed of a soak tries.
const SOAK_LEN: usize = 32;

/// The mutants of this file are tried where fewer lines have changed: it is small. The sabotage adds to another one.
const SMALL: &str = "crates/proglog-store/src/position.rs";

/// Of so many mutants, at most one may be listed as a survivor: the others, 95 %, are caught.
const LISTED_ONE_OF: usize = 20;

pub(super) const ROW: Row = Row {
    number: 17,
    name: "mutants",
    figure: "mutants of the store and the log by cargo-mutants that compile, of lines that changed since the \
             commit that stands here, or in a soak of all: one that the tests of its package do not catch, and that is not in `survivors.txt` with the \
             reason",
    tried_min: 3,
    controls: &[("code-without-a-test", &["no test catches"])],
    needs: &[Need::Program("cargo-mutants")],
    run,
};

fn run(job: &Job) -> anyhow::Result<()> {
    let lab = Lab::new()?;
    let all = lab.list(None)?;
    let known = Survivors::read()?;
    for gone in known.gone(&all) {
        eprintln!("is listed as a survivor, and is no mutant any more: {gone}");
        job.count("listed as survivors, and gone", 1);
    }
    ensure!(
        known.len() * LISTED_ONE_OF <= all.len(),
        "{} of {} mutants are listed as survivors",
        known.len(),
        all.len()
    );
    let trials = Trials {
        job,
        lab: &lab,
        known: &known,
    };
    if job.is_soak {
        trials.run(&shard(job.seed, SOAK_LEN, &all)?)
    } else {
        try_changed(&trials, &all)
    }
}

fn try_changed(trials: &Trials<'_>, all: &[Mutant]) -> anyhow::Result<()> {
    let Trials { job, lab, .. } = *trials;
    let names = changed(lab, job)?;
    let changed = all.iter().filter(|mutant| names.contains(&mutant.name));
    let changed = changed.collect::<Vec<_>>();
    let mut tried = shard(job.seed, CHANGED_LEN, changed.iter().copied())?;
    job.count(
        "of changed lines that are left to other seeds",
        (changed.len() - tried.len()) as u64,
    );
    let small = all
        .iter()
        .filter(|mutant| mutant.name.starts_with(SMALL) && !names.contains(&mutant.name));
    tried.extend(small.take(CHANGED_LEN - tried.len()));
    trials.run(&tried)
}

/// The `len` mutants that this seed tries: seeds go through all of them, shard after shard, in an order by chance.
fn shard<'a>(
    seed: u64,
    len: usize,
    mutants: impl IntoIterator<Item = &'a Mutant>,
) -> anyhow::Result<Vec<&'a Mutant>> {
    let mut order: Vec<_> = mutants.into_iter().collect();
    order.sort_by_cached_key(|mutant| (chance(&mutant.what), mutant.name.clone()));
    let shards = order.len().div_ceil(len).max(1) as u64;
    let shard = order
        .chunks(len)
        .nth(usize::try_from(seed.wrapping_sub(1) % shards)?);
    Ok(shard.unwrap_or_default().to_vec())
}

/// A number by chance, always the same for the same mutant: others that come and go do not change the order.
fn chance(what: &str) -> u64 {
    let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fastrand::Rng::with_seed(hash).u64(..)
}

/// The names of the mutants of lines that changed.
fn changed(lab: &Lab, job: &Job) -> anyhow::Result<HashSet<String>> {
    let base = base()?;
    if base.is_none() {
        job.count("runs without a history that tells which lines changed", 1);
    }
    let bytes = diff(base.as_deref())?;
    let file = tempfile::NamedTempFile::new().context("cannot make a file")?;
    fs::write(file.path(), bytes)?;
    let mutants = lab.list(Some(file.path()))?;
    Ok(mutants.into_iter().map(|mutant| mutant.name).collect())
}

struct Trials<'a> {
    job: &'a Job,
    lab: &'a Lab,
    known: &'a Survivors,
}

impl Trials<'_> {
    fn run(&self, mutants: &[&Mutant]) -> anyhow::Result<()> {
        for package in &PACKAGES {
            let of_package = mutants
                .iter()
                .filter(|mutant| mutant.package == package.name);
            self.run_package(package, of_package.copied().collect())?;
        }
        Ok(())
    }

    fn run_package(&self, package: &Package, mut left: Vec<&Mutant>) -> anyhow::Result<()> {
        for lot in package.lots {
            if left.is_empty() {
                return Ok(());
            }
            let mut unknown = Vec::new();
            for (mutant, fate) in self.lab.try_all(&left, package, lot)? {
                match (fate, self.known.is_known(mutant)) {
                    (Fate::Survived, false) => unknown.push(mutant),
                    (Fate::Survived, true) => {
                        self.job.count("known survivors", 1);
                        self.job.tried(1);
                    }
                    (_, is_known) => self.caught(mutant, fate, is_known),
                }
            }
            left = unknown;
        }
        for mutant in left {
            self.job.tried(1);
            self.job.bad(&format!("no test catches {}", mutant.what));
        }
        Ok(())
    }

    fn caught(&self, mutant: &Mutant, fate: Fate, is_known: bool) {
        if fate == Fate::Unviable {
            self.job.count("that do not compile", 1);
            return;
        }
        self.job.tried(1);
        if fate == Fate::TimedOut {
            self.job.count("caught as the tests did not end", 1);
        }
        if is_known {
            eprintln!("is listed as a survivor, and is caught: {}", mutant.what);
            self.job.count("listed as survivors, and caught", 1);
        }
    }
}
