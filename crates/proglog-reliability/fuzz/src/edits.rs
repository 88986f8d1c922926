//! Scripts that damage a file.

use std::ops::Range;

use crate::input::Input;

/// The most edits of a script.
const EDITS_MAX: usize = 6;

/// The most bytes of a file.
const LEN_MAX: usize = 64 << 10;

/// Which damage a script may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Damage by a device or a file system, which meets a checksum only by chance.
    Blind,
    /// Any bytes.
    Any,
}

/// A file that is edited.
struct Edited<'a> {
    bytes: &'a mut Vec<u8>,
    /// The places that mean something: they are hit more often.
    hot: &'a [Range<usize>],
}

/// Runs the script in `input`.
pub(crate) fn edit(
    bytes: &mut Vec<u8>,
    hot: &[Range<usize>],
    damage: Damage,
    input: &mut Input<'_>,
) {
    let mut edited = Edited { bytes, hot };
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        match damage {
            Damage::Blind => edited.one(input.byte() % 7, input),
            Damage::Any => edited.one(input.byte() % 10, input),
        }
        edited.bytes.truncate(LEN_MAX);
    }
}

impl Edited<'_> {
    fn one(&mut self, kind: u8, input: &mut Input<'_>) {
        let at = self.place(input.number());
        match kind {
            0 => {
                let bit = input.byte() % 8;
                if let Some(byte) = self.bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let number = self.telling_number(input.byte()).to_be_bytes();
                let width = [1, 2, 4, 8][usize::from(input.byte() % 4)];
                self.overwrite(at, &number[8 - width..]);
            }
            2 => self.bytes.truncate(at),
            3 => self.bytes.resize(self.bytes.len() + at, 0),
            4 => {
                let copy = self.range(at, input);
                let to = self.place(input.number());
                self.overwrite(to, &copy);
            }
            5 => {
                let len = self.range(at, input).len();
                self.bytes.drain(at..at + len);
            }
            6 => {
                let copy = self.range(at, input);
                let to = self.place(input.number());
                self.bytes.splice(to..to, copy);
            }
            7 => {
                let len = usize::from(input.byte() % 32);
                self.overwrite(at, input.take(len));
            }
            8 => {
                let len = usize::from(input.byte());
                self.bytes.splice(at..at, input.take(len).iter().copied());
            }
            _ => {
                let len = usize::from(input.byte());
                self.bytes.extend_from_slice(input.take(len));
            }
        }
    }

    /// A place in the file: first come the hot ones, then all.
    fn place(&self, number: usize) -> usize {
        let mut left = number;
        for range in self.hot {
            if left < range.len() {
                return (range.start + left).min(self.bytes.len());
            }
            left -= range.len();
        }
        left % (self.bytes.len() + 1)
    }

    fn range(&self, at: usize, input: &mut Input<'_>) -> Vec<u8> {
        let end = (at + input.number() % 600).min(self.bytes.len());
        self.bytes[at..end].to_vec()
    }

    fn overwrite(&mut self, at: usize, new: &[u8]) {
        let end = (at + new.len()).min(self.bytes.len());
        self.bytes.splice(at..end, new.iter().copied());
    }

    /// A number that code may stumble over.
    fn telling_number(&self, which: u8) -> u64 {
        let len = self.bytes.len() as u64;
        match which % 12 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::MAX >> 1,
            4 => 0x7fff_ffff,
            5 => 0xbfff_ffff,
            6 => 0x4000_0000,
            7 => 0xc000_0018,
            8 => len,
            9 => len.saturating_sub(8192),
            10 => len + 1,
            _ => 1 << 32,
        }
    }
}
