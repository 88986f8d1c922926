//! Subsets of the writes between two flushes: the writes of ext4 to its disk are recorded under a writer, and a part of
//! them is done again, as a disk may do that loses power.

use std::ops::Range;

use anyhow::{Context, ensure};
use fastrand::Rng;

use super::row::Row;
use crate::job::{Found, Job};
use crate::system::Need;
use crate::system::disk::{Disk, Kind};
use crate::system::known::Known;
use crate::system::recorded::{Call, Recorded};
use crate::system::writer::{self, Events};

pub(super) const ROW: Row = Row {
    number: 4,
    name: "block-writes",
    figure: "a subset, torn at 4096 bytes, of what ext4 wrote to its disk since a flush: a record lost whose \
             append came back before",
    tried_min: 70,
    controls: &[
        ("sync-skipped", &["is lost", "was given to"]),
        ("acknowledged-in-memory", &["is lost", "was given to"]),
    ],
    needs: &[Need::Fuse, Need::Disk(Kind::Ext4)],
    run,
};

const DISK_BYTES: u64 = 16 << 20;
/// The number of writers that are recorded.
const WRITERS: u64 = 4;

fn run(job: &Job) -> anyhow::Result<()> {
    for number in 0..WRITERS {
        if job.is_over() {
            return Ok(());
        }
        let mut rng = Rng::with_seed(job.seed << 8 | number);
        let recording = Recording::new(&mut rng)?;
        let flushes = recording.flushes();
        ensure!(!flushes.is_empty(), "nothing was ever flushed");
        job.count("flushes", flushes.len() as u64);
        let mut cuts = rng.choose_multiple(0..flushes.len(), job.size(20, 86));
        cuts.sort_unstable();
        let mut disk = recording.before.clone();
        let mut done = 0;
        for cut in cuts {
            let Range { start, end } = flushes[cut].clone();
            recording.calls[done..start]
                .iter()
                .for_each(|(_, call)| apply(&mut disk, call));
            done = start;
            let seen = rng.usize(start + 1..=end);
            let found = recording.cut(disk.clone(), start..seen, &mut rng)?;
            job.one(|| found);
        }
    }
    Ok(())
}

/// The results of a writer, and the calls of its file system to the disk.
struct Recording {
    before: Vec<u8>,
    calls: Vec<(u64, Call)>,
    events: Events,
}

impl Recording {
    fn new(rng: &mut Rng) -> anyhow::Result<Self> {
        let made = Disk::new(Kind::Ext4, DISK_BYTES)?;
        let before = made.unmount_and_read()?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let recorded = Recorded::new(folder.path(), before.clone())?;
        let disk = Disk::of_image(recorded.image())?;
        let log = disk.path().join("log");
        let options = writer::Options {
            records: 150,
            seed: rng.u64(..1 << 20),
            segment_bytes: rng.u64(2 << 10..16 << 10),
            leave_open: true,
            ..writer::Options::new(&log)
        };
        let events = writer::output(&mut writer::command(&options)?)?;
        ensure!(events.ended, "the writer did not end: {}", events.errors);
        let calls = recorded.calls();
        drop(disk);
        Ok(Self {
            before,
            calls,
            events,
        })
    }

    /// The calls after each flush up to the next one, or to the end, if they have a write.
    fn flushes(&self) -> Vec<Range<usize>> {
        let calls = self.calls.iter().enumerate();
        let behind = calls.filter(|(_, (_, call))| matches!(call, Call::Flush));
        let mut starts: Vec<_> = behind.map(|(at, _)| at + 1).collect();
        starts.push(self.calls.len());
        let between = starts.windows(2).map(|pair| pair[0]..pair[1]);
        between
            .filter(|range| {
                let mut calls = self.calls[range.clone()].iter();
                calls.any(|(_, call)| matches!(call, Call::Write(..)))
            })
            .collect()
    }

    /// Does some of the calls `seen` since a flush on `disk`, mounts the file system, and checks the log.
    fn cut(&self, mut disk: Vec<u8>, seen: Range<usize>, rng: &mut Rng) -> anyhow::Result<Found> {
        // An append that returned before the next call to the disk returned before the cut.
        let at = self.calls[seen.end.max(1) - 1].0;
        let share = rng.u8(1..=4);
        for (_, call) in &self.calls[seen] {
            if let Call::Write(offset, bytes) = call {
                for (number, sector) in bytes.chunks(4096).enumerate() {
                    if rng.u8(..4) < share {
                        let at = offset + number * 4096;
                        disk[at..at + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
        let mut known = Known::default();
        for (id, kept) in &self.events.acknowledged {
            if kept.at < at
                && let Err(finding) = known.note(kept.offset, *id)
            {
                return Ok(Err(finding));
            }
        }
        let mounted = Disk::of_bytes(&disk)?;
        Ok(known.check_made(&mounted.path().join("log")))
    }
}

fn apply(disk: &mut [u8], call: &Call) {
    if let Call::Write(at, bytes) = call {
        disk[*at..at + bytes.len()].copy_from_slice(bytes);
    }
}
