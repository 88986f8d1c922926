//! Writers and readers of a log on which nothing goes wrong.

use std::sync::Arc;
use std::time::Duration;

use proglog_log::{Durability, Ticket};
use proglog_model_sync::{Condvar, Mutex};
use shuttle::future::block_on;

use crate::tasks::{choose, join};
use crate::world::{World, long, options};

/// Two writers that wait for each append, one that has submitted two before it waits, in one of three ways, and
/// a reader: no thread sees a record that is not on the device.
pub(crate) fn group_commit() -> String {
    let world = World::open(options().segment_bytes_max(64 << 10));
    let mut threads = vec![world.spawn(submit), world.spawn_reader()];
    for name in ["a", "b"] {
        let values = ["0.", "1."].map(|number| format!("{name}{number}"));
        threads.push(world.spawn(|world| append(world, values)));
    }
    join(threads);
    world.end()
}

fn append(world: &World, values: impl IntoIterator<Item = String>) {
    for value in values {
        world.append(&value).expect("nothing fails");
    }
}

fn submit(world: &World) {
    let values = ["c0.", "c1."];
    let tickets = values.map(|value| world.log.submit(value).expect("nothing fails"));
    for (value, ticket) in values.into_iter().zip(tickets) {
        let offsets = wait(ticket).expect("nothing fails");
        world
            .outcome(value, Ok(offsets.start.get()))
            .expect("so it is");
    }
}

/// Waits as a thread, as a future, or for a callback.
pub(crate) fn wait(ticket: Ticket) -> proglog_log::Result<proglog_log::Offsets> {
    match choose(3) {
        0 => ticket.wait(),
        1 => block_on(ticket),
        _ => {
            let outcome = Arc::new((Mutex::new(None), Condvar::new()));
            let sender = Arc::clone(&outcome);
            ticket.on_complete(move |outcome| {
                *sender.0.lock() = Some(outcome);
                sender.1.notify_one();
            });
            let mut guard = outcome.0.lock();
            loop {
                if let Some(outcome) = guard.take() {
                    return outcome;
                }
                outcome.1.wait(&mut guard);
            }
        }
    }
}

/// Two writers that fill segments, and two readers that go from one to the next.
pub(crate) fn roll() -> String {
    let world = World::open(options());
    let mut threads = Vec::new();
    for name in ["a", "b"] {
        let values = ["0.", "1.", "2."].map(|number| long(&format!("{name}{number}")));
        threads.push(world.spawn(|world| append(world, values)));
    }
    for read in [World::read_all, World::walk_all] {
        threads.push(world.spawn(move |world| {
            read(world);
            read(world);
        }));
    }
    join(threads);
    world.end()
}

/// Appends that are acknowledged before they are synced, while background syncs and the idle timer come at any time, and
/// another thread trims.
pub(crate) fn background() -> String {
    let some_time = Duration::from_secs(1);
    let durability = match choose(2) {
        0 => Durability::Interval(some_time),
        _ => Durability::Buffered,
    };
    let world = World::open(options().durability(durability).idle_after(some_time));
    let mut threads = Vec::new();
    for name in ["a", "b"] {
        threads.push(world.spawn(move |world| {
            for number in ["0.", "1."] {
                let value = long(&format!("{name}{number}"));
                let offset = world.log.append(value.clone()).expect("nothing fails");
                world.saw_in_memory(offset.get(), &value);
            }
        }));
    }
    threads.push(world.spawn(|world| {
        let end = world.log.end_offset();
        world.trims(end.get());
        world.log.trim(end).expect("nothing fails");
    }));
    join(threads);
    world.log.close().expect("nothing fails");
    world.all_is_acknowledged();
    world.end()
}
