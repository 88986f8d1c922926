//! Resynchronisation after damage: the search for the next position at which a frame verifies, in bounded
//! time whatever the bytes are.

use crate::error::Result;
use crate::format::{self, FRAME_HEADER_LEN};
use crate::position::Position;
use crate::scan::source::{Around, Source};
use crate::scan::verify::{Fault, FrameHeader};
use crate::scan::{BlockUse, Scanner};

/// The bytes that a search checks of candidates followed by others, for each byte that it skips.
const RESYNC_WORK_RATIO: u64 = 64;
/// The bytes that a search checks at least, of candidates with and without followers.
const RESYNC_WORK_MIN: u64 = 64 << 20;
/// The number of headers that have to follow a candidate.
const RESYNC_FOLLOWING: usize = 4;

impl Scanner {
    /// Searches for the first position after the present one at which a frame verifies, and continues
    /// there. What cannot be read is passed over as what does not verify. `None` if there is none before the scan ends, or none that bounded work can find.
    pub(crate) fn resync(&mut self, source: &impl Source) -> Result<Option<Position>> {
        let source = Around::new(source, 0);
        let found = self.find_frame(&source);
        if source.has_filled() {
            // What is in memory is not all from the source.
            self.filled = self.at;
        }
        found
    }

    fn find_frame(&mut self, source: &impl Source) -> Result<Option<Position>> {
        let from = self.next;
        let (mut work, mut extra_work) = (0, 0);
        self.seek(from.plus(1));
        while self.skip_to_candidate(source)? {
            let passed = self.next.get() - from.get();
            if work > RESYNC_WORK_MIN.max(passed.saturating_mul(RESYNC_WORK_RATIO)) {
                break;
            }
            if let Some(len) = self.candidate_len(source)? {
                let len = len as u64;
                // Among random bytes, many look like a frame, but hardly any like several in a row.
                let followed = self.is_followed(source, len)?;
                let spent = if followed { &mut work } else { &mut extra_work };
                if followed || *spent <= RESYNC_WORK_MIN {
                    *spent += len;
                    match self.read(source) {
                        Ok(_) => return Ok(Some(self.next)),
                        Err(Fault::Read(error)) => return Err(*error),
                        Err(_) => {}
                    }
                }
            }
            self.seek(self.next.plus(1));
        }
        self.seek(self.stop.max(from));
        Ok(None)
    }

    /// Skips to the next byte that a frame can start with; `false` if there is none.
    fn skip_to_candidate(&mut self, source: &impl Source) -> Result<bool> {
        while self.next < self.stop {
            self.peek(source)?;
            let ahead = self.ahead();
            if ahead.is_empty() {
                return Ok(false);
            }
            debug_assert!(self.next.plus(ahead.len() as u64) <= self.end);
            let skip = ahead.iter().position(|byte| format::may_start_frame(*byte));
            let passed = skip.unwrap_or(ahead.len()) as u64;
            self.seek(self.next.plus(passed));
            if skip.is_some() {
                return Ok(self.next < self.stop);
            }
        }
        Ok(false)
    }

    /// Reads a frame's header ahead.
    fn peek(&mut self, source: &impl Source) -> Result<()> {
        match self.read_ahead(source, FRAME_HEADER_LEN, BlockUse::Shared) {
            Err(Fault::Read(error)) => Err(*error),
            _ => Ok(()),
        }
    }

    /// The length of the frame at the present position, if its header is valid.
    fn candidate_len(&mut self, source: &impl Source) -> Result<Option<usize>> {
        self.peek(source)?;
        let left = self.end.get() - self.next.get();
        Ok(self.frame_len_at(self.ahead(), left))
    }

    /// Returns whether valid headers, or the end, follow `len` bytes ahead.
    fn is_followed(&self, source: &impl Source, len: u64) -> Result<bool> {
        let mut position = self.next.plus(len);
        for _ in 0..RESYNC_FOLLOWING {
            let left = self.end.get() - position.get();
            if left == 0 {
                break;
            }
            let Some(len) = self.peek_len(source, position, left)? else {
                return Ok(false);
            };
            position = position.plus(len as u64);
        }
        Ok(true)
    }

