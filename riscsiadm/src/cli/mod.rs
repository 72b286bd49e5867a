//! The command line.

pub mod getopt;
pub mod mode;
pub mod number;
pub mod op;
pub mod options;
pub mod portal;
pub mod program;
pub mod refusal;
pub mod secret;
pub mod setting;
