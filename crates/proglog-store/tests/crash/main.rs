//! Crashes at every call of a store, with any part of the unsynced changes surviving, and at every call of the
//! recovery that follows: synced means kept.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod copy_on_write;
mod faults;

use std::collections::HashSet;

use bytes::Bytes;
use proglog_store::segment::StoreExt;
use proglog_store::testing::{Fault, SimDisk, Survivors, When};
use proglog_store::{Boundary, ErrorKind, Position, Store, StoreOptions};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Append a batch of this many payloads of that length.
    Append(usize, usize),
    Flush,
    Sync,
    /// Drop the appends since the last sync.
    Rewind,
    Reopen,
}

/// Use of preallocation.
#[derive(Debug, Clone, Copy)]
enum Preallocation {
    Never,
    Ahead,
}

use Step::{Append, Flush, Reopen, Rewind, Sync};

const STEPS: &[Step] = &[
    Append(1, 10),
    Append(3, 300),
    Flush,
    Append(1, 50),
    Sync,
    Append(2, 400),
    Flush,
    Append(1, 5),
    Rewind,
    Append(1, 600),
    Flush,
    Append(2, 30),
    Reopen,
    Append(1, 700),
    Append(5, 80),
    Append(1, 900),
    Flush,
    Sync,
    Append(3, 20),
    Flush,
    Append(1, 1500),
    Sync,
    Append(2, 250),
    Flush,
];

const AFTERWARDS: &[Step] = &[Append(1, 20), Append(2, 350), Flush, Append(1, 40), Sync];

/// A batch of a store: its number, its size, and its position if that is known.
type Batch = (usize, usize, usize, Option<Position>);

/// The appends of a store, and the number that it must show.
#[derive(Clone, Default)]
struct Model {
    batches: Vec<Batch>,
    /// The number of batches so far, in all processes.
    made: usize,
    /// The number that survive a kill, and a power failure, for certain.
    flushed: usize,
    synced: usize,
    recovery_point: Boundary,
}

type Checked<T = ()> = Result<T, String>;

fn payload(batch: usize, index: usize, len: usize) -> Vec<u8> {
    let mut payload = format!("{batch}.{index}.").into_bytes();
    payload.resize(payload.len().max(len), b'a');
    payload
}

fn options(preallocation: Preallocation) -> StoreOptions {
    let (bytes_max, up_to) = match preallocation {
        Preallocation::Never => (0, Position::ZERO),
        Preallocation::Ahead => (3000, Position::new(30_000)),
    };
    let options = StoreOptions::new().buffer_len(1 << 10).label(b"crash");
    options.preallocate(bytes_max, up_to)
}

fn open(disk: &SimDisk, preallocation: Preallocation) -> Checked<Store> {
    Store::open_in(&*disk.directory(), "store", &options(preallocation))
        .map_err(|error| format!("{error:?}"))
}

/// Does the steps until the process dies; all must succeed until then.
fn run(disk: &SimDisk, preallocation: Preallocation, model: &mut Model, steps: &[Step]) -> Checked {
    let mut store = match open(disk, preallocation) {
        Ok(store) => store,
        Err(_) if disk.has_crashed() => return Ok(()),
        Err(error) => return Err(error),
    };
    for step in steps {
        match step_on(&mut store, disk, preallocation, model, *step) {
            _ if disk.has_crashed() => return Ok(()),
            done => done.map_err(|error| format!("{step:?} failed: {error:?}"))?,
        }
    }
    Ok(())
}

