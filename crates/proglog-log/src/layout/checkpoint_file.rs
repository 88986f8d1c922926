//! File of the checkpoint: two slots that are written in turn, each with two copies of a checkpoint.
//!
//! ```text
//!  0          4096       8192       12288      16384
//!  +----------+----------+----------+----------+     A checkpoint is written to both copies of the
//!  | copy     | copy     | copy     | copy     |     slot that does not hold the current one, and
//!  +----------+----------+----------+----------+     synced once.
//!  |        slot 0       |        slot 1       |
//! ```
//!
//! Each write has a higher number than all before. A torn write spoils the copies of one slot, and those of the
//! other are still valid; damage to a copy leaves the other copy of its slot. So after any crash, damage to one
//! copy brings back neither dropped records nor an earlier start. All copies exist from the start, so a write
//! needs no new space where the file system overwrites in place, even on a full device. Elsewhere it takes that of the
//! [reserve](crate::layout::reserve).
//!
//! Version 1 has slots of one copy each, in 8192 bytes. Opening a log replaces such a file.

use std::io;
use std::sync::Arc;

use proglog_store::Operation;
use proglog_store::io::{Directory, OpenMode, Storage, is_damage};
use proglog_store::segment::replace_file;

use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::{COPY_LEN, Checkpoint, CopyFault, USED, VERSION};
use crate::layout::names::CHECKPOINT;
use crate::layout::reserve::Reserve;

/// Copies in a slot.
const SLOT_COPIES: usize = 2;
/// Length of a slot.
pub(crate) const SLOT_LEN: usize = SLOT_COPIES * COPY_LEN;
const FILE_LEN: u64 = 2 * SLOT_LEN as u64;

/// The checkpoint and its file, which is opened for each write, so that an idle log does not keep it open.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    directory: Arc<dyn Directory>,
    current: Checkpoint,
    number: u64,
    /// Number of the next write, above that of every write so far, those that failed too: copies with the same
    /// number are equal.
    next_number: u64,
    /// Slot of the current checkpoint, which the next write must leave alone.
    slot: u64,
    /// True if this process wrote that slot. Otherwise a sync may have failed in an earlier process, and the
    /// slot can be read without being on the device: it is rewritten before the other one is.
    confirmed: bool,
    /// True if every copy, as opening has found it, is equivalent to the current checkpoint. Otherwise, if the
    /// device does not have the current slot, an earlier checkpoint may come back.
    uniform: bool,
    /// True if the file is long enough for all copies.
    whole: bool,
    reserve: Reserve,
}

impl CheckpointFile {
    /// Creates the file, durable with its name, or replaces it. After an error no temporary file is left.
    pub(crate) fn create(directory: Arc<dyn Directory>, current: Checkpoint) -> Result<Self> {
        replace_file(&*directory, CHECKPOINT, |file| {
            file.allocate(FILE_LEN)?;
            (0..2).try_for_each(|number| {
                file.write_all_at(&encode_slot(&current, number), number * SLOT_LEN as u64)
            })
        })?;
        Ok(Self {
            directory,
            current,
            number: 1,
            next_number: 2,
            slot: 1,
            confirmed: true,
            uniform: true,
            whole: true,
            reserve: Reserve::default(),
        })
    }

    /// Reads all copies; the newest valid one is current.
    pub(crate) fn open(directory: Arc<dyn Directory>) -> Result<Self> {
        let file = directory
            .open(CHECKPOINT, OpenMode::Read)
            .map_err(fail(Operation::Open))?;
        let copies = (0..2 * SLOT_COPIES)
            .map(|place| read_copy(&*file, (place * COPY_LEN) as u64))
            .collect::<Result<Vec<_>>>()?;
        let (place, number, current) = newest(&copies)?;
        let is_equivalent = |copy: &ReadCopy| {
            let found = copy.as_ref();
            found.is_ok_and(|(_, other)| other.is_equivalent(current))
        };
        Ok(Self {
            directory,
            current: current.clone(),
            number,
            next_number: number.saturating_add(1),
            slot: u64::from(place >= SLOT_COPIES),
            confirmed: false,
            uniform: copies.iter().all(is_equivalent),
            whole: !copies.contains(&Err(CopyFault::Missing)),
            reserve: Reserve::default(),
        })
    }

