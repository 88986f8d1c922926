//! File of the checkpoint: two slots in different blocks, written in turn.
//!
//! Each write gives its slot a number one higher than the last: a torn write spoils the slot that it goes to,
//! and the other is still valid. Both slots exist from the start, so a write needs no new space, even on a
//! full device.

use std::io;
use std::sync::Arc;

use proglog_store::Operation;
use proglog_store::io::{Directory, OpenMode, is_damage};
use proglog_store::segment::replace_file;

use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::{Checkpoint, SLOT_LEN, SlotFault, USED, VERSION};
use crate::layout::names::CHECKPOINT;

/// State of the standby slot, the one without the current checkpoint, as opening finds it. If the current
/// slot is lost, the standby must bring back no record that was dropped and lose none that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standby {
    /// Equivalent to the current checkpoint. It is on the device, since it was before the current one was
    /// written.
    Valid,
    /// The same checkpoint again. The current one was written to have it in both slots, and may not be on the
    /// device, where there may still be what it replaced.
    Duplicate,
    /// Stale or invalid: must be overwritten before anything is truncated or appended.
    Stale,
}

/// The checkpoint and its file, which is opened for each write, so that an idle log does not keep it open.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    directory: Arc<dyn Directory>,
    current: Checkpoint,
    number: u64,
    /// Slot of the current checkpoint, which the next write must leave alone.
    slot: u64,
    /// True if this process wrote that slot. Otherwise a sync may have failed in an earlier process, and the
    /// slot can be read without being on the device: it is rewritten before the other one is.
    confirmed: bool,
    standby: Standby,
}

impl CheckpointFile {
    /// Creates the file, durable with its name, or replaces it. After an error no temporary file is left.
    pub(crate) fn create(directory: Arc<dyn Directory>, current: Checkpoint) -> Result<Self> {
        replace_file(&*directory, CHECKPOINT, |file| {
            file.allocate(2 * SLOT_LEN as u64)?;
            (0..2).try_for_each(|number| {
                file.write_all_at(&current.encode(number), number * SLOT_LEN as u64)
            })
        })?;
        Ok(Self {
            directory,
            current,
            number: 1,
            slot: 1,
            confirmed: true,
            standby: Standby::Valid,
        })
    }

    /// Reads both slots; the newest valid one is current.
    pub(crate) fn open(directory: Arc<dyn Directory>) -> Result<Self> {
        let file = directory
            .open(CHECKPOINT, OpenMode::Read)
            .map_err(fail(Operation::Open))?;
        let mut slots = [Err(SlotFault::Damaged), Err(SlotFault::Damaged)];
        for (number, slot) in slots.iter_mut().enumerate() {
            let mut bytes = [0; USED];
            let mut read = || file.read_full_at(&mut bytes, (number * SLOT_LEN) as u64);
            // Damaged only if reading it fails twice.
            let first = read();
            let read = match first {
                Err(error) if is_damage(&error) => read(),
                first => first,
            };
            *slot = match read {
                Ok(read) => Checkpoint::decode(&bytes[..read]),
                Err(error) if is_damage(&error) => Err(SlotFault::Damaged),
                Err(error) => return Err(fail(Operation::Read)(error)),
            };
        }
        let standby = match &slots {
            [Ok((_, first)), Ok((_, second))] if first == second => Standby::Duplicate,
            [Ok((_, first)), Ok((_, second))] if first.is_equivalent(second) => Standby::Valid,
            _ => Standby::Stale,
        };
        let (slot, (number, current)) = match slots {
            // A later version may have appended what the other slot knows nothing of.
            [Err(SlotFault::Version(got)), _] | [_, Err(SlotFault::Version(got))] => {
                return Err(Reason::UnsupportedCheckpoint {
                    got,
                    known: VERSION,
                });
            }
            [Ok(first), Ok(second)] if first.0 > second.0 => (0, first),
            [_, Ok(second)] => (1, second),
            [Ok(first), Err(_)] => (0, first),
            [Err(SlotFault::Damaged), Err(SlotFault::Damaged)] => {
                return Err(Reason::CheckpointLost {
                    problem: "both slots are damaged",
                });
            }
        };
        Ok(Self {
            directory,
            current,
            number,
            slot,
            confirmed: false,
            standby,
        })
    }

