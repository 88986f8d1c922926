//! Files that are truncated at every length, extended, removed, exchanged, copied, moved, and replaced by older ones and
//! by those of other logs; frames that are copied over each other.

use super::row::Row;
use crate::job::Job;
use proglog_harness::damage::cuts::cut;
use proglog_harness::damage::files::{
    doubled_and_moved, missing, older_segments, replace, swapped,
};
use proglog_harness::damage::fixture::{Fixture, KINDS};
use proglog_harness::damage::tails::{copy_over, lengthen};

pub(super) const ROW: Row = Row {
    number: 11,
    name: "splices",
    figure: "files cut at each length (in a landing check, each fifth), lengthened, missing, doubled, moved, exchanged, stale or foreign, frames moved: \
             unnoticed, a wrong record, or another record unreadable",
    tried_min: 20_000,
    controls: &[
        ("position-not-checked", &["as record"]),
        ("label-not-checked", &["replaced by"]),
    ],
    needs: &[],
    run,
};

const AMBIGUOUS: &str = "ambiguous, as nothing that is left shows more";

fn run(job: &Job) -> anyhow::Result<()> {
    for kind in KINDS {
        let foreign = kind(&format!("editor {}", job.seed));
        for (fixture, other) in kind(&format!("writer {}", job.seed)).iter().zip(&foreign) {
            exchange(job, fixture, &foreign);
            splice(job, fixture, other);
        }
    }
    Ok(())
}

fn splice(job: &Job, fixture: &Fixture, other: &Fixture) {
    let files = fixture.file_names();
    job.each(&files, |file| {
        missing(fixture, file);
        Ok(1)
    });
    job.each(&pairs(&files), |(first, second)| {
        swapped(fixture, first, second);
        Ok(1)
    });
    job.each(&moves(fixture), |(base, other)| {
        doubled_and_moved(fixture, *base, *other);
        Ok(2)
    });
    let offsets: Vec<_> = (fixture.bases[0]..fixture.end()).collect();
    job.each(&offsets, |offset| {
        Ok((copy_over(fixture, fixture, *offset) + copy_over(fixture, other, *offset)) as u64)
    });
    job.each(&files, |file| Ok(lengthen(fixture, file) as u64));
    job.each(&fixture.history, |older| {
        let (tried, ambiguous) = older_segments(fixture, older);
        job.count(AMBIGUOUS, ambiguous as u64);
        Ok(tried as u64)
    });
    let lens = |file: &String| {
        let lens = 0..fixture.disk.read_file(file).len() as u64;
        lens.step_by(job.size(5, 1))
    };
    let cuts = files
        .iter()
        .flat_map(|file| lens(file).map(move |len| (file, len)));
    job.each(&cuts.collect::<Vec<_>>(), |(file, len)| {
        job.count(AMBIGUOUS, cut(fixture, file, *len).into());
        Ok(1)
    });
}

/// All pairs of files.
fn pairs(files: &[String]) -> Vec<(&String, &String)> {
    let mut pairs = Vec::new();
    for (at, first) in files.iter().enumerate() {
        pairs.extend(files[at + 1..].iter().map(|second| (first, second)));
    }
    pairs
}

/// Each segment with wrong base offsets: within each segment, and after the last one. A segment before the first one is
/// treated as trimmed.
fn moves(fixture: &Fixture) -> Vec<(u64, u64)> {
    let mut moves = Vec::new();
    for base in &fixture.bases {
        let others = (fixture.bases[0] + 1..=fixture.end()).chain([1 << 40, u64::MAX]);
        let others = others.filter(|other| !fixture.bases.contains(other));
        moves.extend(others.map(|other| (*base, other)));
    }
    moves
}

/// Replaces each file by each file of this log and of the others.
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
