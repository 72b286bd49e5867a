//! `-m session`.

use super::login::{self, Login};
use super::{Context, node, setting};
use crate::cli::request::Session;
use crate::db::node::NodeId;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::json;
use crate::output::session::{Level, SessionView, list, tree};

pub(super) fn run(context: &Context, request: Session) -> Result<(), Failure> {
    match request {
        Session::List { sid, level, reveal } => show(context, sid, level, reveal),
        Session::Show { sid, reveal } => node::show(context, &[record_of(context, sid)?], reveal),
        Session::New { sid } => {
            login::login(context, &[record_of(context, sid)?], Login { wait: true, additional: true })
        }
        Session::Update { sid, settings } => {
            let changes = setting::changes(context, &settings)?;
            node::update(context, &[record_of(context, sid)?], &changes)
        }
        Session::Delete { sid } => node::delete(context, &[record_of(context, sid)?]),
        Session::Logout { sid } => login::logout_of(context, &meant(context, sid, "No matching sessions found")?),
        Session::Rescan { sid } => login::rescan_of(context, &meant(context, sid, "No session found.")?),
        Session::Stats { sid } => login::stats_of(context, &meant(context, sid, "No session found.")?),
    }
}

fn show(context: &Context, sid: Option<u32>, level: u32, reveal: bool) -> Result<(), Failure> {
    let all = login::inspect(context, context.json() || level >= 3, reveal)?;
    let sessions = match sid {
        Some(sid) => vec![find(context, all, sid)?],
        None => all,
    };
    if context.json() {
        context.out(&json::sessions(&sessions, reveal))?;
    } else if !sessions.is_empty() {
        context.out(&match level {
            0 => list(&sessions).into(),
            1 => tree(&sessions, Level::Connections, reveal, None),
            2 => tree(&sessions, Level::Params, reveal, None),
            _ => tree(&sessions, Level::Devices, reveal, None),
        })?;
    }
    if sessions.is_empty() { Err(Failure::new(Exit::NothingFound, "No active sessions.")) } else { Ok(()) }
}

/// The sessions that are meant; never none.
fn meant(context: &Context, sid: Option<u32>, none: &str) -> Result<Vec<SessionView>, Failure> {
    let all = login::live(context)?;
    match sid {
        Some(sid) => Ok(vec![find(context, all, sid)?]),
        None if all.is_empty() => Err(Failure::new(Exit::NothingFound, none)),
        None => Ok(all),
    }
}

fn find(context: &Context, sessions: Vec<SessionView>, sid: u32) -> Result<SessionView, Failure> {
    sessions.into_iter().find(|session| session.sid == sid).ok_or_else(|| {
        context.warn("could not read session targetname: 5");
        Failure::new(Exit::Sysfs, format!("Could not get session info for sid {sid}"))
    })
}

/// The record that a session was logged in by. It may be gone by now.
fn record_of(context: &Context, sid: u32) -> Result<NodeId, Failure> {
    let session = find(context, login::live(context)?, sid)?;
    let id = NodeId {
        target: session.target,
        portal: session.persistent.portal,
        tag: session.persistent.tag,
        iface: session.iface.name.parse()?,
    };
    let records = context.store.nodes()?;
    Ok(records.into_iter().find(|record| record.is_same(&id)).unwrap_or(id))
}
