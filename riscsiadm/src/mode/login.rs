//! Logging in and out, and what the daemon knows of sessions.

use iscsi_proto::name::NameError;
use iscsi_proto::portal::{Portal, PortalError, TargetAddress};

use super::{Context, auth};
use crate::db::node::NodeId;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::client::Client;
use crate::ipc::error::IpcError;
use crate::ipc::message::{self, Fault, Node, Reply, Request};
use crate::ipc::start;
use crate::output::node::comma;
use crate::output::session::{ChapView, Scan, SessionView};
use crate::output::stats::{self, StatsView};
use crate::output::{escape, json};

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// Wait until the sessions are up, or have failed.
    pub(crate) wait: bool,
    /// Make one session more, however many there are.
    pub(crate) additional: bool,
}

/// Logs in to nodes, all at once. The exit code is that of the first that failed.
pub(crate) fn login(context: &Context, nodes: &[NodeId], how: Login) -> Result<(), Failure> {
    let request = Request::Login(message::Login {
        db: context.store.root().to_owned(),
        config: std::path::absolute(&context.paths.config)?,
        nodes: nodes.iter().map(wire).collect(),
        additional: how.additional,
        wait: how.wait,
        timeout: context.extras.timeout,
        trace: context.extras.trace.as_deref().map(std::path::absolute).transpose()?,
        secrets: auth::secrets(context)?,
    });
    let mut client = start::connect(&context.paths.run)?;
    for node in nodes {
        let multiple = if how.additional { " (multiple)" } else { "" };
        tracing::info!("Logging in to {}{multiple}", place(node));
    }
    client.ask(&request)?;
    if !how.wait {
        return end(&mut client);
    }
    let (mut made, mut failures) = (Vec::new(), Vec::new());
    for node in nodes {
        match next(&mut client)? {
            Reply::Login { sids, fault } => {
                for _ in &sids {
                    context.say(&format!("Login to {} successful.", place(node)))?;
                }
                made.extend(sids);
                failures.extend(fault.map(|fault| refused(context, node, fault)));
            }
            _ => return Err(IpcError::Confused.into()),
        }
    }
    end(&mut client)?;
    if context.json() {
        let sessions: Vec<_> = live(context)?.into_iter().filter(|session| made.contains(&session.sid)).collect();
        context.out(&json::sessions(&sessions, false))?;
    }
    first(&failures, "Could not log into all portals")
}

/// Logs out of all sessions of these nodes.
pub(crate) fn logout(context: &Context, nodes: &[NodeId]) -> Result<(), Failure> {
    logout_of(context, &of(live(context)?, nodes))
}

/// Logs out of sessions.
pub(super) fn logout_of(context: &Context, sessions: &[SessionView]) -> Result<(), Failure> {
    for session in sessions {
        context.say(&format!("Logging out of session {}", title(session)))?;
    }
    let mut client = ask(context, &Request::Logout { sids: sids(sessions) })?;
    let mut failures = Vec::new();
    for session in sessions {
        match next(&mut client)? {
            Reply::Logout { fault: None } => context.say(&format!("Logout of {} successful.", title(session)))?,
            Reply::Logout { fault: Some(fault) } => {
                context.warn(&format!("Could not logout of {}.", title(session)));
                failures.push(reported(context, fault));
            }
            _ => return Err(IpcError::Confused.into()),
        }
    }
    end(&mut client)?;
    if context.json() {
        context.out(&json::sessions(&live(context)?, false))?;
    }
    first(&failures, "Could not logout of all requested sessions")
}

/// Looks for LUNs that came or went, in all sessions of these nodes.
pub(crate) fn rescan(context: &Context, nodes: &[NodeId]) -> Result<(), Failure> {
    rescan_of(context, &of(live(context)?, nodes))
}

/// Looks for LUNs that came or went, in sessions.
pub(super) fn rescan_of(context: &Context, sessions: &[SessionView]) -> Result<(), Failure> {
    let mut client = ask(context, &Request::Rescan { sids: sids(sessions) })?;
    let (mut scans, mut failures) = (Vec::new(), Vec::new());
    for session in sessions {
        context.say(&format!("Rescanning session {}", title(session)))?;
        match next(&mut client)? {
            Reply::Rescan(Ok(scan)) => {
                changes(&scan).try_for_each(|line| context.say(&line))?;
                scans.push((session.sid, scan));
            }
            Reply::Rescan(Err(fault)) => {
                context.warn(&format!("Could not rescan {}.", title(session)));
                failures.push(reported(context, fault));
            }
            _ => return Err(IpcError::Confused.into()),
        }
    }
    end(&mut client)?;
    if context.json() {
        context.out(&json::scans(&scans))?;
    }
    first(&failures, "Could not rescan all sessions")
}

/// Prints statistics of all sessions of these nodes.
pub(crate) fn stats(context: &Context, nodes: &[NodeId]) -> Result<(), Failure> {
    stats_of(context, &of(live(context)?, nodes))
}

/// Prints statistics of sessions.
pub(super) fn stats_of(context: &Context, sessions: &[SessionView]) -> Result<(), Failure> {
    let mut client = ask(context, &Request::Stats { sids: sids(sessions) })?;
    let (mut views, mut failures) = (Vec::new(), Vec::new());
    for session in sessions {
        match next(&mut client)? {
            Reply::Stats(Ok(counters)) => views.push(StatsView {
                sid: session.sid,
                target: session.target.clone(),
                portal: session.persistent.portal.clone(),
                counters: *counters,
                extended: Vec::new(),
            }),
            Reply::Stats(Err(fault)) => {
                context.warn(&format!("Could not get statistics of {}.", title(session)));
                failures.push(reported(context, fault));
            }
            _ => return Err(IpcError::Confused.into()),
        }
    }
    end(&mut client)?;
    context.out(&if context.json() { json::stats(&views) } else { stats::text(&views) })?;
    first(&failures, "Could not get statistics of all sessions")
}

