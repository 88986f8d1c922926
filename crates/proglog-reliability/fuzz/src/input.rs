//! The bytes that a target is given, from front to back. Zeros follow the end.

use byteorder::{BigEndian, ByteOrder};

pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(crate) fn number(&mut self) -> usize {
        let mut bytes = [0; 2];
        let taken = self.take(2);
        bytes[..taken.len()].copy_from_slice(taken);
        BigEndian::read_u16(&bytes).into()
    }

    /// At most `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece, which its length precedes.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let len = self.number();
        self.take(len)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}
