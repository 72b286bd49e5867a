//! The bundled target, spoken to PDU by PDU in memory, and the program over loopback.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod both;
mod chap;
mod clock;
mod data;
mod digest;
mod discovery;
mod login;
mod manage;
mod noise;
mod peer;
mod program;
mod reassign;
mod repair;
mod residual;
mod scsi;
mod sessions;
mod snack;
mod window;
