//! Whatever happens to the files of a log, no record is wrong and none is lost quietly.
//!
//! A small log of three segments, once closed and once killed, is damaged in every way a test can think
//! of. Then each record is right, or an error names its place; a log that does not open leaves its files
//! as they were; and one that opens takes appends that are there after the next opening.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checkpoints;
mod cuts;
mod files;
mod flips;
mod headers;
mod indexes;
mod openings;
mod pages;
mod recovered;
mod tails;
mod trimmed;
mod unreadable;
mod unsynced;
mod zeros;