    /// The length of the frame at `position`, which lies ahead, if its header is valid.
    fn peek_len(
        &self,
        source: &impl Source,
        position: Position,
        left: u64,
    ) -> Result<Option<usize>> {
        let skip = usize::try_from(position.get() - self.next.get()).unwrap_or(usize::MAX);
        let header = skip..skip.saturating_add(FRAME_HEADER_LEN);
        if let Some(header) = self.ahead().get(header) {
            return Ok(self.frame_len_at(header, left));
        }
        let header = source.block(position, FRAME_HEADER_LEN)?;
        Ok(self.frame_len_at(&header, left))
    }

    /// The length of a frame that starts with `bytes`, if its header is valid.
    fn frame_len_at(&self, bytes: &[u8], left: u64) -> Option<usize> {
        let header = self.verifier.header(bytes, left);
        header.ok().map(FrameHeader::len)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::format::Kind;
    use crate::scan::verify::Verifier;

    const VERIFIER: Verifier = Verifier {
        salt: 7,
        payload_len_max: 1000,
    };

    /// Bytes from position 0 on, and how many of them were read.
    #[derive(Default)]
    struct Memory {
        bytes: Vec<u8>,
        read: Cell<usize>,
    }

    impl Source for Memory {
        fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
            let skip = usize::try_from(position.get()).unwrap();
            let rest = self.bytes.get(skip..).unwrap_or_default();
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            self.read.set(self.read.get() + len);
            Ok(len)
        }
    }

    impl Memory {
        /// Frames with payloads of these lengths after `before`, and their positions.
        fn with_frames(before: Vec<u8>, lens: &[usize]) -> (Self, Vec<usize>) {
            let mut bytes = before;
            let mut starts = Vec::new();
            for len in lens {
                let (payload, start) = (vec![0xee; *len], bytes.len());
                let crc = format::crc32c(&payload);
                let position = Position::new(start as u64);
                starts.push(start);
                format::push_frame(&mut bytes, 7, position, Kind::BatchEnd, &payload, crc);
            }
            let memory = Self {
                bytes,
                ..Self::default()
            };
            (memory, starts)
        }

        fn scanner(&self, from: usize) -> Scanner {
            let (from, end) = (from as u64, self.bytes.len() as u64);
            Scanner::new(VERIFIER, Position::new(from), Position::new(end))
        }

        /// The result of a search that starts after `from`.
        fn found_from(&self, from: usize) -> Option<usize> {
            let mut scanner = self.scanner(from);
            let found = scanner.resync(self).unwrap();
            let place = found.map_or(self.bytes.len() as u64, Position::get);
            assert_eq!(scanner.position().get(), place);
            found.map(|place| usize::try_from(place.get()).unwrap())
        }
    }

    #[test]
    fn the_frame_behind_a_damaged_one_is_found_whichever_of_its_bytes_is_damaged() {
        let (memory, starts) = Memory::with_frames(Vec::new(), &[5, 0, 300, 17, 1, 40]);
        for (number, start) in starts.iter().enumerate() {
            let next = starts.get(number + 1).copied();
            for at in *start..next.unwrap_or(memory.bytes.len()) {
                let mut bytes = memory.bytes.clone();
                bytes[at] ^= 0x55;
                let damaged = Memory {
                    bytes,
                    ..Memory::default()
                };
                assert_eq!(damaged.found_from(*start), next, "byte {at}");
            }
        }
    }

    #[test]
    fn a_frame_between_two_damaged_ones_is_found() {
        let (mut memory, starts) = Memory::with_frames(Vec::new(), &[5, 0, 300, 17, 1, 40]);
        for start in starts.iter().step_by(2) {
            memory.bytes[*start] = 0;
        }
        for (damaged, whole) in [(0, 1), (2, 3), (4, 5)] {
            assert_eq!(memory.found_from(starts[damaged]), Some(starts[whole]));
        }
    }

