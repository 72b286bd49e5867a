//! The bundled target, spoken to PDU by PDU in memory, and the program over loopback.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

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
