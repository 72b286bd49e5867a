//! Headers, additional header segments and sense segments.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| iscsi_fuzz::pdu(data));
