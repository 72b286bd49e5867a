//! The rules of RFC 7143, each shown by a dialogue over a pipe in memory, in virtual time.
//!
//! Every dialogue is watched by one checker, [`support::trace`], for the rules that hold always.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod asyncmsg;
mod chap;
mod cmdsn;
mod datain;
mod dataout;
mod digest;
mod discovery;
mod keys;
mod login;
mod logout;
mod mcs;
mod names;
mod nop;
mod r2t;
mod reassign;
mod recovery;
mod reject;
mod robustness;
mod support;
mod text;
mod tmf;
