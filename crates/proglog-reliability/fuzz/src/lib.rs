//! The fuzz targets, each in a module of its own.
//!
//! Random bytes do not get past a checksum. So an input stands for a script of edits of a real file or message, and says
//! whether the checksums are recomputed after the edits, so that the code below them is reached. Where checksums are
//! left alone, everything that can still be read has to be what was written; where they are recomputed, the log has to
//! agree with itself.
//!
//! cargo-fuzz runs the targets with libFuzzer, which needs the feature `libfuzzer`; no sanitizer is used, so the
//! stable toolchain does. The program `proglog-fuzz` runs them on random inputs.

mod checkpoint;
mod damage;
mod files;
mod frame;
mod http;
mod index;
mod json;
mod logs;
mod record;
mod segment;

use arbitrary::{Arbitrary, Unstructured};

/// The most memory that an input takes, in bytes. Itself it has a few thousand.
const MEMORY_MAX: u64 = 64 << 20;

/// Declares the targets: a function for each, which runs it on an input and panics if it finds something bad, and the
/// table of all.
macro_rules! targets {
    ($($name:ident),*) => {
        /// All targets by name. What is wrong with a checksum shows in the first ones.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name)),*];

        $(
            #[doc = concat!("Runs the target `", stringify!($name), "` on an input.")]
            pub fn $name(data: &[u8]) {
                run(data, |input| $name::check(&input));
            }
        )*
    };
}

targets!(segment, frame, checkpoint, index, record, http);

fn run<'a, T: Arbitrary<'a>>(data: &'a [u8], check: impl FnOnce(T)) {
    if let Ok(input) = T::arbitrary_take_rest(Unstructured::new(data)) {
        let used = allocation_counter::measure(|| check(input)).bytes_max;
        assert!(used <= MEMORY_MAX, "{used} bytes of memory");
    }
}
