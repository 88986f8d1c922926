//! Runs one scenario of threads on a log, again and again, with every step of every thread chosen by a scheduler.
//!
//! ```text
//! proglog-model SCENARIO random|pct SEED EXECUTIONS FOLDER
//! proglog-model SCENARIO replay FILE
//! ```
//!
//! It prints one line with the numbers of executions, of different schedules and of different ends. If an execution
//! fails, the next line has the reason, and FOLDER its schedule for `replay`.

mod runner;
mod scenarios;
mod tasks;
mod world;

use std::process::ExitCode;

use runner::Order;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (name, order) = match arguments[..] {
        ["list"] => {
            for (name, _) in scenarios::ALL {
                println!("{name}");
            }
            return ExitCode::SUCCESS;
        }
        [name, "replay", file] => (name, Some(Order::replay(file))),
        [name, scheduler, seed, executions, folder] => {
            (name, Order::search(scheduler, seed, executions, folder))
        }
        _ => ("", None),
    };
    let scenario = scenarios::ALL.iter().find(|(known, _)| *known == name);
    let (Some((_, scenario)), Some(order)) = (scenario, order) else {
        eprintln!("proglog-model SCENARIO random|pct SEED EXECUTIONS FOLDER");
        return ExitCode::FAILURE;
    };
    runner::run(*scenario, order)
}
