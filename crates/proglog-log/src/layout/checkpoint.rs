//! Checkpoint of a log: its start, its recovery point, and the application's data.
//!
//! The recovery point may lag behind the log but is never ahead of it. In its file ([`checkpoint_file`]) each copy
//! of a checkpoint is zero-padded to [`COPY_LEN`]:
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
//! Bit 0 of the flags is set once the log has had a segment, bit 1 while it is truncated: then everything at
//! and above that position is to be removed. The other bits count the truncations, modulo 2^30: one may have
//! replaced records that another process has read. In version 1 they are 0.
//!
//! [`checkpoint_file`]: crate::layout::checkpoint_file

use byteorder::{BigEndian, ByteOrder};
use proglog_store::segment::FRAME_OVERHEAD;
use proglog_store::{Boundary, Position};

use crate::error::reason::{CheckpointMismatch, Reason, Result};
use crate::layout::log_position::LogPosition;
use crate::layout::names::CHECKPOINT;
use crate::offset::Offset;

/// Length of a copy: a block, so that no single bad block takes two.
pub(crate) const COPY_LEN: usize = 4096;
/// Most bytes of the application's data.
pub(crate) const DATA_LEN_MAX: usize = 1024;
pub(crate) const VERSION: u16 = 2;
/// The oldest version that can be read. Its files have fewer copies.
const VERSION_MIN: u16 = 1;
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
const TRUNCATING: u32 = 2;
/// Lowest of the bits that count truncations.
const TRUNCATIONS_SHIFT: u32 = 2;
const _: () = assert!(USED == 1100 && USED <= COPY_LEN);

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) log_id: u128,
    /// Lowest readable offset.
    pub(crate) start: Offset,
    pub(crate) state: LogState,
    /// Number of truncations so far, modulo 2^30; one is counted when it begins.
    pub(crate) truncations: u32,
    /// The application's data.
    pub(crate) data: Vec<u8>,
}

/// State of a log's segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogState {
    /// The log never had a segment.
    Empty,
    /// Everything below this position, which is in the newest segment, is on the device.
    Open(LogPosition),
    /// Everything at and above this position must be removed before anything is appended: see
    /// [`truncate`](crate::engine::truncate).
    Truncating(LogPosition),
}

impl LogState {
    /// Returns the position up to which the log is on the device; what a truncation removes is above it.
    pub(crate) fn position(self) -> Option<LogPosition> {
        match self {
            Self::Empty => None,
            Self::Open(position) | Self::Truncating(position) => Some(position),
        }
    }
}

/// A truncation that was begun and is to be finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truncation {
    /// Position in which the log is to end.
    pub(crate) to: LogPosition,
    /// Log start offset.
    pub(crate) start: Offset,
}

impl Truncation {
    /// Returns whether the segment with base offset `base` is removed as a whole.
    pub(crate) fn drops(&self, base: Offset) -> bool {
        base > self.to.segment_base
            || self.to == LogPosition::start_of(base)
            // No record is left, and no segment is needed to hold the start.
            || self.to.offset() == self.start
    }
}

/// Defect of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyFault {
    /// The file is not that long.
    Missing,
    Damaged,
    Version(u16),
}

/// Checks that the application's data fits in a checkpoint.
pub(crate) fn check_data(data: Option<&[u8]>) -> Result<()> {
    let (len, max) = (data.map_or(0, <[u8]>::len), DATA_LEN_MAX);
    if len > max {
        return Err(Reason::ApplicationDataTooLarge { len, max });
    }
    Ok(())
}

impl Checkpoint {
    pub(crate) fn encode(&self, number: u64) -> Vec<u8> {
        let mut copy = vec![0; COPY_LEN];
        let data_len = u16::try_from(self.data.len()).expect("at most DATA_LEN_MAX");
        copy[..MAGIC.len()].copy_from_slice(&MAGIC);
        BigEndian::write_u16(&mut copy[VERSION_AT..], VERSION);
        BigEndian::write_u16(&mut copy[DATA_LEN_AT..], data_len);
        let (flags, position) = match self.state {
            LogState::Empty => (0, LogPosition::start_of(Offset::ZERO)),
            LogState::Open(recovery_point) => (EXISTS, recovery_point),
            LogState::Truncating(to) => (EXISTS | TRUNCATING, to),
        };
        let (base, Boundary { position, frames }) = (position.segment_base, position.boundary);
        let flags = flags | self.truncations << TRUNCATIONS_SHIFT;
        BigEndian::write_u32(&mut copy[FLAGS_AT..], flags);
        BigEndian::write_u64(&mut copy[NUMBER_AT..], number);
        BigEndian::write_u128(&mut copy[LOG_ID_AT..], self.log_id);
        BigEndian::write_u64(&mut copy[START_AT..], self.start.get());
        BigEndian::write_u64(&mut copy[BASE_AT..], base.get());
        BigEndian::write_u64(&mut copy[POSITION_AT..], position.get());
        BigEndian::write_u64(&mut copy[FRAMES_AT..], frames);
        copy[DATA_AT..DATA_AT + self.data.len()].copy_from_slice(&self.data);
        let crc = crc_fast::crc32_iscsi(&copy[..CRC_AT]);
        BigEndian::write_u32(&mut copy[CRC_AT..], crc);
        copy
    }

