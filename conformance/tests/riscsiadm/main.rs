//! `riscsiadm` on URLs, against a real tgtd and the bundled target: what a user sees, to the letter.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod bundled;
mod checks;
mod ends;
mod listing;
mod proxy;
mod tgt;
