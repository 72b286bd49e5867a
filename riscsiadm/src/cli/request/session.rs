//! `-m session`.

use super::super::args::Args;
use super::super::op::Op;
use super::super::refusal::Refusal;
use super::super::setting::Setting;
use super::node::{login_conflict, update_settings};

const MAX_LEVEL: u32 = 3;

/// What `-m session` asks for. A session id is never 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// List sessions: flat at level 0, else as a tree with more at each level.
    List {
        /// Which session; all without one. Level 0 lists all.
        sid: Option<u32>,
        /// 0 to 3.
        level: u32,
        /// Print secrets.
        reveal: bool,
    },
    /// Print the node record of a session.
    Show {
        /// The session.
        sid: u32,
        /// Print secrets.
        reveal: bool,
    },
    /// Log in once more to where a session is logged in.
    New {
        /// The session.
        sid: u32,
    },
    /// Change the node record of a session.
    Update {
        /// The session.
        sid: u32,
        /// At least one.
        settings: Vec<Setting>,
    },
    /// Delete the node record of a session.
    Delete {
        /// The session.
        sid: u32,
    },
    /// Log out.
    Logout {
        /// Which session; all without one.
        sid: Option<u32>,
    },
    /// Look for LUNs that came or went.
    Rescan {
        /// Which session; all without one.
        sid: Option<u32>,
    },
    /// Print statistics.
    Stats {
        /// Which session; all without one.
        sid: Option<u32>,
    },
}

pub(super) fn interpret(args: &Args) -> Result<Session, Refusal> {
    let sid = args.sid;
    if args.ops.has(Op::New) && sid.is_none() {
        return Err(Refusal::invalid("session mode: Operation 'new' only allowed with specific session IDs"));
    }
    if args.rescan {
        return Ok(Session::Rescan { sid });
    }
    if args.stats {
        return Ok(Session::Stats { sid });
    }
    if args.logout {
        let new = args.ops.has(Op::New);
        login_conflict(new, true, !args.ops.is_empty())?;
        return Ok(Session::Logout { sid });
    }
    match sid {
        Some(sid) => on_session(args, sid),
        None => list(args, None),
    }
}

fn on_session(args: &Args, sid: u32) -> Result<Session, Refusal> {
    match args.ops.single() {
        Some(Op::New) => Ok(Session::New { sid }),
        Some(Op::Update) => Ok(Session::Update { sid, settings: update_settings(args)? }),
        Some(Op::Delete) => Ok(Session::Delete { sid }),
        Some(Op::Show) => Ok(Session::Show { sid, reveal: args.show }),
        None if args.ops.is_empty() && args.level == 0 => Ok(Session::Show { sid, reveal: args.show }),
        None if args.ops.is_empty() => list(args, Some(sid)),
        _ => Err(Refusal::invalid("operation is not supported.")),
    }
}

fn list(args: &Args, sid: Option<u32>) -> Result<Session, Refusal> {
    let level = args.level;
    if level > MAX_LEVEL {
        return Err(Refusal::invalid(format!("Invalid info level {level}. Try 0 - {MAX_LEVEL}.")));
    }
    Ok(Session::List { sid, level, reveal: args.show })
}
