//! Clock steps: the system's clock is set back and forth under a log that drops what is too old.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use proglog_log::testing::TestClock;
use proglog_log::{Log, LogOptions, Retention};
use proglog_store::testing::SimDisk;

use super::row::Row;
use crate::job::{Found, Job, failed};

pub(super) const ROW: Row = Row {
    number: 20,
    name: "clock-steps",
    figure: "histories of a log with a limit on age, whose clock is set to any time for a moment or for good: a record \
             dropped that is younger than the limit by what has passed in its process, one that stays though all \
             clocks are right for longer than the limit, a date that decreases",
    tried_min: 1_000,
    controls: &[
        ("age-by-date-alone", &["younger"]),
        ("age-counts-from-any-date", &["stays"]),
    ],
    needs: &[],
    run,
};

const LIMIT: Duration = Duration::from_hours(1);
const STEPS: usize = 60;

/// A log on a clock, and what is known of its records.
struct World {
    disk: SimDisk,
    clock: Arc<TestClock>,
    log: Log,
    /// The time that has passed.
    passed: Duration,
    /// When each record was appended, and whether by the process that has the log open.
    appended: Vec<(Duration, bool)>,
    /// The date of the newest record.
    newest: SystemTime,
}

fn run(job: &Job) -> anyhow::Result<()> {
    let count = job.size(2_000, 100_000);
    let seeds: Vec<_> = (0..count).map(|number| job.seed << 32 | number).collect();
    job.each(&seeds, |seed| one(&mut Rng::with_seed(*seed)));
    Ok(())
}

/// The right time when nothing has passed: 1 January 2026.
fn right_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(490_896)
}

fn open(disk: &SimDisk, clock: &Arc<TestClock>) -> Result<Log, String> {
    let options = LogOptions::new()
        .retention(Retention::new().age(LIMIT))
        .idle_after(Duration::MAX)
        .clock(clock);
    Log::open_in(disk.directory(), &options).map_err(failed)
}

fn one(rng: &mut Rng) -> Found {
    let (disk, clock) = (SimDisk::new(), TestClock::new(right_time()));
    let log = open(&disk, &clock)?;
    let mut world = World {
        disk,
        clock,
        log,
        passed: Duration::ZERO,
        appended: Vec::new(),
        newest: SystemTime::UNIX_EPOCH,
    };
    for _ in 0..STEPS {
        world.step(rng)?;
        world.check_young()?;
    }
    world.check_old()?;
    Ok(1)
}

impl World {
    fn step(&mut self, rng: &mut Rng) -> Result<(), String> {
        match rng.u8(..12) {
            0..4 => {
                let offset = self.log.append("a").map_err(failed)?;
                self.appended.push((self.passed, true));
                let date = self.log.read(offset).map_err(failed)?.appended_at();
                if date < std::mem::replace(&mut self.newest, date) {
                    return Err(format!(
                        "the date of offset {offset} is less than the one before"
                    ));
                }
            }
            4..6 => drop(self.log.roll().map_err(failed)?),
            6..8 => self.advance(Duration::from_secs(rng.u64(..2_400))),
            8 => {
                let years = 365 * 24 * 3600;
                let offs = [0, 1, -1, 5_000, -5_000, 50 * years, -56 * years];
                self.set(offs[rng.usize(..offs.len())]);
            }
            9 => {
                self.log.close().map_err(failed)?;
                self.log = open(&self.disk, &self.clock)?;
                for (_, is_own) in &mut self.appended {
                    *is_own = false;
                }
                if self.log.is_empty() {
                    // No record is left that has a date.
                    self.newest = SystemTime::UNIX_EPOCH;
                }
            }
            _ => drop(self.log.apply_retention().map_err(failed)?),
        }
        Ok(())
    }

    fn advance(&mut self, duration: Duration) {
        self.clock.advance(duration);
        self.passed += duration;
    }

    /// Sets the clock this many seconds off.
    fn set(&mut self, off: i64) {
        let right = right_time() + self.passed;
        let distance = Duration::from_secs(off.unsigned_abs());
        let shown = if off < 0 {
            right
                .checked_sub(distance)
                .unwrap_or(SystemTime::UNIX_EPOCH)
        } else {
            right + distance
        };
        self.clock.set(shown);
    }

    /// Checks that no record is gone that this process has appended less than the limit ago.
    fn check_young(&self) -> Result<(), String> {
        let start = usize::try_from(self.log.start_offset().get()).unwrap_or(usize::MAX);
        for (offset, (appended, is_own)) in self.appended.iter().enumerate().take(start) {
            let age = self.passed.saturating_sub(*appended);
            if *is_own && age < LIMIT {
                return Err(format!(
                    "offset {offset} is gone, younger than the limit: {age:?}"
                ));
            }
        }
        Ok(())
    }

    /// Checks that all is gone once the limit has passed with the right time.
    fn check_old(&mut self) -> Result<(), String> {
        self.set(0);
        let wait = LIMIT + Duration::from_mins(10);
        for _ in 0..3 {
            self.log.apply_retention().map_err(failed)?;
            self.advance(wait / 2);
        }
        let (start, end) = (
            self.log.apply_retention().map_err(failed)?,
            self.log.end_offset(),
        );
        if start != end {
            return Err(format!("offset {start} stays, of {end}"));
        }
        Ok(())
    }
}
