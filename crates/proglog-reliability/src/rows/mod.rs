//! The rows, each in a file of its own.

mod bit_flips;
mod block_writes;
mod call_faults;
mod crash_points;
mod double_crashes;
mod failed_syncs;
mod full_disk;
mod fuzz;
mod history;
mod hostile_lengths;
mod interleavings;
mod kills;
mod mutants;
mod power_cuts;
mod short_transfers;
mod splices;
mod syncs;
mod torn_ends;

use crate::job::Job;
use crate::system::Need;

/// What became of an operation that should have succeeded.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn told(error: proglog_log::Error) -> String {
    format!("an operation failed: {error:?}")
}

/// A patch that makes a row tell of something bad, and words: one of them is in what the row finds then.
pub(crate) type Control = (&'static str, &'static [&'static str]);

/// One way of trying.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// What is tried, and what is bad.
    pub(crate) figure: &'static str,
    /// At least so much has to be tried.
    pub(crate) tried_min: u64,
    /// What it has to find.
    pub(crate) controls: &'static [Control],
    /// What the row needs of the machine.
    pub(crate) needs: &'static [Need],
    /// Tries, and counts what it finds. An error is one of the row itself.
    pub(crate) run: fn(&Job) -> anyhow::Result<()>,
}

pub(crate) const ROWS: &[Row] = &[
    crash_points::ROW,
    double_crashes::ROW,
    power_cuts::ROW,
    block_writes::ROW,
    kills::ROW,
    failed_syncs::ROW,
    call_faults::ROW,
    short_transfers::ROW,
    full_disk::ROW,
    bit_flips::ROW,
    splices::ROW,
    torn_ends::ROW,
    fuzz::ROW,
    hostile_lengths::ROW,
    interleavings::ROW,
    history::ROW,
    mutants::ROW,
    syncs::ROW,
];
