//! Operations of a log, one subject a file, most of them on a simulated disk with small segments.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod append;
mod application_data;
mod background;
mod backups;
mod both_ends;
mod caches;
mod compat;
mod cursor;
mod cursor_races;
mod debug_output;
mod directory;
mod disk_full;
mod errors;
mod files;
mod follow;
mod memory;
mod missing;
mod open;
mod read;
mod read_costs;
mod read_only;
mod refresh_races;
mod regressions;
mod retention;
mod roll;
mod scenarios;
mod seek;
mod set_aside;
mod support;
mod surface;
mod tickets;
mod trim;
mod truncate;
mod verify;
mod visibility;
