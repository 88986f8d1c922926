//! Numbers that may be taken for lengths stand everywhere in a log's files.

use super::Row;
use crate::double::opener::{self, Places, logs};
use crate::job::Job;

pub(super) const ROW: Row = Row {
    number: 14,
    name: "hostile-lengths",
    figure: "huge, empty and nearly right numbers in each window of 4 and 8 bytes: a panic, or more than \
             64 MiB of memory",
    tried_min: 5_000,
    controls: &["length-not-checked"],
    needs: &[],
    run,
};

/// How many bytes of a file one process goes through.
const PART_LEN: usize = 256;

fn run(job: &Job) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for (log, fixture) in logs(job.seed).iter().enumerate() {
        for file in fixture.file_names() {
            let len = fixture.disk.read_file(&file).len();
            parts.extend((0..len).step_by(PART_LEN).map(|from| Places {
                seed: job.seed,
                log,
                file: file.clone(),
                from,
                to: len.min(from + PART_LEN),
            }));
        }
    }
    job.try_each(&parts, opener::run)
}