    /// Returns the number of the current checkpoint, which every write increases.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn current(&self) -> &Checkpoint {
        &self.current
    }

    /// Makes `next` the current checkpoint, durably. After an error the last one is still current.
    pub(crate) fn write(&mut self, next: Checkpoint) -> Result<()> {
        self.confirm()?;
        let (slot, number) = (1 - self.slot, self.number + 1);
        self.write_to(slot, &next.encode(number))?;
        (self.current, self.number, self.slot) = (next, number, slot);
        Ok(())
    }

    /// Makes `next` the current checkpoint in both slots, durably, so that damage to one of them does not bring
    /// back the last one. After an error the last one is current until the log is opened again, when either
    /// may be. A truncation has begun once a slot says so, and cannot be taken back.
    pub(crate) fn write_twice(&mut self, next: &Checkpoint) -> Result<()> {
        let last = self.current.clone();
        self.write(next.clone())?;
        self.write(next.clone()).inspect_err(|_| {
            let place = |checkpoint: &Checkpoint| checkpoint.truncation().map(|it| it.to);
            let begins = place(next).is_some_and(|to| place(&last) != Some(to));
            if !begins {
                self.current = last;
            }
        })
    }

    /// Makes the current checkpoint durable, and the standby slot valid: until then nothing may be dropped or
    /// appended.
    pub(crate) fn reconcile(&mut self) -> Result<()> {
        match self.standby {
            Standby::Valid => {}
            Standby::Duplicate => self.confirm()?,
            Standby::Stale => self.write(self.current.clone())?,
        }
        self.standby = Standby::Valid;
        Ok(())
    }

    /// Makes the current checkpoint durable.
    fn confirm(&mut self) -> Result<()> {
        if !self.confirmed {
            self.write_to(self.slot, &self.current.encode(self.number))?;
            self.confirmed = true;
        }
        Ok(())
    }

    fn write_to(&self, slot: u64, bytes: &[u8]) -> Result<()> {
        let file = self
            .directory
            .open(CHECKPOINT, OpenMode::Write)
            .map_err(fail(Operation::Open))?;
        file.write_all_at(bytes, slot * SLOT_LEN as u64)
            .map_err(fail(Operation::Write))?;
        file.sync_data().map_err(fail(Operation::Sync))
    }
}

fn fail(operation: Operation) -> impl Fn(io::Error) -> Reason {
    move |error| Reason::io(operation, CHECKPOINT, error)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind as Io;

    use proglog_store::testing::{CallKind, Fault, SimDisk, When};

    use super::*;
    use crate::layout::checkpoint::LogState;
    use crate::layout::log_position::LogPosition;
    use crate::offset::Offset;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            log_id: 1 << 120,
            start: Offset::new(2),
            state: LogState::Truncating(LogPosition::start_of(Offset::new(3))),
            data: b"own".to_vec(),
        }
    }

    #[test]
    fn a_file_is_made_of_two_slots_which_are_written_in_turn() {
        let disk = SimDisk::new();
        let mut file = CheckpointFile::create(disk.directory(), checkpoint()).unwrap();
        assert_eq!(disk.file_names(), [CHECKPOINT]);
        for number in 2..6 {
            let next = Checkpoint {
                start: Offset::new(number),
                ..checkpoint()
            };
            file.write(next.clone()).unwrap();
            let bytes = disk.read_file(CHECKPOINT);
            let slots: Vec<_> = bytes.chunks(SLOT_LEN).map(Checkpoint::decode).collect();
            let newest = usize::from(number % 2 == 1);
            assert_eq!(slots.len(), 2);
            assert_eq!(slots[newest], Ok((number, next.clone())));
            assert_eq!(slots[1 - newest].as_ref().unwrap().0, number - 1);
            let opened = CheckpointFile::open(disk.directory()).unwrap();
            assert_eq!((opened.number(), opened.current()), (number, &next));
        }
    }

    #[test]
    fn a_trim_that_fails_is_taken_back_though_a_truncation_is_pending() {
        let disk = SimDisk::new();
        let mut file = CheckpointFile::create(disk.directory(), checkpoint()).unwrap();
        let next = Checkpoint {
            start: Offset::new(3),
            ..checkpoint()
        };
        disk.inject(When::Next(CallKind::Write, 1), Fault::error(Io::Other));
        file.write_twice(&next).unwrap_err();
        assert_eq!(*file.current(), checkpoint());
    }
}