    #[test]
    fn a_search_past_what_looks_like_many_long_frames_ends_wherever_it_began() {
        let verifier = Verifier {
            payload_len_max: 1 << 16,
            ..VERIFIER
        };
        // Every other byte starts a candidate of 16 KiB, followed by another one.
        let looks = [0x40, 0].repeat(1 << 20);
        for (from, passed, is_found) in [
            (0, 4 << 10, true),
            (0, 16 << 10, false),
            (1 << 20, 4 << 10, true),
            (1 << 20, 16 << 10, false),
        ] {
            let (mut memory, starts) = Memory::with_frames(looks[..from + passed].to_vec(), &[10]);
            memory.bytes.extend_from_slice(&looks);
            let end = Position::new(memory.bytes.len() as u64);
            let mut scanner = Scanner::new(verifier, Position::new(from as u64), end);
            let found = scanner.resync(&memory).unwrap();
            let expected = is_found.then(|| Position::new(starts[0] as u64));
            assert_eq!(found, expected, "{passed} bytes behind {from}");
        }
    }

    #[test]
    fn a_frame_is_found_behind_bytes_of_any_kind() {
        // The header of a frame with 24 bytes of payload, of which the check is wrong.
        let plausible = [0x40, 0, 0, 24, 1, 2, 3, 4];
        for len in [1, 7, 8, 100, 5000] {
            for kind in [&[0][..], &[0xff], &[0x40, 0], &[0x3f, 0x80], &plausible] {
                let before = kind.iter().copied().cycle().take(len).collect();
                let (memory, starts) = Memory::with_frames(before, &[3, 9]);
                assert_eq!(memory.found_from(0), Some(starts[0]), "{len} of {kind:x?}");
            }
        }
    }

    #[test]
    fn nothing_is_found_at_or_behind_the_end() {
        let (memory, starts) = Memory::with_frames(vec![0; 50], &[3, 9]);
        for end in [starts[0], starts[0] + 5, starts[1] - 1] {
            let end = Position::new(end as u64);
            let mut scanner = Scanner::new(VERIFIER, Position::ZERO, end);
            assert_eq!(scanner.resync(&memory).unwrap(), None);
            assert_eq!(scanner.position(), end);
        }
    }

    #[test]
    fn each_byte_is_read_about_once_where_none_can_start_a_frame() {
        let (memory, starts) = Memory::with_frames(vec![0; 3 << 20], &[3, 9]);
        assert_eq!(memory.found_from(0), Some(starts[0]));
        let (read, len) = (memory.read.get(), memory.bytes.len());
        assert!(
            (len - 100..len + (len >> 3)).contains(&read),
            "{read} of {len}"
        );
    }

    #[test]
    fn what_enough_headers_follow_on_looks_like_frames_in_a_row() {
        let lens = [20, 3, 70, 0, 9, 33, 8];
        let (memory, starts) = Memory::with_frames(vec![0x99; 90], &lens);
        for broken in 0..lens.len() {
            let mut bytes = memory.bytes.clone();
            bytes[starts[broken]] = 0;
            let memory = Memory {
                bytes,
                ..Memory::default()
            };
            for (number, start) in starts.iter().enumerate() {
                // Those that lie ahead are looked for in what was read, or are read.
                for is_read in [true, false] {
                    let mut scanner = memory.scanner(*start);
                    if is_read {
                        scanner.peek(&memory).unwrap();
                    }
                    let len = (FRAME_HEADER_LEN + lens[number]) as u64;
                    let is_near = (number + 1..=number + RESYNC_FOLLOWING).contains(&broken);
                    let read = memory.read.get();
                    let followed = scanner.is_followed(&memory, len).unwrap();
                    assert_eq!(followed, !is_near, "frame {number}, {broken} is broken");
                    assert!(!is_read || memory.read.get() == read, "it lay there");
                }
            }
        }
    }

    #[test]
    fn a_place_tells_the_length_of_the_frame_there_or_that_there_can_be_none() {
        let (memory, starts) = Memory::with_frames(vec![0; 10], &[20, 1000]);
        let len_at = |at: usize| memory.scanner(at).candidate_len(&memory).unwrap();
        assert_eq!(len_at(0), None);
        assert_eq!(len_at(starts[0]), Some(28));
        assert_eq!(len_at(starts[1]), Some(1008));
        assert_eq!(len_at(memory.bytes.len()), None);
    }
}
