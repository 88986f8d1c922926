//! Syncs fail: told to fail by strace, and by a device that has no room for what a file system wrote.

use anyhow::{Context, ensure};
use fastrand::Rng;
use proglog_log::{ErrorKind, Log};

use super::Row;
use crate::job::Job;
use crate::system::Need;
use crate::system::disk::{Disk, Kind};
use crate::system::known::Known;
use crate::system::strace::trace;
use crate::system::writer;

pub(super) const ROW: Row = Row {
    number: 6,
    name: "failed-syncs",
    figure: "each sync of a writer fails by strace; and ext4 on a device that is out of room: a failed sync \
             that nobody is told of, a record shown after a reopening that a power cut then takes",
    tried_min: 290,
    controls: &["failed-sync-retried", "written-again-in-place"],
    needs: &[
        Need::Strace,
        Need::Disk(Kind::Tmpfs),
        Need::Disk(Kind::Ext4),
    ],
    run,
};

/// How many records a writer appends whose syncs fail, one in each run.
const RECORDS: u64 = 200;
const FULL_DEVICES: u64 = 120;

fn run(job: &Job) -> anyhow::Result<()> {
    let runs: Vec<_> = (0..FULL_DEVICES)
        .map(|number| job.seed << 16 | number)
        .collect();
    job.each(&runs, |seed| {
        let left = out_of_room(&mut Rng::with_seed(*seed)).map_err(|error| format!("{error:#}"))?;
        let (reopened, finding) =
            left.map_or_else(|finding| (true, Err(finding)), |reopened| (reopened, Ok(1)));
        job.count(
            "failed syncs after which the file system took no more writes",
            u64::from(!reopened),
        );
        finding
    });
    let syncs: Vec<_> = (1..=RECORDS).collect();
    job.each(&syncs, |at| {
        let found = told_to_fail(*at, job.seed).map_err(|error| format!("{error:#}"))?;
        found.map_err(|finding| format!("sync {at}: {finding}"))
    });
    Ok(())
}

/// A writer's sync fails, once.
fn told_to_fail(at: u64, seed: u64) -> anyhow::Result<Result<u64, String>> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let log = folder.path().join("log");
    let options = writer::Options {
        records: RECORDS,
        seed,
        ..writer::Options::new(&log)
    };
    let inject = format!("fdatasync:error=EIO:when={at}");
    let (events, trace) = trace(&options, "fdatasync", Some(&inject))?;
    let has_failed = trace
        .calls
        .iter()
        .any(|call| call.failed && call.path.ends_with(".log"));
    let is_told = !events.ended || events.unopened > 0 || !events.failed.is_empty();
    if has_failed && !is_told {
        return Ok(Err(
            "all was acknowledged, also what was not synced".to_owned()
        ));
    }
    let mut known = Known::default();
    Ok(known
        .learn(&events)
        .and_then(|()| known.check(&log))
        .map(|_| u64::from(has_failed)))
}

/// The device has no room for what the file system has accepted: a sync fails, and the next one would
/// say that all is well. Returns whether the log could be opened again before the power is cut.
fn out_of_room(rng: &mut Rng) -> anyhow::Result<Result<bool, String>> {
    let device = Disk::new(Kind::Tmpfs, 64 << 20)?;
    let folder = tempfile::tempdir_in(device.path()).context("cannot make a folder")?;
    let disk = Disk::in_folder(Kind::Ext4, 24 << 20, folder)?;
    disk.fill_journal()?;
    let used = device.used()?;
    device.resize(used + rng.u64(128 << 10..512 << 10))?;
    let log = disk.path().join("log");
    let options = writer::Options {
        records: 4_000,
        seed: rng.u64(..1 << 20),
        segment_bytes: rng.u64(16 << 10..512 << 10),
        ..writer::Options::new(&log)
    };
    let events = writer::output(&mut writer::command(&options)?)?;
    ensure!(
        !events.ended || !events.failed.is_empty(),
        "the device was not full"
    );
    let mut known = Known::default();
    known.refuse(&events);
    device.resize(64 << 20)?;
    if let Err(finding) = known.learn(&events) {
        return Ok(Err(finding));
    }
    // Without a reboot: the file system still shows what never got to the device.
    let reopened = match Log::open(&log, &proglog_log::Options::new()) {
        Ok(reopened) => Some(reopened),
        // The file system may have given up.
        Err(error) if error.kind() == ErrorKind::Io => None,
        Err(error) => return Ok(Err(format!("the log cannot be opened: {error:?}"))),
    };
    let shown = reopened.as_ref().map_or(Ok(0), |log| known.check_open(log));
    disk.cut()?;
    let is_reopened = reopened.is_some();
    if let Some(reopened) = reopened {
        // It cannot be, but it lets go of the files.
        drop(reopened.close());
    }
    disk.restart()?;
    let kept = known.check(&log);
    let told = |finding| format!("{finding} ({events:?})");
    Ok(shown
        .map_err(|finding| told(format!("before the power cut: {finding}")))
        .and(kept.map_err(|finding| told(format!("after the power cut: {finding}"))))
        .map(|_| is_reopened))
}
