//! Connections that are cut under load at error recovery level 2: no command is lost, and no byte is wrong.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod bundled;
mod cutter;
mod lio;
mod load;
mod tool;
