//! Bit flips: every bit of a log's files, one at a time.

use super::row::Row;
use crate::job::Job;
use proglog_harness::damage::fixture::KINDS;
use proglog_harness::damage::flips::{depth, flip, is_telling};

pub(super) const ROW: Row = Row {
    number: 10,
    name: "bit-flips",
    figure: "bits (in a landing check, of each fifth byte) turned in a closed and in a killed log, appended to alone, or trimmed, or truncated: unnoticed, \
             a wrong or a dropped record, a panic, or more than its own record unreadable (of a killed log: than the \
             group that no mark covers)",
    tried_min: 150_000,
    controls: &[
        ("checksum-not-checked", &["of byte"]),
        ("cut-at-first-bad-frame", &["of byte"]),
        ("start-without-recovery-point", &["of byte"]),
    ],
    needs: &[],
    run,
};

const AMBIGUOUS: &str = "ambiguous, as no mark covers what was damaged";

fn run(job: &Job) -> anyhow::Result<()> {
    let author = &format!("writer {}", job.seed);
    let kinds = KINDS.map(|kind| kind(author));
    let mut files = Vec::new();
    for (kind, fixtures) in kinds.iter().enumerate() {
        for fixture in fixtures {
            let names = fixture.file_names().into_iter();
            // The bytes that all kinds share are tried in the first.
            files.extend(names.map(|file| (fixture, file, kind == 0)));
        }
    }
    let mut bits = Vec::new();
    for (fixture, file, with_all) in &files {
        let bytes = 0..fixture.disk.read_file(file).len() as u64;
        let bytes = bytes.filter(|byte| *with_all || is_telling(file, *byte));
        let bytes = bytes.step_by(job.size(5, 1));
        bits.extend(bytes.flat_map(|byte| (0..8).map(move |bit| (*fixture, file, byte, bit))));
    }
    job.each(&bits, |(fixture, file, byte, bit)| {
        let is_ambiguous = flip(fixture, file, *byte, *bit, depth(file, *byte, *bit));
        job.count(AMBIGUOUS, is_ambiguous.into());
        Ok(1)
    });
    Ok(())
}
