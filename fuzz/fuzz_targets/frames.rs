//! `hull_fuzz::frames` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::frames(data));
