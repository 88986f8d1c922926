//! Rows of tests that try to make a log lose a record, or return a wrong one, and that count how often they tried and
//! how often they succeeded. Each row also runs on copies of the workspace that are damaged on purpose, which it has to
//! notice.
//!
//! ```text
//! cargo run --release -p proglog-reliability -- ROW|all [--ci|--soak] [--seed N]
//! ```
//!
//! The README states the fault model, and has the figures of a run.

#![cfg(target_os = "linux")]

mod args;
mod controls;
mod copy;
mod double;
mod job;
mod model;
mod panics;
mod report;
mod rows;
mod run;
mod sabotage;
mod system;
mod table;
mod workspace;

use std::process::ExitCode;

/// Runs the rows that are asked for; fails if one of them fails. Some start this program as the one that
/// is done harm to.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (name, options) = (arguments.next(), arguments.next().unwrap_or_default());
    let done = match name.as_deref() {
        Some(system::writer::NAME) => system::writer::main(&options),
        Some(system::forking::NAME) => system::forking::main(&options),
        Some(double::opener::NAME) => double::opener::main(&options),
        _ => run::run(&clap::Parser::parse()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("proglog-reliability: {error:#}");
        ExitCode::FAILURE
    })
}