    /// Returns this checkpoint with `recovery_point`, unless it has that or a later one, or the log is being
    /// truncated.
    pub(crate) fn with_recovery_point(&self, recovery_point: LogPosition) -> Self {
        let state = match self.state {
            LogState::Open(known) => LogState::Open(known.max(recovery_point)),
            LogState::Empty => LogState::Open(recovery_point),
            LogState::Truncating(_) => self.state,
        };
        Self {
            state,
            ..self.clone()
        }
    }

    /// Returns this checkpoint with `data`, or with its own if that is `None`.
    pub(crate) fn with_data(self, data: Option<&[u8]>) -> Self {
        Self {
            data: data.map_or(self.data, <[u8]>::to_vec),
            ..self
        }
    }

    /// Returns this checkpoint of a log that is to be truncated.
    pub(crate) fn with_truncation(&self, truncation: Truncation) -> Self {
        Self {
            start: truncation.start,
            state: LogState::Truncating(truncation.to),
            truncations: self.truncations.wrapping_add(1) & u32::MAX >> TRUNCATIONS_SHIFT,
            ..self.clone()
        }
    }

    /// Returns this checkpoint once a truncation is done, after which the log ends at `end`: where it was truncated,
    /// or at the start of a new segment.
    pub(crate) fn without_truncation(&self, end: LogPosition) -> Self {
        Self {
            state: LogState::Open(end),
            ..self.clone()
        }
    }

    /// Returns the truncation that was begun and is not done.
    pub(crate) fn truncation(&self) -> Option<Truncation> {
        match self.state {
            LogState::Truncating(to) => Some(Truncation {
                to,
                start: self.start,
            }),
            LogState::Empty | LogState::Open(_) => None,
        }
    }

    /// Returns how far the segment with base offset `base`, if it is the newest, is known to be on the
    /// device.
    pub(crate) fn recovery_point_in(&self, base: Offset) -> Boundary {
        match self.state.position() {
            Some(position) if position.segment_base == base => position.boundary,
            _ => Boundary::START,
        }
    }

    /// Checks that a log whose segments end at `end` does not start above that.
    pub(crate) fn check_start(&self, end: Offset) -> Result<()> {
        let start = self.start;
        if start > end {
            return Err(Reason::CheckpointMismatch {
                file: CHECKPOINT.into(),
                reason: CheckpointMismatch::StartPastEnd { start, end },
            });
        }
        Ok(())
    }

    /// Returns whether `other` keeps and drops the same records, and has the same data.
    pub(crate) fn is_equivalent(&self, other: &Self) -> bool {
        self.start == other.start
            && self.truncation() == other.truncation()
            && self.data == other.data
    }

