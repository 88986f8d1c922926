//! Every bit of a log's files is turned, one at a time.

use super::Row;
use crate::double::damage::fixture::both;
use crate::double::damage::flips::{depth, flip};
use crate::job::Job;

pub(super) const ROW: Row = Row {
    number: 10,
    name: "bit-flips",
    figure: "bits turned in a closed and in a killed log: unnoticed, a wrong record, a panic, or more \
             than its own record unreadable (of a killed log: than the group that no mark covers)",
    tried_min: 200_000,
    controls: &[
        ("checksum-not-checked", &["of byte"]),
        ("cut-at-first-bad-frame", &["of byte"]),
    ],
    needs: &[],
    run,
};

const AMBIGUOUS: &str = "ambiguous, as no mark covers what was damaged";

fn run(job: &Job) -> anyhow::Result<()> {
    let fixtures = both(&format!("writer {}", job.seed));
    // What is wrong shows sooner in the killed one.
    for fixture in fixtures.iter().rev() {
        let mut bits = Vec::new();
        let files = fixture.file_names();
        for file in &files {
            let len = fixture.disk.read_file(file).len() as u64;
            bits.extend((0..len).flat_map(|byte| (0..8).map(move |bit| (file, byte, bit))));
        }
        job.each(&bits, |(file, byte, bit)| {
            let is_ambiguous = flip(fixture, file, *byte, *bit, depth(file, *byte, *bit));
            job.count(AMBIGUOUS, is_ambiguous.into());
            Ok(1)
        });
    }
    Ok(())
}
