//! The checkpoint: where the log starts, and what of it is known to be durable.
//!
//! It may lag behind the log but never runs ahead of it. In its file ([`checkpoint_file`]) it fills a
//! slot, which is zero-padded to [`SLOT_LEN`]:
//!
//! ```text
//!  0       8         10     12        16       24       40      48        56         64
//!  +-------+---------+------+---------+--------+--------+-------+---------+----------+
//!  | magic | version | data | flags   | number | log id | start | segment | position |
//!  | 8     | u16     | len  | u32     | u64    | u128   | u64   | base    | u64      |
//!  |       |         | u16  |         |        |        |       | u64     |          |
//!  +-------+---------+------+---------+--------+--------+-------+---------+----------+
//!  64       72     1096   1100
//!  +--------+------+------+     `start` is the log start offset. The recovery point is `position`
//!  | frames | data | crc  |     in the segment with that base offset, below which there are
//!  | u64    | 1024 | u32  |     `frames` records: so its offset is segment base + frames. `data` is
//!  +--------+------+------+     the application's. `crc` is the CRC-32C of the bytes before it.
//! ```
//!
//! Of the flags, bit 0 says that the log has had a segment, and bit 1 that it is being cut: what lies
//! at and above the recovery point is to go, whatever it is.
//!
//! [`checkpoint_file`]: crate::layout::checkpoint_file

use byteorder::{BigEndian, ByteOrder};
use proglog_store::{Boundary, FRAME_OVERHEAD, Position};

use crate::offset::Offset;

/// The distance of the two slots.
pub(crate) const SLOT_LEN: usize = 4096;
/// The longest data of the application.
pub(crate) const DATA_LEN_MAX: usize = 1024;
pub(crate) const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"\x8bprochkp";

const VERSION_AT: usize = MAGIC.len();
const DATA_LEN_AT: usize = VERSION_AT + 2;
const FLAGS_AT: usize = DATA_LEN_AT + 2;
const NUMBER_AT: usize = FLAGS_AT + 4;
const LOG_ID_AT: usize = NUMBER_AT + 8;
const START_AT: usize = LOG_ID_AT + 16;
const BASE_AT: usize = START_AT + 8;
const POSITION_AT: usize = BASE_AT + 8;
const FRAMES_AT: usize = POSITION_AT + 8;
const DATA_AT: usize = FRAMES_AT + 8;
const CRC_AT: usize = DATA_AT + DATA_LEN_MAX;
pub(crate) const USED: usize = CRC_AT + 4;
/// The flags.
const EXISTS: u32 = 1;
const CUT: u32 = 2;
const _: () = assert!(USED == 1100 && USED <= SLOT_LEN);

/// What a checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) log_id: u128,
    /// The lowest readable offset.
    pub(crate) start: Offset,
    /// Whether the log had a segment yet. Only one that never had may be without.
    pub(crate) segment_exists: bool,
    /// Whether all that lies at and above the recovery point is to be dropped, before anything is
    /// appended: see [`truncate`](crate::engine::truncate).
    pub(crate) cut: bool,
    /// The newest segment.
    pub(crate) segment_base: Offset,
    /// What of that segment is durable. Those before it are durable as a whole.
    pub(crate) recovery_point: Boundary,
    /// The application's own.
    pub(crate) data: Vec<u8>,
}

/// Why a slot does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotFault {
    Damaged,
    Version(u16),
}

