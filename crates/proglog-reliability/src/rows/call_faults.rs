//! Faults of system calls: each call of a writer fails, with each error, once or from then on.

use std::path::Path;

use anyhow::Context;
use fastrand::Rng;

use super::row::Row;
use crate::job::{Found, Job};
use crate::system::known::Known;
use crate::system::strace::trace;
use crate::system::{Need, quick_folder, writer};

pub(super) const ROW: Row = Row {
    number: 7,
    name: "call-faults",
    figure: "a system call of a writer, or of the one after a writer that was killed, fails by strace, once \
             or from then on: a panic, a record lost, doubled, there though it was refused, or back though \
             it was trimmed",
    tried_min: 500,
    controls: &[
        (
            "given-up-stays",
            &["was refused and is at", "inconsistent-offsets"],
        ),
        ("panics-when-full", &["panicked"]),
    ],
    needs: &[Need::Strace],
    run,
};

/// The system calls with which a log looks at files and directories, changes or opens them, and locks them; and the
/// first of each, counted from 1, that is not for a library.
const CALLS: &[(&str, u64)] = &[
    ("pwrite64", 1),
    ("pread64", 1),
    ("ftruncate", 1),
    ("openat", 6),
    ("renameat", 1),
    ("unlinkat", 1),
    ("fsync", 1),
    ("fdatasync", 1),
    ("flock", 1),
    ("mkdir", 1),
    ("getdents64", 1),
    ("statx", 1),
    ("newfstatat", 5),
];

const ERRORS: &[&str] = &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE", "EINTR"];

/// A call that fails.
#[derive(Debug)]
struct Fault {
    call: &'static str,
    error: &'static str,
    /// The number of the call among those of this name, from 1.
    at: u64,
    /// True if all later calls fail too.
    stays: bool,
    /// The writer: the first one, or the one that opens what a killed one left.
    life: u64,
}

fn run(job: &Job) -> anyhow::Result<()> {
    let faults = chosen(job.size(560, 2_100), job.seed)?;
    job.try_each(&faults, |fault| {
        let found = fail(fault, job.seed)?;
        Ok(found.map_err(|finding| format!("{fault:?}: {finding}")))
    })
}

/// Chooses this number of faults, a few of which a run may not meet. The system calls take turns, and the faults of
/// each come in random order.
fn chosen(count: usize, seed: u64) -> anyhow::Result<Vec<Fault>> {
    let mut rng = Rng::with_seed(seed);
    let mut left = CALLS
        .iter()
        .map(|(call, first)| {
            let mut faults = all(call, *first, seed)?;
            rng.shuffle(&mut faults);
            Ok(faults)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut chosen = Vec::new();
    while chosen.len() < count && left.iter().any(|faults| !faults.is_empty()) {
        chosen.extend(left.iter_mut().filter_map(Vec::pop));
    }
    Ok(chosen)
}

/// All faults of one system call, from the `first` on.
fn all(call: &'static str, first: u64, seed: u64) -> anyhow::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let folder = quick_folder().context("cannot make a folder")?;
    for life in 0..2 {
        let (_, whole) = trace(&options(folder.path(), life, seed), call, None)?;
        let made = whole.most_of_a_thread();
        for at in first..=made {
            for error in ERRORS {
                // A call that is interrupted for ever is made for ever.
                let stays: &[bool] = if *error == "EINTR" {
                    &[false]
                } else {
                    &[false, true]
                };
                faults.extend(stays.iter().map(|stays| Fault {
                    call,
                    error,
                    at,
                    stays: *stays,
                    life,
                }));
            }
        }
    }
    Ok(faults)
}

/// The options of a writer. The first one leaves its log open, as if it were killed.
fn options(folder: &Path, life: u64, seed: u64) -> writer::Options {
    writer::Options {
        life,
        records: 25,
        segment_bytes: 2 << 10,
        seed,
        trim_every: 8,
        leave_open: life == 0,
        ..writer::Options::new(&folder.join("log"))
    }
}

/// Makes a call of a writer fail, and runs another writer after it.
fn fail(fault: &Fault, seed: u64) -> anyhow::Result<Found> {
    let folder = quick_folder().context("cannot make a folder")?;
    let mut known = Known::default();
    let mut has_failed = false;
    for life in 0..fault.life + 2 {
        let options = options(folder.path(), life, seed);
        let is_whole = life != fault.life;
        let events = if is_whole {
            writer::output(&mut writer::command(&options)?)?
        } else {
            let (events, trace) = trace(&options, fault.call, Some(&fault.inject()))?;
            has_failed = trace.has_failed("");
            events
        };
        if events.errors.contains("panicked") {
            return Ok(Err(events.errors));
        }
        if let Err(finding) = known.learn(&events) {
            return Ok(Err(finding));
        }
        if is_whole && !(events.ended && events.failed.is_empty()) {
            return Ok(Err(format!("it does not recover: {}", events.errors)));
        }
        // Before what a later writer trims cannot be looked at any more; and not before the fault, as looking
        // closes what a killed writer left.
        if life >= fault.life
            && let Err(finding) = known.check(&folder.path().join("log"))
        {
            return Ok(Err(finding));
        }
    }
    Ok(Ok(u64::from(has_failed)))
}

impl Fault {
    /// The fault as an argument of strace.
    fn inject(&self) -> String {
        let Self {
            call,
            error,
            at,
            stays,
            ..
        } = self;
        let stays = if *stays { "+" } else { "" };
        format!("{call}:error={error}:when={at}{stays}")
    }
}
