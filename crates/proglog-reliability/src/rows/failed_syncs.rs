//! Failed syncs, by strace, and by a device without space for what a file system wrote.

use std::path::Path;

use anyhow::{Context, ensure};
use fastrand::Rng;
use proglog_log::{ErrorKind, Log};

use super::row::Row;
use crate::job::{Found, Job};
use crate::system::Need;
use crate::system::disk::{Disk, Kind};
use crate::system::known::Known;
use crate::system::strace::trace;
use crate::system::writer;

pub(super) const ROW: Row = Row {
    number: 6,
    name: "failed-syncs",
    figure: "each sync of a writer fails by strace; and ext4 on a device that is out of room: a failed sync \
             without an error, or after which the same log goes on, a record shown after a reopening that a \
             power cut then takes",
    tried_min: 80,
    controls: &[
        (
            "failed-sync-forgotten",
            &[
                "what was not synced",
                "after a failed sync",
                "after the power cut",
            ],
        ),
        (
            "failed-sync-retried",
            &["also what was not synced", "after the power cut"],
        ),
        ("written-again-in-place", &["after the power cut"]),
    ],
    needs: &[
        Need::Strace,
        Need::Disk(Kind::Tmpfs),
        Need::Disk(Kind::Ext4),
    ],
    run,
};

/// The system calls that sync.
const SYNCS: [&str; 2] = ["fdatasync", "fsync"];

/// The length of a run.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// The records that a writer appends, whose syncs fail, one in each run.
    records: u64,
    full_devices: u64,
}

const LANDING: Size = Size {
    records: 60,
    full_devices: 24,
};
const SOAK: Size = Size {
    records: 200,
    full_devices: 120,
};

fn run(job: &Job) -> anyhow::Result<()> {
    let size = job.size(LANDING, SOAK);
    let options = |folder: &Path| writer::Options {
        records: size.records,
        seed: job.seed,
        ..writer::Options::new(&folder.join("log"))
    };
    let mut syncs = Vec::new();
    for call in SYNCS {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let (_, whole) = trace(&options(folder.path()), call, None)?;
        syncs.extend((1..=whole.most_of_a_thread()).map(|at| (call, at)));
    }
    job.try_each(&syncs, |(call, at)| {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let found = fail(&options(folder.path()), call, *at)?;
        Ok(found.map_err(|finding| format!("{call} {at}: {finding}")))
    })?;
    let runs: Vec<_> = (0..size.full_devices)
        .map(|number| job.seed << 16 | number)
        .collect();
    job.try_each(&runs, |seed| {
        let left = out_of_room(&mut Rng::with_seed(*seed))?;
        let (reopened, finding) =
            left.map_or_else(|finding| (true, Err(finding)), |reopened| (reopened, Ok(1)));
        job.count(
            "failed syncs after which the file system took no more writes",
            u64::from(!reopened),
        );
        Ok(finding)
    })
}

/// Makes one sync of a writer fail.
fn fail(options: &writer::Options, call: &str, at: u64) -> anyhow::Result<Found> {
    let inject = format!("{call}:error=EIO:when={at}");
    let (events, trace) = trace(options, call, Some(&inject))?;
    let has_error = !events.ended || events.unopened > 0 || !events.failed.is_empty();
    if trace.has_failed(".log") && !has_error {
        return Ok(Err(
            "all was acknowledged, also what was not synced".to_owned()
        ));
    }
    if trace.has_failed(".log") && events.went_on > 0 {
        return Ok(Err(
            "appends were taken after a failed sync, by a log that was not opened again".to_owned(),
        ));
    }
    let mut known = Known::default();
    Ok(known
        .learn(&events)
        .and_then(|()| known.check(&options.directory))
        .map(|_| u64::from(trace.has_failed(""))))
}

/// The device has no space for what the file system has accepted: a sync fails, and the next one would succeed. Returns
/// whether the log could be opened again before the power is cut.
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
    let has_error = !events.ended || !events.failed.is_empty();
    let mut known = Known::default();
    device.resize(64 << 20)?;
    if let Err(finding) = known.learn(&events) {
        return Ok(Err(finding));
    }
    // Without a reboot: the file system still shows what never got to the device.
    let reopened = match Log::open(&log, &proglog_log::LogOptions::new()) {
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
    if let Err(finding) = shown {
        return Ok(Err(format!("before the power cut: {finding}")));
    }
    if let Err(finding) = kept {
        return Ok(Err(format!("after the power cut: {finding}")));
    }
    ensure!(has_error, "the device was not full");
    Ok(Ok(is_reopened))
}
