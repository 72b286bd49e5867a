//! iSNS discovery: against servers in memory that answer as a test tells them to, and against a real one.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod daemon;
mod memory;

use iscsi_initiator::Initiator;

const HOST: &str = "iqn.2026-01.org.example:host";

fn initiator() -> Initiator {
    Initiator::new(HOST.parse().unwrap())
}
