//! Key=value text and its negotiation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| iscsi_fuzz::text(data));
