//! `hull_fuzz::controls` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::controls(data));
