//! Each call fails once: refused appends are never seen afterwards, accepted ones are, and synced ones survive
//! any crash.

use std::io;

use proglog_store::segment::StoreExt;
use proglog_store::testing::{Fault, SimDisk, Survivors};
use proglog_store::{ErrorKind, Outcome, Store};

use crate::{Checked, Model, Preallocation, STEPS, Step, check, options, payload};

/// The faults of a call; the length counts only for writes.
fn faults() -> [Fault; 4] {
    [
        Fault::error(io::ErrorKind::Other),
        Fault::error(io::ErrorKind::StorageFull).after_writing(60),
        Fault::error(io::ErrorKind::StorageFull).after_writing(700),
        Fault::os_error(5).after_writing(usize::MAX),
    ]
}

/// Opens the store, on the second attempt if the first fails, since a fault happens once.
fn open(disk: &SimDisk, preallocation: Preallocation) -> Checked<Store> {
    let directory = disk.directory();
    Store::open_in(&*directory, "store", &options(preallocation))
        .or_else(|_| Store::open_in(&*directory, "store", &options(preallocation)))
        .map_err(|error| format!("{error:?}"))
}

/// Does all steps, whatever fails. A store that a failure has stopped is reopened.
fn run(disk: &SimDisk, preallocation: Preallocation, model: &mut Model) -> Checked {
    let mut store = open(disk, preallocation)?;
    for step in STEPS {
        if let Step::Reopen = step {
            store = reopen(store, disk, preallocation, model)?;
            continue;
        }
        let done = step_on(&store, model, *step);
        if let (Step::Append(..), Err(_)) = (step, &done) {
            // A refused append is not in the file after a kill now.
            check(
                &disk.crash(Survivors::KeepAll),
                preallocation,
                &mut model.clone(),
                Survivors::KeepAll,
            )?;
        }
        let is_poisoned = |error: &proglog_store::Error| error.kind() == ErrorKind::Poisoned;
        if done.as_ref().is_err_and(is_poisoned) {
            store = reopen(store, disk, preallocation, model)?;
        }
    }
    if store.close().is_ok() {
        (model.flushed, model.synced) = (model.batches.len(), model.batches.len());
    }
    Ok(())
}

/// Closes the store, ignoring errors, and compares the reopened one with the model.
fn reopen(
    store: Store,
    disk: &SimDisk,
    preallocation: Preallocation,
    model: &mut Model,
) -> Checked<Store> {
    if store.close().is_ok() {
        (model.flushed, model.synced) = (model.batches.len(), model.batches.len());
    }
    // A lock that closing failed to release ends with the last handle.
    drop(store);
    drop(open(disk, preallocation)?);
    check(disk, preallocation, model, Survivors::KeepAll)
        .or_else(|_| check(disk, preallocation, model, Survivors::KeepAll))?;
    let store = open(disk, preallocation)?;
    model.recovery_point = store.recovery_point();
    Ok(store)
}

fn step_on(store: &Store, model: &mut Model, step: Step) -> proglog_store::Result<()> {
    match step {
        Step::Append(count, len) => {
            let number = model.made;
            model.made += 1;
            let payloads: Vec<_> = (0..count)
                .map(|index| payload(number, index, len))
                .collect();
            let slices: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
            let appended = store.append_batch(&slices);
            let position = match &appended {
                Ok(appended) => Some(appended.position),
                Err(error) if error.outcome() == Outcome::Unknown => None,
                Err(_) => return appended.map(drop),
            };
            model.batches.push((number, count, len, position));
            appended?;
        }
        Step::Flush => {
            store.flush()?;
            model.flushed = model.batches.len();
        }
        Step::Sync => {
            model.recovery_point = store.sync()?;
            (model.flushed, model.synced) = (model.batches.len(), model.batches.len());
        }
        Step::Rewind => {
            model.flushed = model.synced;
            let rewound = store.rewind(model.recovery_point);
            // Without room to remove them from the file they are dropped all the same.
            let is_full = |error: &proglog_store::Error| error.kind() == ErrorKind::DiskFull;
            if rewound.is_ok() || rewound.as_ref().is_err_and(is_full) {
                model.batches.truncate(model.synced);
            }
            rewound?;
        }
        Step::Reopen => unreachable!("the caller reopens the store"),
    }
    Ok(())
}

#[test]
fn a_call_that_fails_takes_nothing_that_was_synced_and_leaves_nothing_that_was_refused() {
    let mut runs = 0;
    for preallocation in [Preallocation::Never, Preallocation::Ahead] {
        let disk = SimDisk::new();
        run(&disk, preallocation, &mut Model::default()).unwrap();
        for call in 0..disk.calls() {
            for fault in faults() {
                let disk = SimDisk::new();
                disk.inject(proglog_store::testing::When::Call(call), fault);
                let mut model = Model::default();
                let found = run(&disk, preallocation, &mut model).and_then(|()| {
                    let seeded = (0..4).map(|seed| Survivors::Seeded(seed + call));
                    [Survivors::KeepAll, Survivors::LoseAll]
                        .into_iter()
                        .chain(seeded)
                        .try_for_each(|survivors| {
                            check(
                                &disk.crash(survivors),
                                preallocation,
                                &mut model.clone(),
                                survivors,
                            )
                            .map_err(|found| format!("{survivors:?}: {found}"))
                        })
                });
                found.unwrap_or_else(|found| {
                    panic!("{preallocation:?}, call {call}, {fault:?}: {found}")
                });
                runs += 1;
            }
        }
    }
    println!("{runs} calls failed");
    assert!(runs > 300, "{runs} calls failed");
}
