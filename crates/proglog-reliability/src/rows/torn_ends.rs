//! Torn writes and damage, in a log that was killed in the middle of a write: recovery has to distinguish them.

use std::ops::Range;

use fastrand::Rng;
use proglog_log::{Batch, ErrorKind, Log, LogOptions};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use super::row::Row;
use crate::double;
use crate::job::{Job, failed};
use proglog_harness::damage::fixture::{Place, bases, places, store};

pub(super) const ROW: Row = Row {
    number: 12,
    name: "torn-ends",
    figure: "a write that is cut off, and damage: a torn end treated as damage, or damage below the last \
             mark as a torn end",
    tried_min: 25_000,
    controls: &[
        ("cut-at-first-bad-frame", &["unreadable:"]),
        ("torn-end-is-damage", &["a torn end is treated as damage"]),
    ],
    needs: &[],
    run,
};

const CUTS_PER_LOG: u64 = 40;
const AMBIGUOUS: &str = "ambiguous, as no mark covers what was damaged";
/// The length of a mark in the file, in bytes.
const MARK_LEN: u64 = 32;

fn run(job: &Job) -> anyhow::Result<()> {
    let seeds: Vec<_> = (0..job.size(700_u64, 1_400))
        .map(|number| job.seed << 20 | number)
        .collect();
    job.each(&seeds, |seed| {
        let mut rng = Rng::with_seed(*seed);
        let killed = Killed::new(&mut rng)?;
        let mut tried = 0;
        for _ in 0..CUTS_PER_LOG {
            if let Some(is_ambiguous) = killed.cut(&mut rng)? {
                job.count(AMBIGUOUS, is_ambiguous.into());
                tried += 1;
            }
        }
        Ok(tried)
    });
    Ok(())
}

/// A log that was stopped in the midst of an append.
struct Killed {
    options: LogOptions,
    disk: SimDisk,
    /// The values of all records, the unfinished ones last.
    values: Vec<String>,
    /// The places of the acknowledged ones.
    places: Vec<Place>,
    /// The number of records before the last group, which a mark need not cover.
    sure: u64,
    /// The newest acknowledged record's file as it is if all of the unfinished write survives.
    whole: Vec<u8>,
    /// The fingerprint of the disk if all of that survives.
    kept: u64,
}

/// The damage that is done to an acknowledged record.
struct Damage {
    offset: u64,
    /// True if nothing that is left shows that the record was synced.
    may_be_torn: bool,
}

impl Killed {
    fn new(rng: &mut Rng) -> Result<Self, String> {
        let options = LogOptions::new()
            .segment_bytes_max(rng.u64(1 << 10..16 << 10))
            .idle_after(std::time::Duration::MAX)
            .preallocate_max(if rng.bool() { 0 } else { 64 << 10 });
        let disk = SimDisk::new();
        let log = Log::open_in(disk.directory(), &options).map_err(failed)?;
        let (mut values, mut sure) = (Vec::new(), 0);
        for _ in 0..rng.usize(2..14) {
            sure = values.len() as u64;
            log.append_batch(batch(rng, &mut values)).map_err(failed)?;
        }
        let acknowledged = values.len();
        // The same log, closed: no zeros follow its frames.
        let closed = disk.crash(Survivors::KeepAll);
        let other = Log::open_in(closed.directory(), &options).map_err(failed)?;
        other.close().map_err(failed)?;
        let places = places(&closed, &values);
        let write = When::Next(CallKind::Write, 0);
        disk.inject(write, Fault::crash().after_writing(usize::MAX));
        if log.append_batch(batch(rng, &mut values)).is_ok() {
            return Err("an append succeeds without a write".to_owned());
        }
        let newest = places.last().ok_or("there is no record")?;
        let kept = disk.crash(Survivors::KeepAll);
        let whole = kept.read_file(&newest.file);
        assert_eq!(places.len(), acknowledged);
        Ok(Self {
            options,
            disk,
            values,
            places,
            sure,
            whole,
            kept: kept.fingerprint(),
        })
    }

    /// Damages a disk that the crash may leave, and opens it. Returns whether the result was ambiguous, if anything was
    /// torn or damaged.
    fn cut(&self, rng: &mut Rng) -> Result<Option<bool>, String> {
        let survivors = double::survivors(rng);
        let left = self.disk.crash(survivors);
        if rng.bool() {
            self.scramble(rng, &left);
        }
        let damage = (rng.u8(..3) > 0).then(|| self.damage(rng, &left));
        let what = || {
            let offset = damage.as_ref().map(|damage| damage.offset);
            let (acknowledged, sure) = (self.places.len(), self.sure);
            format!(
                "{acknowledged} records, {sure} below a mark, {survivors:?}, damage to {offset:?}"
            )
        };
        let is_whole = left.fingerprint() == self.kept;
        let is_ambiguous = self
            .check(&left, damage.as_ref())
            .map_err(|finding| format!("{}: {finding}", what()))?;
        Ok((!is_whole).then_some(is_ambiguous))
    }

