//! Bundled target, real-target labs and conformance tests of the initiator.

pub mod lab;
