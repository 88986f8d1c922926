//! Failed calls: every call of a workload fails once, and the results before and after are compared with what is left.

use std::io::ErrorKind;

use proglog_store::testing::{Call, CallKind, Fault, SimDisk, Survivors, When};

use super::explore::{Image, end, mix};
use super::history::{Checked, History};
use super::workload::{Run, Workload};

/// EIO on Linux.
const EIO: i32 = 5;

/// The faults of a call.
fn faults_of(call: &Call) -> Vec<Fault> {
    let broken = Fault::os_error(EIO);
    let full = Fault::error(ErrorKind::StorageFull);
    match call.kind {
        CallKind::Write => {
            let half = usize::try_from(call.len / 2).unwrap_or(usize::MAX);
            vec![
                broken,
                broken.after_writing(half),
                broken.after_writing(usize::MAX),
                full,
                full.after_writing(half),
            ]
        }
        CallKind::SetLen | CallKind::Create => vec![broken, full],
        _ => vec![broken],
    }
}

/// Makes `call` of the workload fail in each way. The process may die with the error, or continue; then the power may
/// fail, or the log is opened again first. Returns the number of such ends.
pub fn fail_at(workload: &Workload, call: &Call) -> Checked<usize> {
    let number = call.number.ok_or("the call is not counted")?;
    let mut tried = 0;
    for fault in faults_of(call) {
        let context = |violation| {
            let (name, kind, file) = (workload.name, call.kind, &call.name);
            format!("{name}, call {number} ({kind:?} {file}) fails by {fault:?}: {violation}")
        };
        let disk = SimDisk::new();
        disk.inject(When::Call(number), fault);
        let mut run = Run::new(workload, disk, History::new(workload.durability));
        run.steps(workload.steps, |run| {
            tried += ends_of(workload, run, number)
                .map_err(|violation| format!("at once, {violation}"))?;
            Ok(())
        })
        .map_err(context)?;
        tried += ends_of(workload, &run, number)
            .map_err(|violation| context(format!("at the end, {violation}")))?;
    }
    Ok(tried)
}

/// Makes each call of the recovery of `image` fail once, with an error; then as [`fail_at`].
pub fn fail_recovery(image: &Image<'_>) -> Checked<usize> {
    let workload = image.workload;
    let fresh = || Run::new(workload, image.disk.deep_clone(), image.history.clone());
    let calls = {
        let run = &mut fresh();
        run.disk.start_trace();
        run.open(image.end)?;
        run.disk.trace()
    };
    let mut tried = 0;
    for call in calls {
        let Some(number) = call.number else { continue };
        let context = |violation| format!("recovery's call {number} ({call:?}) fails: {violation}");
        let mut run = fresh();
        run.disk.inject(When::Call(number), Fault::os_error(EIO));
        run.try_open(image.end).map_err(context)?;
        if run.is_open() {
            tried += ends_of(workload, &run, number).map_err(context)?;
        } else {
            // Opening failed: it is tried once more.
            let mut run = Run::new(workload, run.disk.deep_clone(), run.history.clone());
            run.open(image.end).map_err(context)?;
            tried += ends_of(workload, &run, number).map_err(context)?;
        }
    }
    Ok(tried)
}

/// The ways in which a life can end now.
fn ends_of(workload: &Workload, run: &Run, seed: u64) -> Checked<usize> {
    let count = if workload.is_small() { 3 } else { 1 };
    let seeds = |from: u64| (from..from + count).map(move |number| mix(seed << 32 | number));
    let mut cuts = vec![Survivors::LoseAll];
    cuts.extend(seeds(0).map(|_| Survivors::KeepAll));
    cuts.extend(seeds(10).map(Survivors::Ops));
    cuts.extend(seeds(20).map(Survivors::Parts));
    cuts.extend(seeds(30).map(Survivors::Seeded));
    for (index, cut) in (0..).zip(&cuts) {
        Image {
            workload,
            disk: run.disk.crash(*cut),
            history: run.history.clone(),
            end: end(*cut),
            seed: mix(seed << 32 | index),
        }
        .live_on()
        .map_err(|violation| format!("{cut:?}: {violation}"))?;
    }
    Ok(cuts.len())
}

/// A disk that may be left of a workload that is stopped at `call`.
pub fn stopped_image<'a>(workload: &'a Workload, call: &Call) -> Checked<Image<'a>> {
    let number = call.number.ok_or("the call is not counted")?;
    let disk = SimDisk::new();
    disk.inject(When::Call(number), Fault::crash().after_writing(usize::MAX));
    let mut run = Run::new(workload, disk, History::new(workload.durability));
    run.steps(workload.steps, |_| Err("an operation failed".to_owned()))?;
    let survivors = match mix(number) % 3 {
        0 => Survivors::KeepAll,
        1 => Survivors::LoseAll,
        _ => Survivors::Seeded(number),
    };
    Ok(Image {
        workload,
        disk: run.disk.crash(survivors),
        history: run.history.clone(),
        end: end(survivors),
        seed: number,
    })
}
