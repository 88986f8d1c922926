//! Damage to a file, as an input describes it.

use std::iter;
use std::ops::Range;

use arbitrary::Arbitrary;

/// The most edits of a file.
const EDITS_MAX: usize = 6;

/// The most bytes of a file.
const LEN_MAX: usize = 64 << 10;

/// Edits of a file.
#[derive(Debug, Arbitrary)]
pub(crate) struct Damage<'a> {
    pub(crate) kind: Kind,
    first: Edit<'a>,
    more: Vec<Edit<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Kind {
    /// Damage by a device or a file system, which meets a checksum only by chance: everything that can still be read
    /// is what was written.
    Blind,
    /// Any bytes.
    Any,
    /// Any bytes, and checksums that are recomputed afterwards.
    Mended,
}

/// A change of a file. [`place`] and [`telling_number`] say what numbers mean.
#[derive(Debug, Arbitrary)]
enum Edit<'a> {
    Flip {
        at: u16,
        bit: u8,
    },
    Number {
        at: u16,
        which: u8,
        width: u8,
    },
    Truncate {
        at: u16,
    },
    Lengthen {
        by: u16,
    },
    Remove {
        at: u16,
        len: u16,
    },
    Copy {
        at: u16,
        len: u16,
        to: u16,
        inserts: bool,
    },
    /// Any bytes: blind damage leaves it out.
    Write {
        at: u16,
        inserts: bool,
        bytes: &'a [u8],
    },
}

impl Damage<'_> {
    /// True if the damage meets no checksum.
    pub(crate) fn is_blind(&self) -> bool {
        self.kind == Kind::Blind
    }

    /// True if checksums are recomputed.
    pub(crate) fn mends(&self) -> bool {
        self.kind == Kind::Mended
    }

    /// Damages a file. The places in `hot` mean something: they are hit more often.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>, hot: &[Range<usize>]) {
        let edits = iter::once(&self.first).chain(&self.more);
        for edit in edits.take(EDITS_MAX) {
            if !(self.is_blind() && matches!(edit, Edit::Write { .. })) {
                edit.apply(bytes, hot);
            }
            bytes.truncate(LEN_MAX);
        }
    }
}

impl Edit<'_> {
    fn apply(&self, bytes: &mut Vec<u8>, hot: &[Range<usize>]) {
        let size = bytes.len();
        let place = |number| place(number, size, hot);
        let range = |at, len: u16| {
            let start = place(at);
            start..size.min(start + usize::from(len % 600))
        };
        match *self {
            Self::Flip { at, bit } => {
                if let Some(byte) = bytes.get_mut(place(at)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Number { at, which, width } => {
                let number = telling_number(which, size as u64).to_be_bytes();
                let width = [1, 2, 4, 8][usize::from(width % 4)];
                put(bytes, place(at), &number[8 - width..], false);
            }
            Self::Truncate { at } => bytes.truncate(place(at)),
            Self::Lengthen { by } => bytes.resize(size + place(by), 0),
            Self::Remove { at, len } => drop(bytes.drain(range(at, len))),
            Self::Copy {
                at,
                len,
                to,
                inserts,
            } => {
                let copy = bytes[range(at, len)].to_vec();
                put(bytes, place(to), &copy, inserts);
            }
            Self::Write {
                at,
                inserts,
                bytes: new,
            } => put(bytes, place(at), new, inserts),
        }
    }
}

/// Inserts bytes, or overwrites others.
fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8], inserts: bool) {
    let end = if inserts { at } else { at + new.len() };
    bytes.splice(at..end.min(bytes.len()), new.iter().copied());
}

/// A place in a file of `size` bytes: a hot one, or any.
fn place(number: u16, size: usize, hot: &[Range<usize>]) -> usize {
    let is_hot = number.is_multiple_of(2);
    let number = usize::from(number / 2);
    let hot_len: usize = hot.iter().map(ExactSizeIterator::len).sum();
    let mut hot = hot.iter().cloned().flatten();
    let hit = number.checked_rem(hot_len).filter(|_| is_hot);
    let hit = hit.and_then(|hit| hot.nth(hit));
    hit.map_or(number % (size + 1), |hit| hit.min(size))
}

/// A number that code may stumble over, in a file of `size` bytes.
fn telling_number(which: u8, size: u64) -> u64 {
    let numbers = [
        0,
        1,
        u64::MAX,
        u64::MAX >> 1,
        0x7fff_ffff,
        0xbfff_ffff,
        0x4000_0000,
        0xc000_0018,
        size,
        size.saturating_sub(8192),
        size + 1,
        1 << 32,
    ];
    numbers[usize::from(which) % numbers.len()]
}
