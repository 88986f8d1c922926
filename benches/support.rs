//! What the benches share: sizes, seeded data, and how they are measured.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::Criterion;

/// The sizes of records, in bytes, with their names.
pub const SIZES: [(&str, usize); 5] = [
    ("16B", 16),
    ("128B", 128),
    ("1KiB", 1 << 10),
    ("16KiB", 16 << 10),
    ("1MiB", 1 << 20),
];

/// Numbers that look random and are the same in every run (`SplitMix64`).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// `len` bytes that no disk can compress, the same in every run.
#[must_use]
pub fn payload(len: usize) -> Bytes {
    let mut random = Random::new(len as u64);
    let mut bytes = BytesMut::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.number().to_be_bytes());
    }
    bytes.truncate(len);
    bytes.freeze()
}

/// How everything is measured: long enough to tell a change of some percent, short enough that each
/// bench is done in two minutes.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .configure_from_args()
}