fn step_on(
    store: &mut Store,
    disk: &SimDisk,
    preallocation: Preallocation,
    model: &mut Model,
    step: Step,
) -> proglog_store::Result<()> {
    match step {
        Append(count, len) => {
            let number = model.made;
            model.made += 1;
            let payloads: Vec<_> = (0..count)
                .map(|index| payload(number, index, len))
                .collect();
            let slices: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
            let appended = store.append_batch(&slices);
            // A batch at whose append the process dies may be in the file.
            let position = appended.as_ref().ok().map(|appended| appended.position);
            model.batches.push((number, count, len, position));
            appended?;
        }
        Flush => {
            store.flush()?;
            model.flushed = model.batches.len();
        }
        Sync => {
            model.recovery_point = store.sync()?;
            (model.flushed, model.synced) = (model.batches.len(), model.batches.len());
        }
        Rewind => {
            // Dropped appends do not count from here on.
            model.flushed = model.synced;
            store.rewind(model.recovery_point)?;
            model.batches.truncate(model.synced);
        }
        Reopen => {
            store.close()?;
            (model.flushed, model.synced) = (model.batches.len(), model.batches.len());
            *store = Store::open_in(&*disk.directory(), "store", &options(preallocation))?;
            model.recovery_point = store.recovery_point();
        }
    }
    Ok(())
}

