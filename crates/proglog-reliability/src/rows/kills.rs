//! Kills of the server under load, by `kill -9`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, ensure};
use fastrand::Rng;

use super::row::Row;
use crate::job::{Found, Job};
use crate::panics::lock;
use crate::system::known::Known;
use crate::system::server::{Connection, Server};
use crate::system::values::{parse, value};
use crate::workspace;

pub(super) const ROW: Row = Row {
    number: 5,
    name: "kills",
    figure: "`kill -9` of the server under load of 8 writers and 2 readers, synced and interval: an \
             acknowledged record lost, an offset given two values",
    tried_min: 50,
    controls: &[("acknowledged-in-memory", &["is lost", "was given to"])],
    needs: &[],
    run,
};

const WRITERS: u64 = 8;
const READERS: u64 = 2;
/// The number of kills of one log.
const LIVES: u64 = 25;

fn run(job: &Job) -> anyhow::Result<()> {
    let program = workspace::build("proglog-server")?;
    for number in 0..job.size(2, 6) {
        let durability = if number % 2 == 0 {
            "interval"
        } else {
            "synced"
        };
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let seed = job.seed << 16 | number;
        let mut rng = Rng::with_seed(seed);
        let clients = Clients::default();
        for life in 0..LIVES {
            if job.is_over() {
                return Ok(());
            }
            let kill_at = rng.u64(1..150);
            let server = match Server::start(&program, folder.path(), durability) {
                Err(error) if life > 0 => {
                    job.bad(&format!("life {life}, {durability}: {error:#}"));
                    return Ok(());
                }
                started => started?,
            };
            let found = clients.live(server, kill_at, seed << 8 | life)?;
            job.one(|| found.map_err(|finding| format!("life {life}, {durability}: {finding}")));
        }
        let mut known = lock(&clients.known);
        let records = known.check(&folder.path().join("logs/default/segments"));
        match records {
            Ok(records) => job.count("records read back", records),
            Err(finding) => job.bad(&format!("at the end, {durability}: {finding}")),
        }
    }
    Ok(())
}

/// The knowledge of the clients, over all lives of the server.
#[derive(Default)]
struct Clients {
    known: Mutex<Known>,
    next: AtomicU64,
}

impl Clients {
    /// One life of the server. An error is one of the server, not of the log.
    fn live(&self, server: Server, kill_at: u64, seed: u64) -> anyhow::Result<Found> {
        if let Err(finding) = self.read_back(&server.connect())? {
            return Ok(Err(finding));
        }
        let connections: Vec<_> = (0..WRITERS + READERS).map(|_| server.connect()).collect();
        let (server, acknowledged) = (Mutex::new(server), AtomicU64::new(0));
        let found = Mutex::new(Ok(1));
        let run = |number: u64, connection: &Connection| {
            let finding = if number < WRITERS {
                self.write(connection, || {
                    if acknowledged.fetch_add(1, Ordering::Relaxed) + 1 == kill_at {
                        lock(&server).kill();
                    }
                })
            } else {
                self.read(connection, seed ^ number)
            };
            if let Err(finding) = finding {
                *lock(&found) = Err(finding);
                lock(&server).kill();
            }
        };
        thread::scope(|scope| {
            for (number, connection) in (0..).zip(&connections) {
                let run = &run;
                scope.spawn(move || run(number, connection));
            }
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if found.is_err() {
            return Ok(found);
        }
        let acknowledged = acknowledged.into_inner();
        ensure!(
            acknowledged >= kill_at,
            "the server was gone before it was killed, after {acknowledged} of {kill_at} appends"
        );
        Ok(found)
    }

    /// Appends until the server is gone.
    fn write(&self, connection: &Connection, acknowledged: impl Fn()) -> Result<(), String> {
        loop {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            match connection.append(value(id, 0)) {
                Some(Ok(offset)) => lock(&self.known).note(offset, id)?,
                Some(Err(answer)) => return Err(format!("an append fails, {answer}")),
                None => return Ok(()),
            }
            acknowledged();
        }
    }

    /// Reads until the server is gone, also past the known end.
    fn read(&self, connection: &Connection, seed: u64) -> Result<(), String> {
        let mut rng = Rng::with_seed(seed);
        loop {
            let end = lock(&self.known).end();
            let from = if rng.bool() { 0 } else { end.saturating_sub(4) };
            let offset = rng.u64(from..end + 3);
            match connection.read(offset) {
                Some(Ok(Some(record))) => {
                    lock(&self.known).note(offset, parse(&record)?)?;
                }
                Some(Ok(None)) if offset < end => {
                    return Err(format!("offset {offset} is lost, the end was {end}"));
                }
                Some(Ok(None)) => {}
                Some(Err(answer)) => return Err(format!("a read fails, {answer}")),
                None => return Ok(()),
            }
        }
    }

    /// Reads the newest records that are known, once the server is back; all are at the end.
    fn read_back(&self, connection: &Connection) -> anyhow::Result<Result<(), String>> {
        let mut known = lock(&self.known);
        let end = known.end();
        for offset in end.saturating_sub(200)..end {
            let record = connection.read(offset).context("the connection broke")?;
            let noted = record.and_then(|record| {
                let record = record.ok_or(format!("offset {offset} is lost"))?;
                known.note(offset, parse(&record)?)
            });
            if noted.is_err() {
                return Ok(noted);
            }
        }
        Ok(Ok(()))
    }
}
