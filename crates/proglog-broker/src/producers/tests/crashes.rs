//! Random appends of producers, stopped at each call to the disk. What is known of the producers after that is what all
//! records say that the log has had, whether it still has them or not.

use std::collections::HashMap;

use fastrand::Rng;
use proglog_log::{Record, StoredRecord};

use super::*;

const IDS: [&str; 3] = ["a", "b", "c"];
const STEPS: usize = 30;

/// A log, its producers, and what the test knows of them.
struct World {
    disk: SimDisk,
    durability: Durability,
    rng: Rng,
    /// All records that were acknowledged, or found after a crash.
    history: Vec<StoredRecord>,
    /// The epoch, and the batches of that epoch, that each producer has sent; the last ones may have failed.
    sent: HashMap<&'static str, (u64, Vec<u64>)>,
}

/// The process has stopped.
struct Stopped;

impl World {
    fn new(durability: Durability, seed: u64) -> Self {
        let disk = SimDisk::new();
        disk.count_only_changes();
        Self {
            disk,
            durability,
            rng: Rng::with_seed(seed),
            history: Vec::new(),
            sent: IDS.map(|id| (id, (0, Vec::new()))).into(),
        }
    }

    /// Runs the steps until the process stops.
    fn run(&mut self) -> Result<(), Stopped> {
        let mut opened = self.open()?;
        for _ in 0..STEPS {
            let (log, producers) = &opened;
            match self.rng.u8(..12) {
                0..6 => self.send(log, producers)?,
                6 => self.acknowledge(log, producers.submit(Append::new(["plain"])))?,
                7 => self.resend(producers)?,
                8 => producers.store_snapshot().or(Err(Stopped))?,
                9 => {
                    producers.store_snapshot().or(Err(Stopped))?;
                    let start = self.rng.u64(..=log.end_offset().get());
                    log.trim(start).or(Err(Stopped))?;
                }
                10 => {
                    log.sync().or(Err(Stopped))?;
                }
                _ => {
                    producers.store_snapshot().or(Err(Stopped))?;
                    log.close().or(Err(Stopped))?;
                    opened = self.open()?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(Log, LogProducers), Stopped> {
        let opened = open_with(&self.disk, &options(self.durability)).or(Err(Stopped))?;
        Ok(opened)
    }

    /// Sends up to three batches of a producer, the next ones before the first is acknowledged.
    fn send(&mut self, log: &Log, producers: &LogProducers) -> Result<(), Stopped> {
        let id = self.rng.choice(IDS).unwrap();
        let state = self.sent.get_mut(id).unwrap();
        if self.rng.u8(..8) == 0 {
            *state = (state.0 + 1, Vec::new());
        }
        let mut submitted = Vec::new();
        for _ in 0..self.rng.u8(1..4) {
            let count = self.rng.u64(1..4);
            let append = batch(id, state.0, state.1.iter().sum(), count);
            state.1.push(count);
            submitted.push(producers.submit(append));
        }
        for submitted in submitted {
            self.acknowledge(log, submitted)?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, log: &Log, submitted: LogResult<Submitted>) -> Result<(), Stopped> {
        let ticket = match submitted {
            Ok(Submitted::Taken(ticket)) => ticket,
            Ok(Submitted::Refused(Error::Storage { .. })) | Err(_) => return Err(Stopped),
            other => panic!("{other:?}"),
        };
        for offset in ticket.wait().or(Err(Stopped))? {
            let record = log.read(offset).or(Err(Stopped))?;
            assert_eq!(offset.get(), self.history.len() as u64);
            self.history.push(record);
        }
        Ok(())
    }

    /// Sends a batch again that was sent, and is acknowledged.
    fn resend(&mut self, producers: &LogProducers) -> Result<(), Stopped> {
        let id = self.rng.choice(IDS).unwrap();
        let (epoch, counts) = &self.sent[id];
        if counts.is_empty() {
            return Ok(());
        }
        let index = self.rng.usize(..counts.len());
        let sequence = counts[..index].iter().sum();
        let again = producers
            .submit(batch(id, *epoch, sequence, counts[index]))
            .or(Err(Stopped))?;
        let Submitted::Repeated(offsets) = again else {
            panic!("{again:?}");
        };
        let is_recent = index + 5 >= counts.len();
        assert_eq!(
            offsets.is_some(),
            is_recent,
            "batch {index} of {}",
            counts.len()
        );
        if let Some(offsets) = offsets {
            let first = &self.history[usize::try_from(offsets.start.get()).unwrap()];
            assert_eq!(first.value, format!("{id}/{epoch}/{sequence}"));
        }
        Ok(())
    }

    /// Opens the log after a crash, and checks what is known of its producers.
    fn check(&mut self, is_power_cut: bool) {
        let (log, producers) = open_with(&self.disk, &options(self.durability)).unwrap();
        let end = usize::try_from(log.end_offset().get()).unwrap();
        let is_kept = match self.durability {
            Durability::Synced => true,
            Durability::Buffered => false,
            _ => !is_power_cut,
        };
        if is_kept {
            assert!(end >= self.history.len(), "acknowledged records are lost");
        }
        self.history.truncate(end);
        for record in log.records(self.history.len() as u64..) {
            self.history.push(record.unwrap());
        }
        let mut expected = Producers::new();
        self.history
            .iter()
            .for_each(|record| expected.replay(record));
        for id in IDS {
            assert_eq!(producers.get(id), expected.get(id), "{id}");
        }
        self.check_each_batch(&expected, &producers);
        // Each producer sends all again from where it has come to, in order.
        for id in IDS {
            let (epoch, counts) = self.sent[id].clone();
            let known = expected.get(id).filter(|known| known.epoch == epoch);
            let next = known.map_or(0, |known| known.next_sequence);
            let mut sequence = 0;
            for count in counts {
                let submitted = producers.submit(batch(id, epoch, sequence, count));
                match submitted {
                    Ok(Submitted::Repeated(_)) => {
                        assert!(sequence < next, "{id}/{epoch}/{sequence}");
                    }
                    Ok(Submitted::Taken(ticket)) => {
                        assert!(
                            sequence >= next,
                            "{id}/{epoch}/{sequence} is appended twice"
                        );
                        ticket.wait().unwrap();
                    }
                    other => panic!("{id}/{epoch}/{sequence}: {other:?}"),
                }
                sequence += count;
            }
        }
    }

    /// Compares what is said of the newest batches.
    fn check_each_batch(&self, expected: &Producers, producers: &LogProducers) {
        let marks = self.history.iter().filter_map(StoredRecord::producer);
        for mark in marks {
            let mark_again = Producer::new(mark.id(), mark.epoch(), mark.sequence()).unwrap();
            let expected = expected.check(&mark_again, mark.count(), SystemTime::UNIX_EPOCH);
            let records = (0..mark.count()).map(|_| Record::new(""));
            let again = producers.submit(Append::new(records.collect::<Batch>()).by(mark_again));
            match (expected, again) {
                (Ok(Checked::Repeated(expected)), Ok(Submitted::Repeated(offsets))) => {
                    assert_eq!(offsets, expected, "{mark:?}");
                }
                (Err(expected), Ok(Submitted::Refused(Error::Refused(refused)))) => {
                    assert_eq!(refused, expected, "{mark:?}");
                }
                other => panic!("{mark:?}: {other:?}"),
            }
        }
    }
}

/// Stops each run at each change of the disk; returns how often that was.
fn stop_everywhere(durability: Durability, seeds: std::ops::Range<u64>) -> u64 {
    let mut stops = 0;
    for seed in seeds {
        let mut whole = World::new(durability, seed);
        assert!(whole.run().is_ok());
        for call in 0..whole.disk.calls() {
            let mut world = World::new(durability, seed);
            world
                .disk
                .inject(When::Call(call), Fault::crash().after_writing(usize::MAX));
            assert!(
                world.run().is_err() || world.disk.has_crashed(),
                "call {call}"
            );
            for survivors in [
                Survivors::KeepAll,
                Survivors::LoseAll,
                Survivors::Seeded(seed ^ call),
            ] {
                let mut left = World {
                    disk: world.disk.crash(survivors),
                    durability,
                    rng: Rng::new(),
                    history: world.history.clone(),
                    sent: world.sent.clone(),
                };
                left.check(survivors != Survivors::KeepAll);
                stops += 1;
            }
        }
    }
    stops
}

#[test]
fn a_synced_log_knows_its_producers_wherever_it_was_stopped() {
    let stops = stop_everywhere(Durability::Synced, 0..6);
    assert!(stops > 2000, "{stops}");
}

#[test]
fn a_log_that_is_not_synced_knows_the_producers_of_what_it_has_kept() {
    let stops = stop_everywhere(Durability::Buffered, 10..16);
    assert!(stops > 1000, "{stops}");
    let stops = stop_everywhere(Durability::INTERVAL, 20..24);
    assert!(stops > 1000, "{stops}");
}