/// Checks the prefix that a follower sees before the store is recovered.
fn follow(disk: &SimDisk) -> Checked<Vec<Bytes>> {
    match proglog_store::segment::open_following(&*disk.directory(), "store", Boundary::START) {
        Ok(follower) => follower
            .frames(..)
            .map(|frame| Ok(frame.map_err(|error| format!("{error:?}"))?.payload))
            .collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// Opens the store and compares it with the model, which then becomes what it shows.
fn check(
    disk: &SimDisk,
    preallocation: Preallocation,
    model: &mut Model,
    survivors: Survivors,
) -> Checked {
    let followed = follow(disk)?;
    let store = open(disk, preallocation)?;
    let frames = store.frames(..).collect::<Result<Vec<_>, _>>();
    let frames = frames.map_err(|error| format!("{error:?}"))?;
    let shown = frames.iter().map(|frame| &frame.payload);
    if !followed.iter().eq(shown.take(followed.len())) {
        return Err(format!("a follower saw {followed:?}"));
    }
    let mut frames = frames.into_iter();
    let mut shown = 0;
    while frames.len() > 0 {
        let batch = model
            .batches
            .get(shown)
            .ok_or("more is there than was appended")?;
        for index in 0..batch.1 {
            let frame = frames
                .next()
                .ok_or_else(|| format!("a part of {batch:?}"))?;
            let read = store
                .read(frame.position)
                .map_err(|error| format!("{error:?}"))?;
            let is_elsewhere = |position: Position| index == 0 && position != frame.position;
            if frame.payload != payload(batch.0, index, batch.2) || read != frame.payload {
                return Err(format!("{:?} instead of {batch:?}", frame.payload));
            }
            if batch.3.is_some_and(is_elsewhere) {
                return Err(format!("{batch:?} is at {}", frame.position));
            }
        }
        shown += 1;
    }
    let must = if survivors == Survivors::KeepAll {
        model.flushed
    } else {
        model.synced
    };
    if shown < must {
        return Err(format!("{shown} batches are there, of {must} that must be"));
    }
    model.batches.truncate(shown);
    (model.flushed, model.synced) = (shown, shown);
    model.recovery_point = store.recovery_point();
    Ok(())
}

/// The possible states of `disk` after a crash: each combination of a few changes, or some of many.
fn survivors(disk: &SimDisk, seeds: u64) -> Vec<Survivors> {
    let masks = |bits: usize| 0..if bits <= 8 { 1 << bits } else { seeds };
    let spread = |mask: u64| mask.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
    let (ops, parts) = (disk.pending(), disk.pending_parts());
    let mut survivors = vec![Survivors::KeepAll, Survivors::LoseAll];
    survivors
        .extend(masks(ops).map(|mask| Survivors::Ops(if ops <= 8 { mask } else { spread(mask) })));
    survivors.extend(
        masks(parts).map(|mask| Survivors::Parts(if parts <= 8 { mask } else { spread(mask) })),
    );
    survivors.extend((0..seeds).map(Survivors::Seeded));
    survivors
}

/// Runs until the crash at call `number`.
fn stopped_at(preallocation: Preallocation, number: u64) -> Checked<(SimDisk, Model)> {
    let disk = SimDisk::new();
    disk.count_only_changes();
    disk.inject(When::Call(number), Fault::crash().after_writing(usize::MAX));
    let mut model = Model::default();
    run(&disk, preallocation, &mut model, STEPS)?;
    Ok((disk, model))
}

/// Checks the store, appends to it, crashes at some call, and checks again.
fn live_on(
    disk: &SimDisk,
    preallocation: Preallocation,
    mut model: Model,
    survivors: Survivors,
    seed: u64,
) -> Checked {
    check(disk, preallocation, &mut model, survivors)?;
    disk.inject(
        When::Call(disk.calls() + seed % 9),
        Fault::crash().after_writing(usize::MAX),
    );
    run(disk, preallocation, &mut model, AFTERWARDS)?;
    let crash = match seed % 4 {
        0 => Survivors::KeepAll,
        1 => Survivors::LoseAll,
        2 => Survivors::Parts(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        _ => Survivors::Seeded(seed),
    };
    check(&disk.crash(crash), preallocation, &mut model, crash)
        .map_err(|found| format!("then {crash:?}: {found}"))
}

/// Crashes the recovery of `left` at each of its calls. Returns the number of distinct states left.
fn stop_recovery(
    left: &SimDisk,
    preallocation: Preallocation,
    model: &Model,
    first: Survivors,
) -> Checked<usize> {
    let whole = left.deep_clone();
    open(&whole, preallocation)?;
    let mut tried = HashSet::new();
    for call in 0..whole.calls() {
        let disk = left.deep_clone();
        disk.inject(When::Call(call), Fault::crash().after_writing(usize::MAX));
        drop(open(&disk, preallocation));
        for (seed, second) in (call..).zip(survivors(&disk, 6)) {
            let image = disk.crash(second);
            let is_kill = second == Survivors::KeepAll;
            if tried.insert((call, is_kill, image.fingerprint())) {
                let end = if is_kill { first } else { second };
                live_on(&image, preallocation, model.clone(), end, seed)
                    .map_err(|found| format!("recovery stopped at {call}, {second:?}: {found}"))?;
            }
        }
    }
    Ok(tried.len())
}

#[test]
fn whatever_survives_a_stop_at_any_call_holds_what_was_synced() {
    stop_everywhere(Preallocation::Never);
}

#[test]
fn zeros_ahead_of_the_data_change_nothing_of_what_survives() {
    stop_everywhere(Preallocation::Ahead);
}

fn stop_everywhere(preallocation: Preallocation) {
    let calls = {
        let disk = SimDisk::new();
        disk.count_only_changes();
        run(&disk, preallocation, &mut Model::default(), STEPS).unwrap();
        disk.calls()
    };
    let mut total = 0;
    for number in 0..calls {
        let (disk, model) = stopped_at(preallocation, number).unwrap();
        let mut tried = HashSet::new();
        for (seed, survivors) in (number..).zip(survivors(&disk, 300)) {
            let image = disk.crash(survivors);
            if !tried.insert((survivors == Survivors::KeepAll, image.fingerprint())) {
                continue;
            }
            if seed % 2 == 0 {
                total += stop_recovery(&image, preallocation, &model, survivors)
                    .unwrap_or_else(|found| panic!("call {number}, {survivors:?}: {found}"));
            }
            live_on(&image, preallocation, model.clone(), survivors, seed)
                .unwrap_or_else(|found| panic!("call {number}, {survivors:?}: {found}"));
        }
        total += tried.len();
    }
    println!("{calls} calls, {total} distinct (call, surviving subset) pairs");
    assert!(calls > 25 && total > 10_000, "{calls} calls, {total} pairs");
}
