//! A call of the device fails under threads that use the log.

use std::sync::Arc;

use proglog_log::{ErrorKind, Outcome};
use proglog_store::testing::{CallKind, Fault, When};
use shuttle::thread::JoinHandle;

use crate::tasks::{choose, join};
use crate::world::{World, long, options};

/// A sync fails under two writers: every append that waits for it fails, and after a failed sync of records the log takes no
/// more.
pub(crate) fn sync() -> String {
    let world = World::open(options());
    let fault = Fault::os_error(5);
    world
        .disk
        .inject(When::Next(CallKind::Sync, choose(6)), fault);
    let mut threads = writers(&world, |world, value, has_failed| {
        let appended = world.append(value);
        assert!(appended.is_err() || !has_failed, "the log has stopped");
        // If just the next segment could not be made, the next append may make it.
        appended.is_err_and(|error| {
            error.kind() == ErrorKind::Poisoned || error.outcome() == Outcome::Unknown
        })
    });
    threads.push(world.spawn_reader());
    join(threads);
    world.end()
}

/// A write fails under two writers: what was to be written is given up, and what is appended afterwards takes its
/// place.
pub(crate) fn write() -> String {
    let world = World::open(options());
    let full = Fault::error(std::io::ErrorKind::StorageFull).after_writing(100);
    world
        .disk
        .inject(When::Next(CallKind::Write, choose(5)), full);
    let mut threads = writers(&world, |world, value, has_failed| {
        let appended = world.append(value);
        if let Err(error) = &appended {
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
        }
        has_failed || appended.is_err()
    });
    threads.push(world.spawn_reader());
    join(threads);
    world.append("last").expect("there is room again");
    world.end()
}

/// Two that append, and go by whether an append failed.
fn writers(world: &Arc<World>, append: fn(&World, &str, bool) -> bool) -> Vec<JoinHandle<()>> {
    let start = |name: &'static str| {
        world.spawn(move |world| {
            let mut has_failed = false;
            for number in ["0.", "1."] {
                has_failed = append(world, &long(&format!("{name}{number}")), has_failed);
            }
        })
    };
    ["a", "b"].map(start).into()
}