impl Checkpoint {
    pub(crate) fn encode(&self, number: u64) -> Vec<u8> {
        let mut slot = vec![0; SLOT_LEN];
        let data_len = u16::try_from(self.data.len()).expect("at most DATA_LEN_MAX");
        slot[..MAGIC.len()].copy_from_slice(&MAGIC);
        BigEndian::write_u16(&mut slot[VERSION_AT..], VERSION);
        BigEndian::write_u16(&mut slot[DATA_LEN_AT..], data_len);
        let exists = if self.segment_exists { EXISTS } else { 0 };
        let cut = if self.cut { CUT } else { 0 };
        BigEndian::write_u32(&mut slot[FLAGS_AT..], exists | cut);
        BigEndian::write_u64(&mut slot[NUMBER_AT..], number);
        BigEndian::write_u128(&mut slot[LOG_ID_AT..], self.log_id);
        BigEndian::write_u64(&mut slot[START_AT..], self.start.get());
        BigEndian::write_u64(&mut slot[BASE_AT..], self.segment_base.get());
        BigEndian::write_u64(&mut slot[POSITION_AT..], self.recovery_point.position.get());
        BigEndian::write_u64(&mut slot[FRAMES_AT..], self.recovery_point.frames);
        slot[DATA_AT..DATA_AT + self.data.len()].copy_from_slice(&self.data);
        let crc = crc_fast::crc32_iscsi(&slot[..CRC_AT]);
        BigEndian::write_u32(&mut slot[CRC_AT..], crc);
        slot
    }

    /// This one, with what is on the device of the newest segment: that with base offset `base`, up to
    /// `recovery_point`. The same if it knows that, or more, or says what is to go, until that is gone.
    pub(crate) fn knowing(&self, base: Offset, recovery_point: Boundary) -> Self {
        let known = (self.segment_base, self.recovery_point);
        let mut next = self.clone();
        if !self.cut && (!self.segment_exists || (base, recovery_point) > known) {
            next.segment_exists = true;
            (next.segment_base, next.recovery_point) = (base, recovery_point);
        }
        next
    }

    /// The offset at which a log is cut that this checkpoint says to be cut: the next to be assigned.
    pub(crate) fn cut_offset(&self) -> Offset {
        self.segment_base.plus(self.recovery_point.frames)
    }

    /// Whether the segment with base offset `base` goes, of a log that this checkpoint says to be cut.
    pub(crate) fn drops(&self, base: Offset) -> bool {
        base > self.segment_base
            || (base == self.segment_base && self.recovery_point == Boundary::START)
            // All are dropped: then none is left to have the start.
            || self.cut_offset() == self.start
    }

    /// This checkpoint once the cut is done: the newest segment is the new one.
    pub(crate) fn without_cut(&self) -> Self {
        Self {
            cut: false,
            segment_exists: true,
            segment_base: self.cut_offset(),
            recovery_point: Boundary::START,
            ..self.clone()
        }
    }

    /// Where the log is cut, if it is being cut.
    pub(crate) fn cut_at(&self) -> Option<(Offset, Boundary)> {
        self.cut.then_some((self.segment_base, self.recovery_point))
    }

    /// Whether `other` would drop the same records, and has the same data.
    pub(crate) fn can_stand_for(&self, other: &Self) -> bool {
        self.start == other.start && self.cut_at() == other.cut_at() && self.data == other.data
    }