    /// Replaces torn bytes by random ones: they need not be those of the write.
    fn scramble(&self, rng: &mut Rng, left: &SimDisk) {
        let Some(newest) = self.places.last() else {
            return;
        };
        let mut bytes = left.read_file(&newest.file);
        let Some(torn) = bytes.get_mut(index(newest.bytes.end)..) else {
            return;
        };
        if torn.len() < 8 || torn.iter().all(|byte| *byte == 0) {
            return;
        }
        let len = torn.len().min(1 << 10);
        let from = rng.usize(..len);
        let to = rng.usize(from..len);
        rng.fill(&mut torn[from..to]);
        left.write_file(&newest.file, &bytes);
    }

    /// Damages a record that was acknowledged.
    fn damage(&self, rng: &mut Rng, left: &SimDisk) -> Damage {
        let from = if rng.bool() { 0 } else { self.sure };
        let offset = rng.u64(from..self.places.len() as u64);
        let Place {
            file, bytes: at, ..
        } = &self.places[index(offset)];
        let mut bytes = left.read_file(file);
        let frame = &mut bytes[index(at.start)..index(at.end)];
        let before = frame.to_vec();
        while frame == before {
            let from = rng.usize(..frame.len());
            let to = rng.usize(from + 1..=frame.len());
            match rng.u8(..3) {
                0 => frame[from] ^= 1 << rng.u8(..8),
                1 => frame[from..to].fill(0),
                _ => rng.fill(&mut frame[from..to]),
            }
        }
        left.write_file(file, &bytes);
        Damage {
            offset,
            may_be_torn: offset >= self.sure && !self.has_mark(left),
        }
    }

    /// True if the mark that covers the newest group is there, or a newer segment.
    fn has_mark(&self, left: &SimDisk) -> bool {
        let Some(Place { file, bytes, .. }) = self.places.last() else {
            return false;
        };
        let is_sealed = bases(left).last().map(|base| store(*base)).as_ref() != Some(file);
        let mark: Range<usize> = index(bytes.end)..index(bytes.end + MARK_LEN);
        let [wanted, found] = [&self.whole, &left.read_file(file)].map(|bytes| {
            let bytes = bytes.get(mark.clone())?;
            (bytes[0] != 0).then(|| bytes.to_vec())
        });
        is_sealed || (wanted.is_some() && wanted == found)
    }

    fn check(&self, left: &SimDisk, damage: Option<&Damage>) -> Result<bool, String> {
        let log = Log::open_in(left.directory(), &self.options).map_err(failed)?;
        let (end, recovery) = (log.end_offset().get(), log.recovery().clone());
        let mut unreadable = Vec::new();
        for offset in 0..end {
            match log.read(offset) {
                Ok(record) if record.value == self.values[index(offset)] => {}
                Ok(record) => return Err(format!("record {offset} is {record:?}")),
                Err(error) if error.kind() == ErrorKind::Corrupt => unreadable.push(offset),
                Err(error) => return Err(format!("record {offset}: {error:?}")),
            }
        }
        let (all, acknowledged) = (self.values.len() as u64, self.places.len() as u64);
        let whole = end == acknowledged || end == all;
        let wanted = damage.map(|damage| damage.offset);
        if whole && unreadable == Vec::from_iter(wanted) {
            return match &recovery.damaged {
                Some(place) if damage.is_none() => {
                    Err(format!("a torn end is treated as damage at {place:?}"))
                }
                _ => Ok(false),
            };
        }
        let is_set_aside =
            end == self.sure && recovery.set_aside.is_some() && unreadable.is_empty();
        if is_set_aside && damage.is_some_and(|damage| damage.may_be_torn) {
            return Ok(true);
        }
        Err(format!(
            "{end} records, {unreadable:?} unreadable: {recovery:?}"
        ))
    }
}

/// A batch of new values, which are added to `values`.
fn batch(rng: &mut Rng, values: &mut Vec<String>) -> Batch {
    let first = values.len();
    for number in first..first + rng.usize(1..5) {
        values.push(format!("{number:0width$}", width = rng.usize(8..500)));
    }
    values[first..].iter().map(String::as_str).collect()
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