    /// Returns the number of the current checkpoint, which every write increases.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn current(&self) -> &Checkpoint {
        &self.current
    }

    /// Returns whether the file has room for all copies: one of version 1 has not, and is replaced before it is
    /// written.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Makes `next` the current checkpoint, durably and in both copies of a slot. After an error the last one is
    /// still current, until the log is opened again, when either may be.
    pub(crate) fn write(&mut self, next: Checkpoint) -> Result<()> {
        let (slot, number) = self.next_place()?;
        self.write_to(slot, &encode_slot(&next, number))?;
        (self.current, self.number, self.slot) = (next, number, slot);
        self.restore_reserve();
        Ok(())
    }

    /// As [`CheckpointFile::write`], for a change that has to be completed once a copy has it, since opening the log
    /// would complete it. If there is no room for all of the copies and one has it, it is current, and
    /// [`CheckpointFile::confirm`] has to make it durable. The reserve, if it was given up, is not restored yet: what
    /// follows may need the room.
    pub(crate) fn begin(&mut self, next: Checkpoint) -> Result<()> {
        let (slot, number) = self.next_place()?;
        match self.write_to(slot, &encode_slot(&next, number)) {
            Err(error) if error.kind() == ErrorKind::DiskFull => {
                if !self.has_copy(slot, number)? {
                    return Err(error);
                }
                self.confirmed = false;
            }
            written => written?,
        }
        (self.current, self.number, self.slot) = (next, number, slot);
        Ok(())
    }

    /// Returns the slot and the number of the next write, once the current checkpoint is confirmed.
    fn next_place(&mut self) -> Result<(u64, u64)> {
        self.confirm()?;
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        Ok((1 - self.slot, number))
    }

    /// Returns whether a copy in `slot` has the checkpoint with this number.
    fn has_copy(&self, slot: u64, number: u64) -> Result<bool> {
        let file = self.directory.open(CHECKPOINT, OpenMode::Read);
        let file = file.map_err(fail(Operation::Open))?;
        for copy in 0..SLOT_COPIES {
            let offset = slot * SLOT_LEN as u64 + (copy * COPY_LEN) as u64;
            if read_copy(&*file, offset)?.is_ok_and(|(found, _)| found == number) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Creates the reserve, unless it exists, if there is room for it.
    pub(crate) fn keep_reserve(&mut self) {
        self.reserve.keep(&*self.directory);
    }

    /// As [`CheckpointFile::keep_reserve`], if it was given up.
    pub(crate) fn restore_reserve(&mut self) {
        self.reserve.restore(&*self.directory);
    }

    /// Makes sure that no damage to one copy brings back another checkpoint than the current one: until then
    /// nothing may be dropped or appended.
    pub(crate) fn reconcile(&mut self) -> Result<()> {
        if !self.uniform {
            self.confirm()?;
            self.uniform = true;
        }
        Ok(())
    }

    /// Makes the current checkpoint durable in both copies of its slot.
    pub(crate) fn confirm(&mut self) -> Result<()> {
        if !self.confirmed {
            self.write_to(self.slot, &encode_slot(&self.current, self.number))?;
            self.confirmed = true;
        }
        Ok(())
    }

    /// Writes a slot, a second time if there is no room for it and the reserve can be given up.
    fn write_to(&mut self, slot: u64, bytes: &[u8]) -> Result<()> {
        match self.try_write_to(slot, bytes) {
            Err(error) if error.is_want_of_room() && self.reserve.give_up(&*self.directory) => {
                self.try_write_to(slot, bytes)
            }
            written => written,
        }
    }

    fn try_write_to(&self, slot: u64, bytes: &[u8]) -> Result<()> {
        let file = self
            .directory
            .open(CHECKPOINT, OpenMode::Write)
            .map_err(fail(Operation::Open))?;
        file.write_all_at(bytes, slot * SLOT_LEN as u64)
            .map_err(fail(Operation::Write))?;
        file.sync_data().map_err(fail(Operation::Sync))
    }
}

/// A copy with its number, as it was read.
type ReadCopy = Result<(u64, Checkpoint), CopyFault>;

/// Reads the copy at `offset`. It is damaged only if reading it fails twice.
fn read_copy(file: &dyn Storage, offset: u64) -> Result<ReadCopy> {
    let mut bytes = [0; USED];
    let mut read = || file.read_full_at(&mut bytes, offset);
    let first = read();
    let read = match first {
        Err(error) if is_damage(&error) => read(),
        first => first,
    };
    match read {
        Ok(0) => Ok(Err(CopyFault::Missing)),
        Ok(read) => Ok(Checkpoint::decode(&bytes[..read])),
        Err(error) if is_damage(&error) => Ok(Err(CopyFault::Damaged)),
        Err(error) => Err(fail(Operation::Read)(error)),
    }
}

/// Returns the place, the number and the checkpoint of the newest of `copies`.
fn newest(copies: &[ReadCopy]) -> Result<(usize, u64, &Checkpoint)> {
    let mut newest = None::<(usize, u64, &Checkpoint)>;
    for (place, copy) in copies.iter().enumerate() {
        match copy {
            Ok((number, checkpoint)) => {
                if newest.is_none_or(|(_, newest, _)| *number > newest) {
                    newest = Some((place, *number, checkpoint));
                }
            }
            // A later version may have appended what no other copy knows of.
            Err(CopyFault::Version(got)) => {
                return Err(Reason::UnsupportedCheckpoint {
                    got: *got,
                    known: VERSION,
                });
            }
            Err(CopyFault::Damaged | CopyFault::Missing) => {}
        }
    }
    newest.ok_or(Reason::CheckpointLost {
        problem: "all of its copies are damaged",
    })
}

/// Encodes both copies of a slot.
fn encode_slot(checkpoint: &Checkpoint, number: u64) -> Vec<u8> {
    checkpoint.encode(number).repeat(SLOT_COPIES)
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
            truncations: 1,
            data: b"own".to_vec(),
        }
    }

    fn starting_at(start: u64) -> Checkpoint {
        Checkpoint {
            start: Offset::new(start),
            ..checkpoint()
        }
    }

    /// The number and the start that each copy has.
    fn copies(disk: &SimDisk) -> Vec<(u64, u64)> {
        let bytes = disk.read_file(CHECKPOINT);
        let copies = bytes.chunks(COPY_LEN).map(Checkpoint::decode);
        let numbers = copies.map(|copy| copy.unwrap());
        numbers
            .map(|(number, checkpoint)| (number, checkpoint.start.get()))
            .collect()
    }

    fn reopened(disk: &SimDisk) -> CheckpointFile {
        CheckpointFile::open(disk.directory()).unwrap()
    }

    #[test]
    fn a_file_is_made_of_two_slots_of_two_copies_which_are_written_in_turn_with_one_sync() {
        let disk = SimDisk::new();
        let mut file = CheckpointFile::create(disk.directory(), checkpoint()).unwrap();
        assert_eq!(disk.file_names(), [CHECKPOINT]);
        for number in 2..6 {
            disk.start_trace();
            file.write(starting_at(number)).unwrap();
            let calls = disk.trace().into_iter();
            let syncs = calls.filter(|call| call.kind == CallKind::Sync);
            assert_eq!(syncs.count(), 1);
            let copies = copies(&disk);
            let (written, last) = ((number, number), number - 1);
            let newest = usize::from(number % 2 == 1) * SLOT_COPIES;
            assert_eq!(copies.len(), 2 * SLOT_COPIES);
            assert_eq!(copies[newest..][..SLOT_COPIES], [written; SLOT_COPIES]);
            let others = copies.iter().filter(|(number, _)| *number == last);
            assert_eq!(others.count(), SLOT_COPIES);
            let opened = reopened(&disk);
            let found = (opened.number(), opened.current());
            assert_eq!(found, (number, &starting_at(number)));
        }
    }

    #[test]
    fn the_newest_copy_counts_wherever_it_is_and_is_completed_before_anything_is_done() {
        for torn in 0..2 * SLOT_COPIES as u64 {
            let disk = SimDisk::new();
            let mut file = CheckpointFile::create(disk.directory(), checkpoint()).unwrap();
            let writes = 3 + torn / SLOT_COPIES as u64;
            for start in 3..=writes {
                file.write(starting_at(start)).unwrap();
            }
            // Of the last write only one copy was whole.
            let newest = disk.read_file(CHECKPOINT);
            let spoiled = newest
                .chunks(COPY_LEN)
                .position(|copy| Checkpoint::decode(copy).unwrap().1 == starting_at(writes));
            let spoiled = spoiled.unwrap() as u64 + torn % SLOT_COPIES as u64;
            disk.flip(CHECKPOINT, spoiled * COPY_LEN as u64, 0);
            let mut opened = reopened(&disk);
            assert_eq!(*opened.current(), starting_at(writes));
            opened.reconcile().unwrap();
            let found = copies(&disk);
            let current = found.iter().filter(|(_, start)| *start == writes);
            assert_eq!(current.count(), SLOT_COPIES);
            disk.start_trace();
            opened.reconcile().unwrap();
            assert_eq!(disk.trace(), []);
        }
    }

    #[test]
    fn copies_of_a_write_that_failed_are_not_mixed_up_with_those_of_the_next() {
        let disk = SimDisk::new();
        let mut file = CheckpointFile::create(disk.directory(), checkpoint()).unwrap();
        disk.inject(When::Next(CallKind::Sync, 0), Fault::error(Io::Other));
        file.write(starting_at(7)).unwrap_err();
        assert_eq!(*file.current(), checkpoint());
        // The second copy is still that of the write that failed.
        let half = Fault::error(Io::Other).after_writing(COPY_LEN);
        disk.inject(When::Next(CallKind::Write, 0), half);
        file.write(starting_at(8)).unwrap_err();
        assert_eq!(reopened(&disk).current().start.get(), 8);
        disk.flip(CHECKPOINT, 0, 0);
        assert_eq!(reopened(&disk).current().start.get(), 7);
        file.write(starting_at(9)).unwrap();
        assert_eq!(reopened(&disk).current().start.get(), 9);
    }

    #[test]
    fn a_file_of_version_1_is_read_and_is_not_whole() {
        let disk = SimDisk::new();
        CheckpointFile::create(disk.directory(), checkpoint()).unwrap();
        assert!(reopened(&disk).is_whole());
        let mut bytes = disk.read_file(CHECKPOINT);
        bytes.truncate(2 * COPY_LEN);
        disk.write_file(CHECKPOINT, &bytes);
        let opened = reopened(&disk);
        assert_eq!(*opened.current(), checkpoint());
        assert!(!opened.is_whole());
    }
}
