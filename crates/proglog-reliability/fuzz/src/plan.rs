//! The plan of an input: its first byte chooses the damage to a file.

use std::ops::Range;

use crate::edits::{Damage, edit};
use crate::input::Input;

/// One bit for each choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan(u8);

impl Plan {
    /// The file is of a log, or a store, whose process was killed; else it was closed.
    const KILLED: u8 = 1;
    /// A script may put any bytes into the file; else only such as no checksum covers but by chance.
    const ANY: u8 = 2;
    /// Checksums are recomputed after the damage.
    const MEND: u8 = 4;
    /// The input is not a script, but the bytes after the file's header.
    const BEHIND: u8 = 8;
    /// The input is the file.
    const FILE: u8 = 16;

    pub(crate) fn read(input: &mut Input<'_>) -> Self {
        Self(input.byte())
    }

    pub(crate) fn is_of_killed(self) -> bool {
        self.has(Self::KILLED)
    }

    /// True if checksums are recomputed.
    pub(crate) fn mends(self) -> bool {
        self.has(Self::MEND)
    }

    /// True if the damage meets no checksum: everything that can still be read is what was written.
    pub(crate) fn is_blind(self) -> bool {
        !self.has(Self::ANY | Self::MEND | Self::BEHIND | Self::FILE)
    }

    /// Damages a file that begins with a header of `header_len` bytes, by the rest of the input. The places in
    /// `hot` are hit more often.
    pub(crate) fn damage(
        self,
        bytes: &mut Vec<u8>,
        header_len: usize,
        hot: &[Range<usize>],
        input: &mut Input<'_>,
    ) {
        if self.has(Self::FILE) {
            *bytes = input.rest().to_vec();
        } else if self.has(Self::BEHIND) {
            bytes.truncate(header_len);
            bytes.extend_from_slice(input.rest());
        } else if self.is_blind() {
            edit(bytes, hot, Damage::Blind, input);
        } else {
            edit(bytes, hot, Damage::Any, input);
        }
    }

    fn has(self, any_of: u8) -> bool {
        self.0 & any_of != 0
    }
}
