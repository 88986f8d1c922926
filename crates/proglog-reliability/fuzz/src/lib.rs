//! The fuzz targets, each in a module of its own.
//!
//! Random bytes do not get past a checksum. So the first bytes of an input choose what the rest is: a script of edits
//! of a real file, or the file itself; and whether the checksums are recomputed after the edits, so that the code
//! below them is reached. Where checksums are left alone, everything that can still be read has to be what was
//! written; where they are recomputed, the log has to agree with itself.
//!
//! cargo-fuzz runs the targets with libFuzzer, which needs the feature `libfuzzer`; no sanitizer is used, so the
//! stable toolchain does. The program `proglog-fuzz` runs them on their seeds and on random changes of these.

mod edits;
mod files;
mod input;
mod logs;
mod memory;
mod mutate;
mod plan;
mod seeds;

pub mod checkpoint;
pub mod frame;
pub mod http;
pub mod index;
pub mod json;
pub mod record;
pub mod segment;

pub use mutate::mutated;

/// A fuzz target.
#[derive(Debug)]
pub struct Target {
    /// Its name, which cargo-fuzz uses too.
    pub name: &'static str,
    /// Runs it on an input. It panics if it finds something bad.
    pub run: fn(&[u8]),
    /// The inputs that it starts from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets. What is wrong with a checksum shows in the first ones.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "segment",
        run: segment::run,
        seeds: seeds::segment,
    },
    Target {
        name: "frame",
        run: frame::run,
        seeds: seeds::frame,
    },
    Target {
        name: "checkpoint",
        run: checkpoint::run,
        seeds: seeds::checkpoint,
    },
    Target {
        name: "index",
        run: index::run,
        seeds: seeds::index,
    },
    Target {
        name: "record",
        run: record::run,
        seeds: seeds::record,
    },
    Target {
        name: "http",
        run: http::run,
        seeds: seeds::http,
    },
];
