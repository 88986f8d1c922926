//! Random changes of inputs, as a fuzzer makes them, without a look at the code that they reach.

use fastrand::Rng;

/// The longest input.
const LEN_MAX: usize = 16 << 10;

/// The most changes of one input.
const CHANGES_MAX: usize = 4;

/// Bytes that code treats differently from others.
const TELLING: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

/// One of `inputs` with a few random changes.
///
/// # Panics
///
/// If there is no input.
#[must_use]
pub fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = inputs[rng.usize(..inputs.len())].clone();
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        change(&mut input, &inputs[rng.usize(..inputs.len())], rng);
    }
    input.truncate(LEN_MAX);
    input
}

/// Makes one change, for which it may take a piece of `other`.
fn change(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let range = range_in(input.len(), rng);
    match rng.u8(..6) {
        0 if !range.is_empty() => input[range.start] ^= 1 << rng.u8(..8),
        1 if !range.is_empty() => input[range.start] = TELLING[rng.usize(..TELLING.len())],
        2 => rng.fill(&mut input[range]),
        3 => drop(input.drain(range)),
        4 => {
            let copy = input[range.clone()].to_vec();
            drop(input.splice(range.end..range.end, copy));
        }
        _ => {
            let piece = other[range_in(other.len(), rng)].to_vec();
            drop(input.splice(range, piece));
        }
    }
}

/// A range of at most 64 bytes, which may be empty.
fn range_in(len: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.usize(..=len);
    start..rng.usize(start..=len.min(start + 64))
}
