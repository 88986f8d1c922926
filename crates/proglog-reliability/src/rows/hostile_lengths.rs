//! Hostile lengths: numbers that a reader may use as a length, at every place of a log's files.

use super::row::Row;
use crate::double::opener::{self, Places, is_tried, logs};
use crate::job::Job;

pub(super) const ROW: Row = Row {
    number: 14,
    name: "hostile-lengths",
    figure: "huge, empty and nearly right numbers in each window of 4 and 8 bytes: a panic, or more than \
             64 MiB of memory",
    tried_min: 5_000,
    controls: &[("length-not-checked", &["a number at byte"])],
    needs: &[],
    run,
};

/// The number of bytes of a file that one process tries: few, since processes run in random order, and a fault that
/// shows in few places is then found sooner.
const PART_LEN: usize = 256;

fn run(job: &Job) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for (log, fixture) in logs(job.seed).iter().enumerate() {
        for file in fixture.file_names() {
            let len = fixture.disk.read_file(&file).len();
            let ranges = (0..len).step_by(PART_LEN);
            let ranges = ranges.map(|from| from..len.min(from + PART_LEN));
            let tried = ranges.filter(|range| range.clone().any(|at| is_tried(&file, at)));
            let tried = tried.step_by(job.size(3, 1));
            parts.extend(tried.map(|bytes| Places {
                seed: job.seed,
                log,
                file: file.clone(),
                bytes,
            }));
        }
    }
    job.try_each(&parts, opener::run)
}
