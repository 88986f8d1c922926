//! The fuzz target `segment`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proglog_fuzz::segment(data));
