//! proglog beside its alternatives at the same work. The README in this directory describes the comparison.
//!
//! ```text
//! cargo bench --bench peers                          # in this directory: three rounds
//! cargo bench --bench peers -- --quick               # about two minutes
//! cargo bench --bench peers -- --test                # everything once, tiny
//! cargo bench --bench peers -- okaywal log/append    # these peers at these works
//! cargo bench --bench peers -- --json FILE           # the results, one per line
//! cargo bench --bench peers -- --svg FILE --limits FILE
//! # a chart, with the JSON of the limits bench
//! ```

mod damage;
mod data;
mod measure;
mod plan;
mod report;
mod system;
mod systems;
mod works;

use std::env;
use std::fs;

use benches::write_rows;

use crate::measure::Task;
use crate::system::{Context, Result};
use crate::systems::Known;
use crate::works::{Scale, Work};

/// The arguments.
struct Arguments {
    scale: Scale,
    json: Option<String>,
    svg: Option<String>,
    limits: Option<String>,
    filters: Vec<String>,
}

fn main() -> Result<()> {
    let words = env::args().skip(1).collect::<Vec<_>>();
    if let [word, task] = &words[..]
        && word == "measure"
    {
        let task = serde_json::from_str::<Task>(task)?;
        let measured = systems::with(&task.system, &task)??;
        println!("{}", serde_json::to_string(&measured)?);
        return Ok(());
    }
    compare(&parse(words.into_iter())?)
}

fn compare(arguments: &Arguments) -> Result<()> {
    let (ours, peers) = systems::all()
        .into_iter()
        .partition::<Vec<_>, _>(|system| system.name.starts_with("proglog"));
    let peers = chosen_peers(peers, &arguments.filters);
    let works = chosen_works(arguments)?;
    let limits = report::limits(arguments.limits.as_deref())?;

    let results = plan::run(&arguments.scale, &works, &peers, &ours)?;
    let rows = report::rows(&works, &peers, &results);
    println!(
        "{}, {}; medians of {} rounds\n",
        benches::machine(),
        benches::today(),
        results.rounds
    );
    report::print_figures(&works, &peers, &results, &rows);
    report::print_latencies(&works, &peers, &results);
    let shown = ours.iter().chain(&peers).copied().collect::<Vec<_>>();
    report::print_facts(&shown, &results)?;
    if let Some(path) = &arguments.json {
        write_rows(path, &rows)?;
    }
    if let Some(path) = &arguments.svg {
        fs::write(path, report::svg(&rows, &limits))?;
    }
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments {
        scale: Scale::FULL,
        json: None,
        svg: None,
        limits: None,
        filters: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut file = || words.next().with_context(|| format!("{word} needs a file"));
        match word.as_str() {
            // Passed by cargo to every bench.
            "--bench" => {}
            "--quick" => arguments.scale = Scale::QUICK,
            "--test" => arguments.scale = Scale::TEST,
            "--json" => arguments.json = Some(file()?),
            "--svg" => arguments.svg = Some(file()?),
            "--limits" => arguments.limits = Some(file()?),
            flag if flag.starts_with('-') => anyhow::bail!("unknown: {flag}"),
            _ => arguments.filters.push(word),
        }
    }
    Ok(arguments)
}

/// Returns the peers that a filter names, or all if none names a peer.
fn chosen_peers(mut peers: Vec<Known>, filters: &[String]) -> Vec<Known> {
    let named = |peer: &Known| filters.iter().any(|filter| filter == peer.name);
    if peers.iter().any(named) {
        peers.retain(named);
    }
    peers
}

/// Returns the works whose name contains a filter that is not a system's name, or all without such a filter.
fn chosen_works(arguments: &Arguments) -> Result<Vec<Work>> {
    let systems = systems::all();
    let filters = arguments.filters.iter();
    let filters = filters
        .filter(|filter| systems.iter().all(|system| system.name != *filter))
        .collect::<Vec<_>>();
    let mut works = arguments.scale.works();
    works.retain(|work| {
        filters.is_empty() || filters.iter().any(|filter| work.name.contains(*filter))
    });
    anyhow::ensure!(
        !works.is_empty(),
        "no peer and no work is named {filters:?}"
    );
    Ok(works)
}
