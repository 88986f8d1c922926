//! Numbers that may be taken for lengths stand everywhere in a log's files.

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

/// How many bytes of a file one process goes through: few, as they are taken in an order by chance, and what shows
/// in few places is met sooner then.
const PART_LEN: usize = 256;

fn run(job: &Job) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for (log, fixture) in logs(job.seed).iter().enumerate() {
        for file in fixture.file_names() {
            let len = fixture.disk.read_file(&file).len();
            let ranges = (0..len).step_by(PART_LEN);
            let ranges = ranges.map(|from| from..len.min(from + PART_LEN));
            let tried = ranges.filter(|range| range.clone().any(|at| is_tried(&file, at)));
            parts.extend(tried.map(|range| Places {
                seed: job.seed,
                log,
                file: file.clone(),
                from: range.start,
                to: range.end,
            }));
        }
    }
    job.try_each(&parts, opener::run)
}
