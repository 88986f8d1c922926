//! The reliability program: each row tries in one way to make a log lose a record, or show a wrong one,
//! and counts how often it tried and how often it succeeded. Each is then run on copies of the workspace
//! that were damaged on purpose, to show that it notices.
//!
//! ```text
//! cargo run --release -p proglog-reliability -- ROW|all [--ci|--soak] [--seed N]
//! ```
//!
//! `RELIABILITY.md` at the top of the workspace tells what is assumed, and holds the figures of a run.

#[cfg(target_os = "linux")]
mod args;
#[cfg(target_os = "linux")]
mod copy;
#[cfg(target_os = "linux")]
mod double;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod model;
#[cfg(target_os = "linux")]
mod mutants;
#[cfg(target_os = "linux")]
mod panics;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod system;

/// Runs the rows that are asked for; fails if one of them fails. Some start this program as the one that
/// is done harm to.
#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let arguments = std::env::args_os().skip(1);
    let name = std::env::args_os().nth(1).unwrap_or_default();
    let done = if name == system::writer::NAME {
        system::writer::main(arguments)
    } else if name == double::opener::NAME {
        double::opener::main(arguments)
    } else {
        run::run(&clap::Parser::parse())
    };
    done.unwrap_or_else(|error| {
        eprintln!("proglog-reliability: {error:#}");
        std::process::ExitCode::FAILURE
    })
}

#[cfg(not(target_os = "linux"))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!(
        "the reliability program needs Linux: it damages what is below a log by its means"
    )
}
