//! A server that gets no more threads, or no more file descriptors, once it has begun.

use std::thread;

use anyhow::Context;

use super::row::Row;
use crate::job::Job;
use crate::system::quick_folder;
use crate::system::server::{Connection, Server};
use crate::workspace;

pub(super) const ROW: Row = Row {
    number: 21,
    name: "shortages",
    figure: "calls on a server that can start no thread, or has no file descriptor left: one that is not answered, or a \
             record that is stored though its append was refused; over several segments",
    tried_min: 300,
    controls: &[
        ("call-waits-for-a-thread", &["status 500"]),
        ("files-stay-open", &["status 500"]),
    ],
    needs: &[],
    run,
};

/// Bytes of each record; 16 KiB are a segment of the server.
const RECORD_LEN: usize = 4000;

/// Clients that call at a time, so that one thread is not enough for them.
const CLIENTS: usize = 8;

type Deny = fn(&Server) -> anyhow::Result<()>;

/// Appends of one client before there is a shortage, and of each after. They fill several segments.
const APPENDS: u64 = 20;

fn run(job: &Job) -> anyhow::Result<()> {
    let program = workspace::build("proglog-server")?;
    let shortages: [(Deny, usize); 2] = [
        (Server::deny_threads, CLIENTS),
        // Each call takes descriptors.
        (Server::deny_descriptors, 1),
    ];
    let tasks = shortages.repeat(job.size(1, 50));
    job.try_each(&tasks, |(deny, clients)| {
        let folder = quick_folder()?;
        let server = Server::start(&program, folder.path(), "interval")?;
        let connections = (0..*clients).map(|_| server.connect());
        let connections: Vec<_> = connections.collect();
        // One alone, so that the server has few threads.
        let before = call(&connections[..1], APPENDS);
        deny(&server).context("the shortage cannot be made")?;
        let appended = (*clients as u64 + 1) * APPENDS;
        let under = call(&connections, appended);
        Ok(before.and(under).map(|()| 2 * appended))
    })
}

/// Has each client append records, and read all; there are `end` of them then.
fn call(connections: &[Connection], end: u64) -> Result<(), String> {
    thread::scope(|scope| {
        let clients = connections
            .iter()
            .map(|connection| scope.spawn(|| append(connection)));
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| "a panic")?)
    })?;
    match connections[0].read(end).ok_or("no answer")?? {
        None => Ok(()),
        Some(_) => Err("a record is there that was not appended".to_owned()),
    }
}

/// Appends records, and reads each, and one of those before.
fn append(connection: &Connection) -> Result<(), String> {
    for number in 0..APPENDS {
        let record = format!("{number:>RECORD_LEN$}").into_bytes();
        let offset = connection.append(record.clone()).ok_or("no answer")??;
        let read = connection.read(offset).ok_or("no answer")??;
        if read.is_none_or(|read| read != record) {
            return Err(format!("another record at {offset}"));
        }
        if connection.read(offset / 2).ok_or("no answer")??.is_none() {
            return Err(format!("no record at {}", offset / 2));
        }
    }
    Ok(())
}
