//! Rows: rounds against both servers in turn, and their table.

use std::time::Duration;

use benches::{Effort, Row, Side, Table, grouped, median, pairs};
use tempfile::TempDir;

use crate::client::{self, Requests};
use crate::server::{Kind, Running};
use crate::works::RECORD_LEN;
use crate::{Result, engine};

/// A run of the bench.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Parts of the names of works to measure; all if empty.
    pub(crate) works: Vec<String>,
    /// The number of connections to measure with; all if `None`.
    pub(crate) connections: Option<usize>,
    /// The length of a round.
    pub(crate) time: Duration,
    pub(crate) effort: Effort,
    pub(crate) rows: Vec<Measured>,
}

/// What a row measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) connections: usize,
}

/// The target of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At least this fraction of the bare server's rate.
    Ratio(f64),
    /// The median time of a request is at most that of the bare server, that of a synced append without HTTP, and this
    /// much, in microseconds.
    Added(f64),
}

/// A row, and the median times of a request.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    bare_p50_us: f64,
    /// The time of a synced append without HTTP, if the target needs it.
    engine_p50_us: f64,
    target: Option<Target>,
}

impl Bench {
    pub(crate) fn wants(&self, work: &Work) -> bool {
        let is_named = |part: &String| work.name.contains(part.as_str());
        (self.works.is_empty() || self.works.iter().any(is_named))
            && self
                .connections
                .is_none_or(|connections| connections == work.connections)
    }

    /// Measures one row in pairs. `requests` makes the requests of each connection.
    pub(crate) fn row(
        &mut self,
        work: &Work,
        target: Option<Target>,
        directory: &TempDir,
        requests: impl Fn(usize) -> Requests,
    ) -> Result<()> {
        let bare = Running::start(Kind::Bare, directory.path())?;
        let ours = Running::start(work.kind, directory.path())?;
        let (mut bare_times, mut our_times, mut engine_times) =
            (Vec::new(), Vec::new(), Vec::new());
        let comparison = pairs(self.effort, |side| {
            let (server, times) = match side {
                Side::Ours => (&ours, &mut our_times),
                Side::Other => (&bare, &mut bare_times),
            };
            let requests = (0..work.connections).map(&requests).collect();
            let round = client::round(server.address, self.time, requests)?;
            times.push(round.p50.as_secs_f64() * 1e6);
            if side == Side::Ours && matches!(target, Some(Target::Added(_))) {
                engine_times.push(engine::synced_append(self.time)?.as_secs_f64() * 1e6);
            }
            Ok::<_, Box<dyn std::error::Error>>(round.rate)
        })?;
        let connections = u32::try_from(work.connections)?;
        let bytes = RECORD_LEN as u64;
        let mut row = Row::against_limit(work.name, bytes, connections, "requests/s", &comparison);
        row.p50_us = Some(median(&our_times));
        let measured = Measured {
            row,
            bare_p50_us: median(&bare_times),
            engine_p50_us: if engine_times.is_empty() {
                0.0
            } else {
                median(&engine_times)
            },
            target,
        };
        eprintln!("{}", measured.cells().join("  "));
        self.rows.push(measured);
        Ok(())
    }
}

impl Measured {
    fn target_and_outcome(&self) -> (String, &'static str) {
        let (text, is_reached) = match self.target {
            None => return (String::new(), ""),
            Some(Target::Ratio(ratio)) => (ratio.to_string(), self.row.ratio >= ratio),
            Some(Target::Added(max)) => {
                let most = self.bare_p50_us + self.engine_p50_us + max;
                let text = format!("{most:.0} us, of them the log's {:.0}", self.engine_p50_us);
                (text, self.row.p50_us.is_some_and(|p50| p50 <= most))
            }
        };
        (text, if is_reached { "yes" } else { "no" })
    }

    fn cells(&self) -> [String; 10] {
        let (target, outcome) = self.target_and_outcome();
        let row = &self.row;
        [
            row.work.clone(),
            row.threads.to_string(),
            grouped(row.ours),
            row.limit.map(grouped).unwrap_or_default(),
            format!("{:.2}", row.ratio),
            format!("{:.2}", row.spread),
            row.p50_us.map(grouped).unwrap_or_default(),
            grouped(self.bare_p50_us),
            target,
            outcome.to_owned(),
        ]
    }
}

/// The table of all rows.
pub(crate) fn table(rows: &[Measured]) -> Table {
    let mut table = Table::new(&[
        "work",
        "connections",
        "requests/s",
        "bare",
        "ratio",
        "spread",
        "p50 us",
        "bare p50 us",
        "target",
        "reached",
    ]);
    for measured in rows {
        table.push(measured.cells());
    }
    table
}
