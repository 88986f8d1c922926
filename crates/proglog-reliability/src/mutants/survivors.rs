//! The mutants that are known to survive, each with the reason.
//!
//! `survivors.txt` has groups: lines that begin with `#` tell the reason, the lines below them what is
//! changed, and the line of code that it is in.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::lab::Mutant;

const TEXT: &str = include_str!("../../survivors.txt");

/// The list.
#[derive(Debug)]
pub(crate) struct Survivors {
    /// What is changed, and the line that it is in.
    changes: BTreeSet<&'static str>,
}

impl Survivors {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut changes = BTreeSet::new();
        for group in TEXT.split("\n\n") {
            let lines = group.lines().map(str::trim).filter(|line| !line.is_empty());
            let (reasons, listed) = lines.partition::<Vec<_>, _>(|line| line.starts_with('#'));
            ensure!(
                !reasons.is_empty() || listed.is_empty(),
                "no reason is told why these survive: {listed:?}"
            );
            changes.extend(listed);
        }
        Ok(Self { changes })
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn is_known(&self, mutant: &Mutant) -> bool {
        self.changes.contains(&*mutant.what)
    }

    /// What is listed, and is no mutant of the code any more.
    pub(crate) fn gone<'a>(&'a self, all: &[Mutant]) -> impl Iterator<Item = &'a str> {
        let is_there = |what: &str| all.iter().any(|mutant| mutant.what == what);
        let gone: Vec<_> = self.changes.iter().filter(|what| !is_there(what)).collect();
        gone.into_iter().copied()
    }
}