    /// Decodes a copy into its number and its checkpoint.
    pub(crate) fn decode(copy: &[u8]) -> Result<(u64, Self), CopyFault> {
        if copy.len() < USED
            || copy[..MAGIC.len()] != MAGIC
            || BigEndian::read_u32(&copy[CRC_AT..]) != crc_fast::crc32_iscsi(&copy[..CRC_AT])
        {
            return Err(CopyFault::Damaged);
        }
        match BigEndian::read_u16(&copy[VERSION_AT..]) {
            VERSION_MIN..=VERSION => {}
            version => return Err(CopyFault::Version(version)),
        }
        let data_len = usize::from(BigEndian::read_u16(&copy[DATA_LEN_AT..]));
        let position = BigEndian::read_u64(&copy[POSITION_AT..]);
        let frames = BigEndian::read_u64(&copy[FRAMES_AT..]);
        if data_len > DATA_LEN_MAX || frames > position / FRAME_OVERHEAD {
            return Err(CopyFault::Damaged);
        }
        let position = LogPosition {
            segment_base: Offset::new(BigEndian::read_u64(&copy[BASE_AT..])),
            boundary: Boundary {
                position: Position::new(position),
                frames,
            },
        };
        let flags = BigEndian::read_u32(&copy[FLAGS_AT..]);
        let state = match (flags & EXISTS != 0, flags & TRUNCATING != 0) {
            (false, false) => LogState::Empty,
            (true, false) => LogState::Open(position),
            (true, true) => LogState::Truncating(position),
            // Only a log with segments is truncated.
            (false, true) => return Err(CopyFault::Damaged),
        };
        let checkpoint = Self {
            log_id: BigEndian::read_u128(&copy[LOG_ID_AT..]),
            start: Offset::new(BigEndian::read_u64(&copy[START_AT..])),
            state,
            truncations: flags >> TRUNCATIONS_SHIFT,
            data: copy[DATA_AT..DATA_AT + data_len].to_vec(),
        };
        Ok((BigEndian::read_u64(&copy[NUMBER_AT..]), checkpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(segment_base: u64) -> LogPosition {
        LogPosition {
            segment_base: Offset::new(segment_base),
            boundary: Boundary {
                position: Position::new(45),
                frames: 5,
            },
        }
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            log_id: 1 << 120,
            start: Offset::new(2),
            state: LogState::Truncating(position(3)),
            truncations: 5,
            data: b"own".to_vec(),
        }
    }

    #[test]
    fn a_copy_has_exactly_these_bytes() {
        let copy = checkpoint().encode(6);
        let mut expected = b"\x8bprochkp\0\x02\0\x03\0\0\0\x17\0\0\0\0\0\0\0\x06\x01".to_vec();
        expected.extend([0; 15]);
        for number in [2, 3, 45, 5_u64] {
            expected.extend(number.to_be_bytes());
        }
        expected.extend(b"own");
        expected.resize(1096, 0);
        expected.extend(crc_fast::crc32_iscsi(&expected).to_be_bytes());
        expected.resize(4096, 0);
        assert_eq!(copy, expected);
        assert_eq!(Checkpoint::decode(&copy), Ok((6, checkpoint())));
    }

    #[test]
    fn each_state_has_flags_of_its_own_and_no_other_flags_are_valid() {
        let flags = |copy: &[u8]| BigEndian::read_u32(&copy[FLAGS_AT..]);
        for (state, expected) in [
            (LogState::Empty, 0),
            (LogState::Open(position(3)), EXISTS),
            (LogState::Truncating(position(3)), EXISTS | TRUNCATING),
        ] {
            let checkpoint = Checkpoint {
                state,
                ..checkpoint()
            };
            let copy = checkpoint.encode(6);
            assert_eq!(flags(&copy), expected | 5 << TRUNCATIONS_SHIFT);
            assert_eq!(Checkpoint::decode(&copy), Ok((6, checkpoint)));
        }
        let mut copy = checkpoint().encode(6);
        BigEndian::write_u32(&mut copy[FLAGS_AT..], TRUNCATING);
        let crc = crc_fast::crc32_iscsi(&copy[..CRC_AT]);
        BigEndian::write_u32(&mut copy[CRC_AT..], crc);
        assert_eq!(Checkpoint::decode(&copy), Err(CopyFault::Damaged));
    }

    #[test]
    fn the_recovery_point_only_moves_forwards_and_not_while_the_log_is_truncated() {
        let (low, high) = (position(3), position(4));
        for (state, recovery_point, expected) in [
            (LogState::Empty, low, LogState::Open(low)),
            (LogState::Open(low), high, LogState::Open(high)),
            (LogState::Open(high), low, LogState::Open(high)),
            (LogState::Truncating(low), high, LogState::Truncating(low)),
        ] {
            let checkpoint = Checkpoint {
                state,
                ..checkpoint()
            };
            let next = checkpoint.with_recovery_point(recovery_point);
            assert_eq!(next.state, expected);
        }
    }

    #[test]
    fn a_copy_takes_as_much_of_the_applications_data_as_it_has_room_for() {
        let data = vec![7; DATA_LEN_MAX];
        let checkpoint = Checkpoint {
            data,
            ..checkpoint()
        };
        let copy = checkpoint.encode(1);
        assert_eq!(Checkpoint::decode(&copy), Ok((1, checkpoint)));
    }

    #[test]
    fn a_checkpoint_is_equivalent_to_another_that_starts_and_truncates_alike_and_has_its_data() {
        let truncates = checkpoint();
        let with_state = |state| Checkpoint {
            state,
            ..checkpoint()
        };
        let truncates_elsewhere = with_state(LogState::Truncating(position(9)));
        let keeps = with_state(LogState::Open(position(3)));
        let keeps_elsewhere = with_state(LogState::Open(position(9)));
        let starts_elsewhere = Checkpoint {
            start: Offset::new(9),
            ..keeps.clone()
        };
        let stores_something_else = Checkpoint {
            data: b"other".to_vec(),
            ..checkpoint()
        };
        for (first, second, is_same) in [
            (&truncates, &truncates, true),
            (&truncates, &truncates_elsewhere, false),
            (&truncates, &keeps, false),
            (&keeps, &keeps_elsewhere, true),
            (&keeps, &starts_elsewhere, false),
            (&truncates, &stores_something_else, false),
        ] {
            assert_eq!(first.is_equivalent(second), is_same);
            assert_eq!(second.is_equivalent(first), is_same);
        }
    }

    #[test]
    fn a_copy_with_any_bit_damaged_is_refused() {
        let copy = checkpoint().encode(6);
        for bit in 0..USED * 8 {
            let mut damaged = copy.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Checkpoint::decode(&damaged),
                Err(CopyFault::Damaged),
                "bit {bit}"
            );
        }
        assert_eq!(
            Checkpoint::decode(&copy[..USED - 1]),
            Err(CopyFault::Damaged)
        );
    }

    #[test]
    fn a_copy_of_a_later_version_is_told_from_a_damaged_one() {
        let mut copy = checkpoint().encode(6);
        copy[VERSION_AT + 1] = 3;
        let crc = crc_fast::crc32_iscsi(&copy[..CRC_AT]);
        BigEndian::write_u32(&mut copy[CRC_AT..], crc);
        assert_eq!(Checkpoint::decode(&copy), Err(CopyFault::Version(3)));
    }
}
