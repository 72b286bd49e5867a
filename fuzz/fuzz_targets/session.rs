#![no_main]
//! See `src/session.rs`.

#[path = "../src/input.rs"]
mod input;
#[path = "../src/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|input: &[u8]| session::session(input));
