//! The fuzz target `index`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proglog_fuzz::index(data));
