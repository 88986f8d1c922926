//! Rows of tests that try to make a log lose a record, or return a wrong one, and that count how often they tried and
//! how often they succeeded. Each row also runs on copies of the workspace that are damaged on purpose, which it has to
//! notice.
//!
//! ```text
//! cargo run --release -p proglog-reliability -- ROW|all [--ci|--soak] [--seed N]
//! ```
//!
//! The README states the fault model, and has the figures of a run.

#[cfg(target_os = "linux")]
mod args;
#[cfg(target_os = "linux")]
mod controls;
#[cfg(target_os = "linux")]
mod copy;
#[cfg(target_os = "linux")]
mod double;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod model;
#[cfg(target_os = "linux")]
mod panics;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod sabotage;
#[cfg(target_os = "linux")]
mod system;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod workspace;

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
