//! Fuzz targets without a fuzzer.
//!
//! ```text
//! proglog-fuzz run TARGET SEED INPUTS    runs all seeds of the target, and this number of random changes of them
//! proglog-fuzz seeds TARGET FOLDER       writes the seeds, as a corpus for a fuzzer
//! ```
//!
//! A run prints the number of inputs. It is the same for the same seed: where it panics, it does so again.

use std::fs;
use std::path::Path;

use anyhow::Context;
use fastrand::Rng;
use proglog_fuzz::{TARGETS, Target, mutated};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", target, seed, inputs] => {
            let inputs = run(&find(target)?, seed.parse()?, inputs.parse()?);
            println!("{inputs}");
            Ok(())
        }
        ["seeds", target, folder] => write_seeds(&find(target)?, Path::new(folder)),
        _ => anyhow::bail!("proglog-fuzz run TARGET SEED INPUTS | seeds TARGET FOLDER"),
    }
}

fn find(name: &str) -> anyhow::Result<Target> {
    let mut targets = TARGETS.into_iter();
    let target = targets.find(|target| target.name == name);
    target.with_context(|| format!("there is no target {name}"))
}

/// Runs the target; returns the number of inputs.
fn run(target: &Target, seed: u64, mutants: usize) -> usize {
    let seeds = (target.seeds)();
    for input in &seeds {
        (target.run)(input);
    }
    let mut rng = Rng::with_seed(seed);
    for _ in 0..mutants {
        (target.run)(&mutated(&seeds, &mut rng));
    }
    seeds.len() + mutants
}

fn write_seeds(target: &Target, folder: &Path) -> anyhow::Result<()> {
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}
