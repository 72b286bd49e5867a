//! The protocol side of the target: connections, sessions and the node that they belong to. Does no IO.

mod chap;
mod connection;
mod cut;
mod full;
mod kept;
mod login;
mod logout;
mod lost;
mod manage;
mod negotiation;
mod node;
mod outbox;
mod params;
mod refusal;
mod session;
mod snack;
mod task;
mod text;
mod transfer;
mod turn;
mod window;
mod wire;

pub use connection::{Connection, HIGH_WATER};
pub use full::Ending;
pub use kept::takes_stat_sn;
pub use node::{Node, SessionInfo, UnitError};
pub use params::Params;
pub use wire::{Digests, OutPdu, Wire};
