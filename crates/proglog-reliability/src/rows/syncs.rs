//! How many syncs a writer makes.

use anyhow::{Context, ensure};

use super::Row;
use crate::job::Job;
use crate::system::Need;
use crate::system::strace::{Trace, trace};
use crate::system::writer;

pub(super) const ROW: Row = Row {
    number: 18,
    name: "syncs-per-append",
    figure: "a sequential writer under strace: fewer syncs of segments than acknowledged appends, fewer \
             syncs of the directory than segments",
    tried_min: 1,
    controls: &["sync-skipped", "directory-sync-skipped"],
    needs: &[Need::Strace],
    run,
};

fn run(job: &Job) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let log = folder.path().join("log");
    let options = writer::Options {
        seed: job.seed,
        ..writer::Options::new(&log)
    };
    let (events, Trace { calls }) = trace(&options, "fsync,fdatasync", None)?;
    ensure!(events.ended, "the writer did not end: {}", events.errors);
    let appends = events.acknowledged.len() as u64;
    let segments = std::fs::read_dir(&log)?
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|suffix| suffix == "log")
        })
        .count() as u64;
    let ends = |suffix: &str| {
        calls
            .iter()
            .filter(|call| call.path.ends_with(suffix))
            .count() as u64
    };
    let (syncs, directory_syncs) = (ends(".log"), ends("/log"));
    job.tried(1);
    job.count("appends", appends);
    job.count("syncs of segments", syncs);
    job.count("segments", segments);
    job.count("syncs of the directory", directory_syncs);
    if syncs < appends || directory_syncs < segments {
        job.bad(&format!(
            "{syncs} syncs for {appends} appends, {directory_syncs} of the directory for {segments} segments"
        ));
    }
    Ok(())
}
