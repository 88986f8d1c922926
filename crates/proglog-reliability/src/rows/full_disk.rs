//! A device that is filled to the last byte, and emptied again, under an open log.

use std::path::Path;

use fastrand::Rng;
use proglog_log::{Batch, ErrorKind, Log, LogOptions, Outcome};

use super::row::Row;
use crate::job::{Found, Job, failed};
use crate::system::Need;
use crate::system::disk::{Disk, Kind};
use crate::system::known::Known;
use crate::system::values::value;

pub(super) const ROW: Row = Row {
    number: 9,
    name: "full-disk",
    figure: "a device filled under an open log of many segments or one (tmpfs of 64 KiB to 4 MiB, ext4 of \
             8 MiB), then trimmed or enlarged: a record lost, an append that does not work again without a \
             restart",
    tried_min: 40,
    controls: &[
        ("full-disk-poisons", &["Poisoned"]),
        ("room-stays-taken", &["no append works", "No space left"]),
    ],
    needs: &[Need::Disk(Kind::Tmpfs), Need::Disk(Kind::Ext4)],
    run,
};

const CYCLES_PER_DISK: u64 = 6;
/// The same, where each call takes long.
const CYCLES_PER_PART: u64 = 3;

/// The lengths of small segments, and a length beyond any disk here.
const SMALL: std::ops::Range<u64> = 4 << 10..24 << 10;
const LONGER_THAN_A_DISK: u64 = 64 << 20;

fn run(job: &Job) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(job.seed);
    for kib in [64, 256, 1 << 10, 4 << 10] {
        for segment in [rng.u64(SMALL), LONGER_THAN_A_DISK] {
            let size = rng.u64(kib / 2..=kib).max(64) << 10;
            let disk = Disk::new(Kind::Tmpfs, size)?;
            job.one(|| fill(&disk, Room::Of(size), segment, &mut rng));
        }
    }
    for segment in [rng.u64(SMALL), rng.u64(SMALL), LONGER_THAN_A_DISK] {
        let disk = Disk::new(Kind::Ext4, 8 << 20)?;
        job.one(|| fill(&disk, Room::Fixed, segment, &mut rng));
    }
    Ok(())
}

/// The room of a log on a disk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Room {
    /// All of it.
    Fixed,
    /// All of it; it has this size, and can be enlarged.
    Of(u64),
    /// About as many bytes: others take the rest.
    Left(usize),
    /// As [`Room::Left`], where a trim may need more room than a log keeps for it. Then the others go.
    Shared(usize),
}

/// Fills a disk again and again. Returns how often.
pub(super) fn fill(disk: &Disk, room: Room, segment: u64, rng: &mut Rng) -> Found {
    let text = |error: anyhow::Error| format!("{error:#}");
    let folder = disk.path().join("log");
    let mut held = Held::open(&folder, segment)?;
    let mut cycles = CYCLES_PER_DISK;
    if let Room::Left(bytes) | Room::Shared(bytes) = room {
        disk.fill_but(bytes).map_err(text)?;
        cycles = CYCLES_PER_PART;
    }
    let mut cycle = 0;
    while cycle < cycles {
        held.fill()?;
        held.read_all()?;
        let is_enlarged = match room {
            Room::Of(size) if cycle == 2 => {
                disk.resize(2 * size).map_err(text)?;
                true
            }
            _ => {
                held.trim(rng.u64(held.count() / 2..=held.count()))?;
                false
            }
        };
        let mut works = held.append_ten()?;
        if !works && !is_enlarged {
            // The older half may have been in the newest segment, which stays.
            held.trim(held.count())?;
            works = held.append_ten()?;
        }
        if !works && matches!(room, Room::Shared(_)) {
            disk.remove_ballast().map_err(text)?;
            works = held.append_ten()?;
            cycles = cycle + 1;
        }
        if !works {
            let files = files(&folder);
            return Err(format!("no append works, with {files:?} on {disk:?}"));
        }
        held.read_all()?;
        cycle += 1;
    }
    held.log.close().map_err(failed)?;
    held.log = open(&folder, &held.options)?;
    held.read_all()?;
    Ok(cycles)
}

/// A log, and what it must hold.
struct Held {
    log: Log,
    options: LogOptions,
    known: Known,
    /// The number of the next record.
    next: u64,
}

impl Held {
    fn open(folder: &Path, segment: u64) -> Result<Self, String> {
        let options = LogOptions::new().segment_bytes_max(segment);
        Ok(Self {
            log: open(folder, &options)?,
            options,
            known: Known::default(),
            next: 0,
        })
    }

    /// Appends until there is no space for a single record.
    fn fill(&mut self) -> Result<(), String> {
        for records in [100, 10, 1] {
            while self.append(records)? {}
        }
        Ok(())
    }

    /// Appends this many records; whether there was space.
    fn append(&mut self, records: u64) -> Result<bool, String> {
        let ids = self.next..self.next + records;
        self.next = ids.end;
        let batch: Batch = ids.clone().map(|id| value(id, 0)).collect();
        match self.log.append_batch(batch) {
            Ok(offsets) => {
                let mut noted = (offsets.start.get()..).zip(ids);
                noted.try_for_each(|(offset, id)| self.known.note(offset, id))?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::DiskFull => {
                if error.outcome() == Outcome::NotAppended {
                    ids.into_iter().try_for_each(|id| self.known.refuse(id))?;
                }
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn append_ten(&mut self) -> Result<bool, String> {
        for _ in 0..10 {
            if !self.append(1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number of records.
    fn count(&self) -> u64 {
        self.log.end_offset().get() - self.log.start_offset().get()
    }

    /// Drops this many of the oldest records, unless there is no room to do so: then no append will work either.
    fn trim(&mut self, records: u64) -> Result<(), String> {
        let start = self.known.trimmed + records;
        self.known.trim_asked = start;
        match self.log.trim(start) {
            Err(error) if error.kind() == ErrorKind::DiskFull => {}
            trimmed => trimmed.map_err(failed)?,
        }
        self.known.trimmed = self.log.start_offset().get();
        Ok(())
    }

    fn read_all(&mut self) -> Result<u64, String> {
        self.known.check_open(&self.log)
    }
}

fn open(folder: &Path, options: &LogOptions) -> Result<Log, String> {
    Log::open(folder, options).map_err(failed)
}

/// The names and lengths of files.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let len = entry.metadata().ok()?.len();
            Some((entry.file_name().to_string_lossy().into_owned(), len))
        })
        .collect()
}
