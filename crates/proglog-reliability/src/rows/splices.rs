//! Files are cut at every length, lengthened, exchanged, swapped for older ones and for those of other
//! logs; frames are copied over each other.

use super::Row;
use crate::double::damage::cuts::cut;
use crate::double::damage::files::{older_segments, replace};
use crate::double::damage::fixture::{Fixture, both};
use crate::double::damage::tails::{copy_over, lengthen};
use crate::job::Job;

pub(super) const ROW: Row = Row {
    number: 11,
    name: "splices",
    figure: "files cut at each length, lengthened, exchanged, stale or foreign, frames moved: unnoticed, a \
             wrong record, or another record unreadable",
    tried_min: 20_000,
    controls: &["position-not-checked", "label-not-checked"],
    needs: &[],
    run,
};

fn run(job: &Job) -> anyhow::Result<()> {
    let foreign = both(&format!("editor {}", job.seed));
    for (fixture, other) in both(&format!("writer {}", job.seed)).iter().zip(&foreign) {
        let files = fixture.file_names();
        exchange(job, fixture, &foreign);
        let offsets: Vec<_> = (0..fixture.end()).collect();
        job.each(&offsets, |offset| {
            Ok((copy_over(fixture, fixture, *offset) + copy_over(fixture, other, *offset)) as u64)
        });
        job.each(&files, |file| Ok(lengthen(fixture, file) as u64));
        job.each(&fixture.history, |older| {
            Ok(older_segments(fixture, older) as u64)
        });
        let lens = |file: &String| 0..fixture.disk.read_file(file).len() as u64;
        let cuts = files
            .iter()
            .flat_map(|file| lens(file).map(move |len| (file, len)));
        job.each(&cuts.collect::<Vec<_>>(), |(file, len)| {
            cut(fixture, file, *len);
            Ok(1)
        });
    }
    Ok(())
}

/// Puts each file of this log and of the others in the place of each.
fn exchange(job: &Job, fixture: &Fixture, foreign: &[Fixture]) {
    let mut exchanges = Vec::new();
    for source in std::iter::once(fixture).chain(foreign) {
        for from in source.file_names() {
            let to = fixture.file_names();
            exchanges.extend(to.into_iter().map(|to| (&source.disk, from.clone(), to)));
        }
    }
    job.each(&exchanges, |(source, from, to)| {
        replace(fixture, to, source, from);
        Ok(1)
    });
}
