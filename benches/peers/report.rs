//! Results as tables, rows and a chart.

use benches::{Comparison, Figure, Row, Table, grouped, machine, median, size_name, today};

use crate::damage;
use crate::plan::{Figures, Results};
use crate::system::Result;
use crate::systems::Known;
use crate::works::Work;

/// All rows: each peer at each work that it does.
pub(crate) fn rows(works: &[Work], peers: &[Known], results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, work) in works.iter().enumerate() {
        let Some(ours) = results.of(number, work.ours) else {
            continue;
        };
        for peer in peers {
            let Some(theirs) = results.of(number, peer.name) else {
                continue;
            };
            let comparison = Comparison {
                ours: figures(ours),
                other: figures(theirs),
            };
            let mut row = Row::against_peer(
                work.name,
                work.record_bytes as u64,
                work.threads,
                peer.name,
                work.unit(),
                &comparison,
            );
            [row.p50_us, row.p99_us] = quantiles(theirs).map_or([None; 2], |both| both.map(Some));
            rows.push(row);
        }
    }
    rows
}

fn figures(of: &Figures) -> Vec<f64> {
    of.iter().map(|one| one.figure).collect()
}

/// The medians of the rounds' quantiles.
fn quantiles(of: &Figures) -> Option<[f64; 2]> {
    let all = of
        .iter()
        .map(|one| one.quantiles_us)
        .collect::<Option<Vec<_>>>()?;
    Some([0, 1].map(|which| median(&all.iter().map(|both| both[which]).collect::<Vec<_>>())))
}

/// The name of a work: `log/append-synced 1 KiB, 8 threads`.
fn title(work: &Work) -> String {
    let size = size_name(work.record_bytes as u64);
    match work.threads {
        1 => format!("{} {size}", work.name),
        threads => format!("{} {size}, {threads} threads", work.name),
    }
}

/// The table of medians, each peer's with our ratio to it.
pub(crate) fn print_figures(works: &[Work], peers: &[Known], results: &Results, rows: &[Row]) {
    let names = peers.iter().map(|peer| peer.name);
    let headers = ["work", "unit", "proglog"].into_iter().chain(names);
    let mut table = Table::new(&headers.collect::<Vec<_>>());
    for (number, work) in works.iter().enumerate() {
        let Some(ours) = results.of(number, work.ours) else {
            continue;
        };
        let mut cells = vec![
            title(work),
            work.unit().to_owned(),
            grouped(median(&figures(ours))),
        ];
        for peer in peers {
            let row = rows.iter().find(|row| {
                let of = (
                    row.work.as_str(),
                    row.bytes,
                    row.threads,
                    row.peer.as_deref(),
                );
                of == (
                    work.name,
                    work.record_bytes as u64,
                    work.threads,
                    Some(peer.name),
                )
            });
            cells.push(row.map_or("-".to_owned(), |row| {
                let theirs = grouped(row.theirs.unwrap_or(f64::NAN));
                // A single round has no spread.
                let spread = format!(" ±{:.0}%", row.spread * 50.0);
                let spread = if results.rounds > 1 { &spread } else { "" };
                format!("{theirs} ({:.2}x{spread})", row.ratio)
            }));
        }
        table.push(cells);
    }
    println!("{table}");
}

/// The table of latencies.
pub(crate) fn print_latencies(works: &[Work], peers: &[Known], results: &Results) {
    let names = peers.iter().map(|peer| peer.name);
    let headers = ["p50 / p99 in µs", "proglog"].into_iter().chain(names);
    let mut table = Table::new(&headers.collect::<Vec<_>>());
    let mut any = false;
    for (number, work) in works.iter().enumerate() {
        let of = |system| results.of(number, system).and_then(quantiles);
        let Some(ours) = of(work.ours) else {
            continue;
        };
        any = true;
        let cell = |[p50, p99]: [f64; 2]| format!("{} / {}", grouped(p50), grouped(p99));
        let theirs = peers
            .iter()
            .map(|peer| of(peer.name).map_or("-".to_owned(), cell));
        table.push([title(work), cell(ours)].into_iter().chain(theirs));
    }
    if any {
        println!("{table}");
    }
}

/// The table of properties.
pub(crate) fn print_facts(systems: &[Known], results: &Results) -> Result<()> {
    let headers = [
        "system",
        "a read verifies",
        "one bit changed in a record: a scan shows",
        "syncs",
        "opening",
        "copies of a record to / from the system",
        "finds by number",
        "threads it starts",
    ];
    let mut table = Table::new(&headers);
    for system in systems {
        let facts = &system.facts;
        let numbered = if facts.numbered { "yes" } else { "no" };
        table.push([
            facts.version,
            facts.verifies,
            &damage::outcome(system.name)?,
            facts.syncs,
            facts.opening,
            facts.copies,
            numbered,
            &results.threads_started(system.name).to_string(),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// Draws the rows, and the results of the limits bench if given.
pub(crate) fn svg(rows: &[Row], limits: &[Row]) -> String {
    let wanted = limits
        .iter()
        .filter(|limit| rows.iter().any(|row| row.work == limit.work));
    let mut all = rows.to_vec();
    // From the limits bench only the limit: our own figure is in this run.
    all.extend(wanted.map(|limit| Row {
        ours: ours_of(rows, limit),
        ..limit.clone()
    }));
    let note = format!("{}, {}", machine(), today());
    Figure::of_rows("proglog, its limit and its peers", &note, &all).svg()
}

/// Our figure in this run, or else in the other's.
fn ours_of(rows: &[Row], limit: &Row) -> f64 {
    let key = |row: &Row| (row.work.clone(), row.bytes, row.threads);
    let same = rows.iter().find(|row| key(row) == key(limit));
    same.map_or(limit.ours, |row| row.ours)
}

/// Reads the rows of the limits bench.
pub(crate) fn limits(path: Option<&str>) -> Result<Vec<Row>> {
    Ok(path
        .map(benches::read_rows)
        .transpose()?
        .unwrap_or_default())
}
