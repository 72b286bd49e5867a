#![no_main]
//! See `src/login.rs`.

#[path = "../src/input.rs"]
mod input;
#[path = "../src/login.rs"]
mod login;

libfuzzer_sys::fuzz_target!(|input: &[u8]| login::login(input));
