//! The works: which requests are sent, to which server, and what is to be reached.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use benches::{Random, payload};
use proglog_log::{Log, LogOptions};
use tempfile::TempDir;

use crate::Result;
use crate::client::Requests;
use crate::row::{Bench, Target, Work};
use crate::server::Kind;

/// The length of a record, in bytes.
pub(crate) const RECORD_LEN: usize = 1 << 10;

/// Records to read: 16 MiB, which are cached.
const RECORDS: u64 = 16 << 10;

/// The time that a synced append of one client may take beyond those of the bare server and of the engine.
const ADDED_MAX_US: f64 = 30.0;

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    append(
        bench,
        "http/append-synced",
        Kind::Synced,
        &[(1, None), (32, Some(0.7)), (256, Some(0.7))],
    )?;
    append(
        bench,
        "http/append-buffered",
        Kind::Buffered,
        &[(1, None), (32, Some(0.8)), (256, None)],
    )?;
    read(bench)
}

/// Measures appends of one record each by the call `POST /`.
fn append(
    bench: &mut Bench,
    name: &'static str,
    kind: Kind,
    rows: &[(usize, Option<f64>)],
) -> Result<()> {
    let body = format!(
        r#"{{"record":"{}"}}"#,
        BASE64_STANDARD.encode(payload(RECORD_LEN))
    );
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let requests = |_| -> Requests {
        let request = request.clone().into_bytes();
        Box::new(move || request.clone())
    };
    for (connections, ratio) in rows {
        let work = Work {
            name,
            kind,
            connections: *connections,
        };
        if !bench.wants(&work) {
            continue;
        }
        let target = match (kind, *connections) {
            (Kind::Synced, 1) => Some(Target::Added(ADDED_MAX_US)),
            _ => ratio.map(Target::Ratio),
        };
        bench.row(&work, target, &TempDir::new()?, requests)?;
    }
    Ok(())
}

/// Measures reads of one record each, at random, by the call `GET /?offset=`.
fn read(bench: &mut Bench) -> Result<()> {
    let directory = TempDir::new()?;
    let log = Log::open(directory.path(), &LogOptions::new())?;
    for _ in 0..RECORDS / 256 {
        log.append_batch(vec![payload(RECORD_LEN); 256])?;
    }
    log.close()?;
    let requests = |connection: usize| -> Requests {
        let mut random = Random::new(connection as u64 + 1);
        Box::new(move || {
            let offset = random.below(RECORDS);
            format!("GET /?offset={offset} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
        })
    };
    for (connections, ratio) in [(1, 0.85), (32, 0.85), (256, 0.85)] {
        let work = Work {
            name: "http/read",
            kind: Kind::Synced,
            connections,
        };
        if bench.wants(&work) {
            bench.row(&work, Some(Target::Ratio(ratio)), &directory, requests)?;
        }
    }
    Ok(())
}
