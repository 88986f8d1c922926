//! The rows, each in a file of its own.

mod bit_flips;
mod block_writes;
mod call_faults;
mod clock_steps;
mod copy_on_write;
mod crash_points;
mod double_crashes;
mod exchanged_directories;
mod failed_syncs;
mod forks;
mod full_disk;
mod fuzz;
mod history;
mod hostile_lengths;
mod interleavings;
mod kills;
mod mutants;
mod power_cuts;
mod row;
mod short_transfers;
mod shortages;
mod splices;
mod syncs;
mod torn_ends;

pub(crate) use row::Row;

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
    exchanged_directories::ROW,
    shortages::ROW,
    forks::ROW,
    clock_steps::ROW,
    copy_on_write::ROW,
];
