//! A small log of three segments, and the ways in which its files are damaged.

#[path = "../../../proglog-log/tests/damage/cuts.rs"]
pub(crate) mod cuts;
#[path = "../../../proglog-log/tests/damage/files.rs"]
pub(crate) mod files;
#[path = "../../../proglog-log/tests/damage/fixture.rs"]
pub(crate) mod fixture;
#[path = "../../../proglog-log/tests/damage/flips.rs"]
pub(crate) mod flips;
#[path = "../../../proglog-log/tests/damage/tails.rs"]
pub(crate) mod tails;
