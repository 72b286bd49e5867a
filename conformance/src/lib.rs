//! Bundled target, real-target labs and conformance tests of the initiator.

pub mod bench;
pub mod hostile;
pub mod interop;
pub mod lab;
pub mod requirements;
pub mod sim;
pub mod target;

/// Holds the code of the README to the API.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
