//! The checkpoint's file: two slots in different blocks, written in turn.
//!
//! Each is written with a number one higher than the last: a write that tears spoils the slot it goes
//! to, and the other still holds. Both are there from the beginning, so that a write needs no new
//! space, even on a full device.

use std::io;
use std::sync::Arc;

use proglog_store::Operation;
use proglog_store::io::{Directory, OpenMode, Storage};

use crate::error::{Error, Result};
use crate::layout::checkpoint::{Checkpoint, SLOT_LEN, SlotFault, USED, VERSION};
use crate::layout::names::CHECKPOINT;

/// The slot that does not count, as an opening finds it. Should the one that counts be lost, it must
/// neither miss what was dropped since, or stored by the application, nor drop what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    /// It can stand for the one that counts. It is on the device: it was before that one was written.
    StandsFor,
    /// It says the same of all. So the one that counts was written to have it twice, and may not be on the
    /// device: there may still be what it has replaced.
    SaysTheSame,
    /// It would drop other records, has other data, or does not hold, and who knows what it was to be.
    Differs,
}

/// The checkpoint's file. It is opened for each write, so that an idle log holds it not open.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    directory: Arc<dyn Directory>,
    /// What counts.
    current: Checkpoint,
    number: u64,
    /// The slot that holds it, which the next write must leave alone.
    slot: u64,
    /// Whether that slot was written by this process. Of one that was not, an earlier process may
    /// have seen the sync fail: then it can be read now and is not on the device, so it is written
    /// again, same bytes, before the other slot is.
    confirmed: bool,
    /// What the other slot was found to be.
    other: Other,
}

impl CheckpointFile {
    /// Creates the file in one step, durable with its name.
    pub(crate) fn create(directory: Arc<dyn Directory>, current: Checkpoint) -> Result<Self> {
        proglog_store::segment::replace_file(&*directory, CHECKPOINT, |file| {
            file.allocate(2 * SLOT_LEN as u64)?;
            (0..2).try_for_each(|number| write_slot(file, number, &current.encode(number)))
        })?;
        Ok(Self {
            directory,
            current,
            number: 1,
            slot: 1,
            confirmed: true,
            other: Other::StandsFor,
        })
    }

    /// Reads the newest slot that holds.
    pub(crate) fn open(directory: Arc<dyn Directory>) -> Result<Self> {
        let file = directory
            .open(CHECKPOINT, OpenMode::Read)
            .map_err(fail(Operation::Open))?;
        let mut slots = [Err(SlotFault::Damaged), Err(SlotFault::Damaged)];
        for (number, slot) in slots.iter_mut().enumerate() {
            let mut bytes = [0; USED];
            let read = file
                .read_full_at(&mut bytes, (number * SLOT_LEN) as u64)
                .map_err(fail(Operation::Read))?;
            *slot = Checkpoint::decode(&bytes[..read]);
        }
        let other = match &slots {
            [Ok((_, first)), Ok((_, second))] if first == second => Other::SaysTheSame,
            [Ok((_, first)), Ok((_, second))] if first.can_stand_for(second) => Other::StandsFor,
            _ => Other::Differs,
        };
        let (slot, (number, current)) = match slots {
            // Whoever wrote such a slot may have gone on where the other one knows nothing of.
            [Err(SlotFault::Version(got)), _] | [_, Err(SlotFault::Version(got))] => {
                return Err(Error::UnsupportedCheckpoint {
                    got,
                    known: VERSION,
                });
            }
            [Ok(first), Ok(second)] if first.0 > second.0 => (0, first),
            [_, Ok(second)] => (1, second),
            [Ok(first), Err(_)] => (0, first),
            [Err(SlotFault::Damaged), Err(SlotFault::Damaged)] => {
                return Err(Error::CheckpointLost {
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
            other,
        })
    }

    /// The number of what counts: another after each write.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What counts.
    pub(crate) fn current(&self) -> &Checkpoint {
        &self.current
    }

    /// Writes `next`; on return it is durable. After an error the last one still
    /// counts.
    pub(crate) fn write(&mut self, next: Checkpoint) -> Result<()> {
        self.confirm()?;
        let (slot, number) = (1 - self.slot, self.number + 1);
        self.write_to(slot, &next.encode(number))?;
        (self.current, self.number, self.slot) = (next, number, slot);
        Ok(())
    }

    /// Writes `next` to both slots; on return it is durable in each, so that damage to one of them does
    /// not bring back what was before. After an error the last one still counts, until the log is opened
    /// again: then either may. But a truncation is begun once a slot says so, and nothing takes that back.
    pub(crate) fn write_twice(&mut self, next: &Checkpoint) -> Result<()> {
        let last = self.current.clone();
        self.write(next.clone())?;
        self.write(next.clone()).inspect_err(|_| {
            let begins = next
                .truncation()
                .is_some_and(|next| last.truncation() != Some(next));
            if !begins {
                self.current = last;
            }
        })
    }

    /// Makes sure that what counts is on the device, and that the other slot can stand for it: before that,
    /// nothing may be dropped or appended.
    pub(crate) fn settle(&mut self) -> Result<()> {
        match self.other {
            Other::StandsFor => {}
            Other::SaysTheSame => self.confirm()?,
            Other::Differs => self.write(self.current.clone())?,
        }
        self.other = Other::StandsFor;
        Ok(())
    }

    /// Makes sure that what counts is on the device.
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
        write_slot(&*file, slot, bytes).map_err(fail(Operation::Write))?;
        file.sync_data().map_err(fail(Operation::Sync))
    }
}

fn write_slot(file: &dyn Storage, slot: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, slot * SLOT_LEN as u64)
}

fn fail(operation: Operation) -> impl Fn(io::Error) -> Error {
    move |error| Error::io(operation, CHECKPOINT, error)
}

#[cfg(test)]
mod tests {
    use proglog_store::testing::SimDisk;

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
}
