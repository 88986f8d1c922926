//! One way of trying to make a log lose a record.

use crate::job::Job;
use crate::system::Need;

/// A sabotage that a row has to catch, and words: the row's finding has to contain one of them.
pub(crate) type Control = (&'static str, &'static [&'static str]);

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// The things that are tried, and the results that are bad.
    pub(crate) figure: &'static str,
    /// The least number of tries of a run.
    pub(crate) tried_min: u64,
    pub(crate) controls: &'static [Control],
    /// The needs that the machine has to meet.
    pub(crate) needs: &'static [Need],
    /// Tries, and counts what it finds. An error is one of the row itself.
    pub(crate) run: fn(&Job) -> anyhow::Result<()>,
}

impl Row {
    /// The words of a sabotage that the row has to catch.
    pub(crate) fn words(&self, sabotage: &str) -> Option<&'static [&'static str]> {
        let mut controls = self.controls.iter();
        controls.find_map(|(name, words)| (*name == sabotage).then_some(*words))
    }
}
