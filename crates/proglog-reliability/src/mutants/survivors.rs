//! The mutants that are known to survive, each with the reason.
//!
//! `survivors.txt` has groups: lines that begin with `#` tell the reason, the lines below them what is
//! changed, and the line of code that it is in.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::lab::Mutant;

const TEXT: &str = include_str!("../../survivors.txt");

/// The list.
#[derive(Debug)]
pub(crate) struct Survivors {
    /// What is changed, with the reason why that goes unnoticed.
    reasons: BTreeMap<&'static str, String>,
}

impl Survivors {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut reasons = BTreeMap::new();
        let mut reason = String::new();
        let mut is_in_group = false;
        for line in TEXT.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(words) = line.strip_prefix('#') {
                if is_in_group {
                    reason.clear();
                }
                reason.push_str(words);
                is_in_group = false;
            } else {
                ensure!(
                    !reason.is_empty(),
                    "no reason is told why this survives: {line}"
                );
                reasons.insert(line, reason.trim().to_owned());
                is_in_group = true;
            }
        }
        Ok(Self { reasons })
    }

    pub(crate) fn len(&self) -> usize {
        self.reasons.len()
    }

    pub(crate) fn is_known(&self, mutant: &Mutant) -> bool {
        self.reasons.contains_key(&*mutant.what)
    }

    /// What is listed, and is no mutant of the code any more.
    pub(crate) fn gone<'a>(&'a self, all: &[Mutant]) -> impl Iterator<Item = &'a str> {
        let is_there = |what: &str| all.iter().any(|mutant| mutant.what == what);
        let gone: Vec<_> = self.reasons.keys().filter(|what| !is_there(what)).collect();
        gone.into_iter().copied()
    }
}
