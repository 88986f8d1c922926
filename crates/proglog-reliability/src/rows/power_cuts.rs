//! Power cuts: a file system is shut down while a process appends to a log on it, and mounted again.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use anyhow::{Context, ensure};
use fastrand::Rng;
use rustix::process::Pid;

use super::row::Row;
use crate::job::{Found, Job};
use crate::system::Need;
use crate::system::clock;
use crate::system::disk::{Disk, Kind};
use crate::system::known::Known;
use crate::system::limit::watch;
use crate::system::writer::{self, Events};

pub(super) const ROW: Row = Row {
    number: 3,
    name: "power-cuts",
    figure: "a file system shut down under a writer (three of ext4 for one of xfs): a record lost whose append \
             came back before, an offset given two values",
    tried_min: 70,
    controls: &[
        ("sync-skipped", &["is lost", "was given to"]),
        ("acknowledged-in-memory", &["is lost", "was given to"]),
    ],
    needs: &[Need::Disk(Kind::Ext4), Need::Disk(Kind::Xfs)],
    run,
};

/// The number of power cuts of one log.
const CUTS_PER_LOG: u64 = 10;

fn run(job: &Job) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(job.seed);
    for (kind, bytes, cuts) in [
        (Kind::Ext4, 32 << 20, job.size(60, 310)),
        (Kind::Xfs, 320 << 20, job.size(20, 110)),
    ] {
        let disk = Disk::new(kind, bytes)?;
        for number in 0..cuts / CUTS_PER_LOG {
            if job.is_over() {
                return Ok(());
            }
            let folder = disk.path().join(format!("log {number}"));
            let mut log = CutOff {
                disk: &disk,
                known: Known::default(),
                unsure: 0,
            };
            for life in 0..CUTS_PER_LOG {
                let options = writer::Options {
                    life,
                    records: 100_000,
                    seed: job.seed,
                    segment_bytes: 4 << 10,
                    ..writer::Options::new(&folder)
                };
                let after = if rng.bool() {
                    rng.u64(..8)
                } else {
                    rng.u64(..120)
                };
                let cut = log.cut(&options, after);
                let cut = cut.with_context(|| format!("{}, life {life}", kind.name()))?;
                let is_bad = cut.is_err();
                job.one(|| {
                    cut.map_err(|finding| {
                        format!("{}, cut {life} after {after}: {finding}", kind.name())
                    })
                });
                if is_bad {
                    break;
                }
            }
            job.count("acknowledged while the power was cut", log.unsure);
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    Ok(())
}

/// A log on a file system that is cut off.
struct CutOff<'a> {
    disk: &'a Disk,
    known: Known,
    /// The number of appends that returned while the power was being cut: the order of the two is unknown.
    unsure: u64,
}

impl CutOff<'_> {
    /// Cuts the power after this many lines of the writer, and checks what is left.
    fn cut(&mut self, options: &writer::Options, after: u64) -> anyhow::Result<Found> {
        let mut child = writer::command(options)?
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot run the writer")?;
        let mut output = BufReader::new(child.stdout.take().context("the output is piped")?);
        let mut lines = String::new();
        let (read, hangs) = watch(Pid::from_child(&child), writer::TIME_MAX, || {
            (0..after).try_for_each(|_| output.read_line(&mut lines).map(drop))
        });
        read?;
        let begun = clock::now();
        self.disk.cut()?;
        child.kill()?;
        let events = writer::read(lines.as_bytes().chain(output));
        child.wait()?;
        self.disk.restart()?;
        let Events {
            acknowledged,
            unopened,
            ..
        } = events?;
        ensure!(
            unopened <= 1,
            "the writer could not open the log before the cut"
        );
        let lines = lines.lines().count() as u64;
        let checked = (|| {
            if hangs {
                return Err(format!("the writer does not end, after {lines} lines"));
            }
            if lines < after {
                return Err(format!("the writer ended by itself, after {lines} lines"));
            }
            for (id, kept) in &acknowledged {
                if kept.at < begun {
                    self.known.note(kept.offset, *id)?;
                } else {
                    self.unsure += 1;
                }
            }
            self.known.check_made(&options.directory)
        })();
        Ok(checked)
    }
}
