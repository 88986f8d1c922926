//! The fuzz target `checkpoint`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proglog_fuzz::checkpoint(data));