    /// The number of the slot and what it holds.
    pub(crate) fn decode(slot: &[u8]) -> Result<(u64, Self), SlotFault> {
        if slot.len() < USED
            || slot[..MAGIC.len()] != MAGIC
            || BigEndian::read_u32(&slot[CRC_AT..]) != crc_fast::crc32_iscsi(&slot[..CRC_AT])
        {
            return Err(SlotFault::Damaged);
        }
        match BigEndian::read_u16(&slot[VERSION_AT..]) {
            VERSION => {}
            version => return Err(SlotFault::Version(version)),
        }
        let data_len = usize::from(BigEndian::read_u16(&slot[DATA_LEN_AT..]));
        let position = BigEndian::read_u64(&slot[POSITION_AT..]);
        let frames = BigEndian::read_u64(&slot[FRAMES_AT..]);
        let flags = BigEndian::read_u32(&slot[FLAGS_AT..]);
        if data_len > DATA_LEN_MAX || frames > position / FRAME_OVERHEAD {
            return Err(SlotFault::Damaged);
        }
        let checkpoint = Self {
            log_id: BigEndian::read_u128(&slot[LOG_ID_AT..]),
            start: Offset::new(BigEndian::read_u64(&slot[START_AT..])),
            segment_exists: flags & EXISTS != 0,
            cut: flags & CUT != 0,
            segment_base: Offset::new(BigEndian::read_u64(&slot[BASE_AT..])),
            recovery_point: Boundary {
                position: Position::new(position),
                frames,
            },
            data: slot[DATA_AT..DATA_AT + data_len].to_vec(),
        };
        Ok((BigEndian::read_u64(&slot[NUMBER_AT..]), checkpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            log_id: 1 << 120,
            start: Offset::new(2),
            segment_exists: true,
            cut: true,
            segment_base: Offset::new(3),
            recovery_point: Boundary {
                position: Position::new(45),
                frames: 5,
            },
            data: b"own".to_vec(),
        }
    }

    #[test]
    fn a_slot_has_exactly_these_bytes() {
        let slot = checkpoint().encode(6);
        let mut expected = b"\x8bprochkp\0\x01\0\x03\0\0\0\x03\0\0\0\0\0\0\0\x06\x01".to_vec();
        expected.extend([0; 15]);
        for number in [2, 3, 45, 5_u64] {
            expected.extend(number.to_be_bytes());
        }
        expected.extend(b"own");
        expected.resize(1096, 0);
        expected.extend(crc_fast::crc32_iscsi(&expected).to_be_bytes());
        expected.resize(4096, 0);
        assert_eq!(slot, expected);
        assert_eq!(Checkpoint::decode(&slot), Ok((6, checkpoint())));
    }

    #[test]
    fn a_slot_tells_each_flag_whatever_the_other_is() {
        for (segment_exists, cut) in [(false, false), (false, true), (true, false), (true, true)] {
            let flagged = Checkpoint {
                segment_exists,
                cut,
                ..checkpoint()
            };
            assert_eq!(Checkpoint::decode(&flagged.encode(6)), Ok((6, flagged)));
        }
    }

    #[test]
    fn a_slot_takes_as_much_of_the_applications_data_as_it_has_room_for() {
        let data = vec![7; DATA_LEN_MAX];
        let checkpoint = Checkpoint {
            data,
            ..checkpoint()
        };
        let slot = checkpoint.encode(1);
        assert_eq!(Checkpoint::decode(&slot), Ok((1, checkpoint)));
    }

    #[test]
    fn a_checkpoint_can_stand_for_another_that_starts_and_cuts_alike_and_has_its_data() {
        let cuts = checkpoint();
        let cuts_elsewhere = Checkpoint {
            segment_base: Offset::new(9),
            ..checkpoint()
        };
        let keeps = Checkpoint {
            cut: false,
            ..checkpoint()
        };
        let keeps_elsewhere = Checkpoint {
            cut: false,
            ..cuts_elsewhere.clone()
        };
        let starts_elsewhere = Checkpoint {
            start: Offset::new(9),
            ..keeps.clone()
        };
        let stores_something_else = Checkpoint {
            data: b"other".to_vec(),
            ..checkpoint()
        };
        for (first, second, is_same) in [
            (&cuts, &cuts, true),
            (&cuts, &cuts_elsewhere, false),
            (&cuts, &keeps, false),
            (&keeps, &keeps_elsewhere, true),
            (&keeps, &starts_elsewhere, false),
            (&cuts, &stores_something_else, false),
        ] {
            assert_eq!(first.can_stand_for(second), is_same);
            assert_eq!(second.can_stand_for(first), is_same);
        }
    }

    #[test]
    fn a_slot_with_any_bit_damaged_is_refused() {
        let slot = checkpoint().encode(6);
        for bit in 0..USED * 8 {
            let mut damaged = slot.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Checkpoint::decode(&damaged),
                Err(SlotFault::Damaged),
                "bit {bit}"
            );
        }
        assert_eq!(
            Checkpoint::decode(&slot[..USED - 1]),
            Err(SlotFault::Damaged)
        );
    }

    #[test]
    fn a_slot_of_a_later_version_is_told_from_a_damaged_one() {
        let mut slot = checkpoint().encode(6);
        slot[VERSION_AT + 1] = 2;
        let crc = crc_fast::crc32_iscsi(&slot[..CRC_AT]);
        BigEndian::write_u32(&mut slot[CRC_AT..], crc);
        assert_eq!(Checkpoint::decode(&slot), Err(SlotFault::Version(2)));
    }
}
