//! Fuzz targets without a fuzzer: `proglog-fuzz TARGET SEED INPUTS` runs the target on this number of random inputs, and
//! prints the number. A run is the same for the same seed: where it panics, it does so again.

use anyhow::Context;
use fastrand::Rng;
use proglog_fuzz::TARGETS;

/// The longest input.
const LEN_MAX: usize = 512;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [target, seed, inputs] = &arguments[..] else {
        anyhow::bail!("proglog-fuzz TARGET SEED INPUTS");
    };
    let mut targets = TARGETS.iter();
    let target = targets.find(|(name, _)| name == target);
    let (_, run) = target.context("there is no such target")?;
    let mut rng = Rng::with_seed(seed.parse()?);
    for _ in 0..inputs.parse::<u64>()? {
        let mut input = vec![0; rng.usize(..=LEN_MAX)];
        rng.fill(&mut input);
        run(&input);
    }
    println!("{inputs}");
    Ok(())
}
