//! Each system call of a writer fails once, in each way.

use anyhow::Context;

use super::Row;
use crate::job::Job;
use crate::system::Need;
use crate::system::known::Known;
use crate::system::strace::trace;
use crate::system::writer;

pub(super) const ROW: Row = Row {
    number: 7,
    name: "call-faults",
    figure: "a system call of a writer that fails, by strace: a panic, a record lost, doubled, or there \
             though it was refused",
    tried_min: 350,
    controls: &["given-up-stays", "panics-when-full"],
    needs: &[Need::Program("strace")],
    run,
};

/// System calls, and the errors that befall them.
const FAULTS: &[(&str, &[&str])] = &[
    ("pwrite64", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("ftruncate", &["EIO", "ENOSPC", "EINTR"]),
    ("openat", &["EMFILE", "EROFS", "ENOSPC", "EINTR"]),
    ("rename", &["EIO", "ENOSPC", "EROFS"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
];

/// How many calls of each name fail; they are spread over all that are made.
const CALLS: u64 = 24;

fn run(job: &Job) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for (call, errors) in FAULTS {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let (_, whole) = trace(&options(folder.path(), 0, job.seed), call, None)?;
        // The first ones that are opened are libraries; strace counts each thread's calls alone.
        let made = whole.calls.len() as u64;
        let first = if *call == "openat" { 6 } else { 1 };
        let step = made.saturating_sub(first).div_ceil(CALLS).max(1);
        let at = (first + job.seed % step..=made).step_by(usize::try_from(step)?);
        let at: Vec<_> = at.collect();
        faults.extend(errors.iter().flat_map(|error| {
            let inject = |at: &u64| format!("{call}:error={error}:when={at}");
            at.iter().map(inject).collect::<Vec<_>>()
        }));
    }
    job.each(&faults, |inject| {
        fail(inject, job.seed)
            .map_err(|error| format!("{error:#}"))
            .and_then(|found| found)
            .map_err(|finding| format!("{inject}: {finding}"))
    });
    Ok(())
}

fn options(folder: &std::path::Path, life: u64, seed: u64) -> writer::Options {
    writer::Options {
        life,
        records: 40,
        segment_bytes: 2 << 10,
        seed,
        ..writer::Options::new(&folder.join("log"))
    }
}

/// A writer's call fails, and another writer goes on after it.
fn fail(inject: &str, seed: u64) -> anyhow::Result<Result<u64, String>> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let name = inject.split(':').next().unwrap_or_default();
    let mut known = Known::default();
    for (life, inject) in [(0, Some(inject)), (1, None)] {
        let options = options(folder.path(), life, seed);
        let (events, _) = trace(&options, name, inject)?;
        if events.errors.contains("panicked") {
            return Ok(Err(events.errors));
        }
        if let Err(finding) = known.learn(&events) {
            return Ok(Err(finding));
        }
        if inject.is_none() && !(events.ended && events.failed.is_empty()) {
            return Ok(Err(format!("it does not recover: {}", events.errors)));
        }
    }
    Ok(known.check(&folder.path().join("log")).map(|_| 1))
}
