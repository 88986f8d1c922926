//! Damage to a copy of the checkpoint, wherever the process was stopped: the others are enough.

use proglog_store::testing::{Call, Fault, SimDisk, Survivors, When};

use super::explore::{end, mix};
use super::history::{Checked, End, History};
use super::workload::{Run, Step, Workload};

const CHECKPOINT: &str = "checkpoint";
/// The distance of the copies, and their number.
const COPY_LEN: u64 = 4096;
const COPIES: u64 = 4;

/// Stops the workload at `call`, and damages each copy of the checkpoint: of what is left, and once the log was
/// opened again and has one more record. Returns how often a copy was damaged.
pub fn damage_copies(workload: &Workload, call: &Call) -> Checked<usize> {
    let number = call.number.ok_or("the call is not counted")?;
    let mut tried = 0;
    for survivors in [
        Survivors::KeepAll,
        Survivors::LoseAll,
        Survivors::Ops(mix(number)),
    ] {
        let context = |violation| {
            let (name, kind) = (workload.name, call.kind);
            format!("{name}, stopped at call {number} ({kind:?}), {survivors:?}: {violation}")
        };
        let disk = SimDisk::new();
        disk.count_only_changes();
        disk.inject(When::Call(number), Fault::crash().after_writing(usize::MAX));
        let mut run = Run::new(workload, disk, History::new(workload.durability));
        run.steps(workload.steps, |_| Err("an operation failed".to_owned()))?;
        let history = run.history.clone();
        let left = Run::new(workload, run.disk.crash(survivors), history);
        tried += damage_each(workload, &left, end(survivors)).map_err(context)?;

        let mut run = left;
        run.open(end(survivors)).map_err(context)?;
        run.steps(&[Step::Append(1, 30)], |_| {
            Err("an operation failed".to_owned())
        })
        .map_err(context)?;
        let lost = run.disk.crash(Survivors::LoseAll);
        let left = Run::new(workload, lost, run.history.clone());
        tried += damage_each(workload, &left, End::PowerCut)
            .map_err(|violation| context(format!("after one more record, {violation}")))?;
    }
    Ok(tried)
}

/// Opens the log with each copy damaged.
fn damage_each(workload: &Workload, left: &Run, end: End) -> Checked<usize> {
    if !left.disk.file_names().iter().any(|name| name == CHECKPOINT) {
        return Ok(0);
    }
    for copy in 0..COPIES {
        let disk = left.disk.deep_clone();
        disk.flip(CHECKPOINT, copy * COPY_LEN + 50, 3);
        Run::new(workload, disk, left.history.clone())
            .open(end)
            .map_err(|violation| format!("copy {copy} damaged: {violation}"))?;
    }
    Ok(usize::try_from(COPIES).unwrap_or(usize::MAX))
}