/// The sessions that the daemon holds; none where no daemon runs. Never starts one.
pub(crate) fn live(context: &Context) -> Result<Vec<SessionView>, Failure> {
    inspect(context, false, false)
}

/// The same. With `luns` the targets are asked for their logical units; `secrets` says whether those are told.
pub(super) fn inspect(context: &Context, luns: bool, secrets: bool) -> Result<Vec<SessionView>, Failure> {
    let Some(mut client) = Client::connect(&context.paths.run)? else { return Ok(Vec::new()) };
    client.ask(&Request::Sessions { luns, secrets })?;
    let Reply::Sessions(sessions) = next(&mut client)? else { return Err(IpcError::Confused.into()) };
    end(&mut client)?;
    sessions.into_iter().map(view).collect()
}

/// Ends the daemon, after it has logged out of everything.
pub(crate) fn stop(context: &Context) -> Result<(), Failure> {
    let mut client = ask(context, &Request::Stop)?;
    end(&mut client)?;
    client.wait_for_end();
    Ok(())
}

/// Asks a daemon that has to be there.
fn ask(context: &Context, request: &Request) -> Result<Client, Failure> {
    let mut client = Client::connect(&context.paths.run)?.ok_or(IpcError::NotRunning)?;
    client.ask(request)?;
    Ok(client)
}

/// The next part of the answer, where there has to be one.
fn next(client: &mut Client) -> Result<Reply, Failure> {
    match client.answer()? {
        Some(Reply::Failed(fault)) => Err(fault.into()),
        Some(reply) => Ok(reply),
        None => Err(IpcError::Confused.into()),
    }
}

fn end(client: &mut Client) -> Result<(), Failure> {
    match client.answer()? {
        None => Ok(()),
        Some(Reply::Failed(fault)) => Err(fault.into()),
        Some(_) => Err(IpcError::Confused.into()),
    }
}

/// Says why there is no session, or not as many as there should be.
fn refused(context: &Context, node: &NodeId, fault: Fault) -> Exit {
    if fault.code == Exit::SessionExists.code() {
        context.warn(&fault.message);
        return Exit::SessionExists;
    }
    context.warn(&format!("Could not login to {}.", place(node)));
    reported(context, fault)
}

/// Says what the daemon says: the number with its text, which scripts know, then what it was.
fn reported(context: &Context, fault: Fault) -> Exit {
    let failure = Failure::from(fault);
    context.warn(&format!("initiator reported error ({} - {})", failure.exit.code(), failure.exit.text()));
    if failure.message != failure.exit.text() {
        context.warn(&failure.message);
    }
    failure.exit
}

/// What ends a call of which parts have failed.
fn first(failures: &[Exit], message: &str) -> Result<(), Failure> {
    failures.first().map_or(Ok(()), |exit| Err(Failure::new(*exit, message)))
}

fn changes(scan: &Scan) -> impl Iterator<Item = String> {
    let found = scan.found.iter().map(|lun| format!("LUN {lun} found"));
    found.chain(scan.lost.iter().map(|lun| format!("LUN {lun} lost")))
}

/// The sessions of these nodes, in the order of their numbers.
fn of(sessions: Vec<SessionView>, nodes: &[NodeId]) -> Vec<SessionView> {
    let meant = |session: &SessionView| {
        nodes.iter().any(|node| {
            session.target == node.target
                && session.persistent.portal == node.portal
                && session.iface.name == node.iface.as_str()
        })
    };
    sessions.into_iter().filter(meant).collect()
}

fn sids(sessions: &[SessionView]) -> Vec<u32> {
    sessions.iter().map(|session| session.sid).collect()
}

/// A node, in messages.
fn place(node: &NodeId) -> String {
    let target = escape(node.target.as_written());
    format!("[iface: {}, target: {target}, portal: {}]", node.iface, comma(&node.portal))
}

/// A session, in messages.
fn title(session: &SessionView) -> String {
    let target = escape(session.target.as_written());
    format!("[sid: {}, target: {target}, portal: {}]", session.sid, comma(&session.persistent.portal))
}

fn wire(node: &NodeId) -> Node {
    Node {
        target: node.target.as_written().to_owned(),
        portal: node.portal.to_string(),
        tag: node.tag,
        iface: node.iface.as_str().to_owned(),
    }
}

fn view(session: message::Session) -> Result<SessionView, Failure> {
    let confused = |_: PortalError| Failure::from(IpcError::Confused);
    let portal = |text: &str| text.parse::<Portal>().map_err(confused);
    Ok(SessionView {
        sid: session.sid,
        transport: session.iface.transport.clone(),
        target: session.node.target.parse().map_err(|_: NameError| IpcError::Confused)?,
        current: TargetAddress::new(portal(&session.current)?, session.current_tag),
        persistent: TargetAddress::new(portal(&session.node.portal)?, session.node.tag),
        flash: false,
        iface: session.iface,
        connection: session.connection,
        state: session.state,
        daemon: session.daemon,
        problem: session.problem,
        timeouts: session.timeouts,
        chap: ChapView {
            username: session.username,
            password: session.password.into_inner(),
            username_in: session.username_in,
            password_in: session.password_in.into_inner(),
        },
        params: session.params,
        host: session.sid,
        luns: session.luns,
    })
}
