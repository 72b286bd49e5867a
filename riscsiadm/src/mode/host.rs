//! `-m host`. In user space the sessions are the hosts; there are no adapters.

use super::{Context, login};
use crate::cli::args::HostRef;
use crate::cli::request::Host;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::host::{self, HostView};
use crate::output::json;
use crate::output::session::{Level, SessionView};

pub(super) fn run(context: &Context, request: Host) -> Result<(), Failure> {
    match request {
        Host::List { level } => list(context, level),
        Host::Chap { host, .. } => Err(no_adapter(&host, "CHAP table")),
        Host::Flashnode { host, .. } => Err(no_adapter(&host, "flash nodes")),
        Host::Stats { host } => Err(no_adapter(&host, "statistics of its own")),
    }
}

fn list(context: &Context, level: u32) -> Result<(), Failure> {
    let hosts: Vec<HostView> = login::live(context)?.into_iter().map(view).collect();
    if context.json() {
        context.out(&json::hosts(&hosts))?;
    } else if level == 0 {
        context.out(&host::list(&hosts))?;
    } else if !hosts.is_empty() {
        context.out(&host::tree(&hosts, inner(level), false, None))?;
    }
    if hosts.is_empty() { Err(Failure::new(Exit::NothingFound, "No iSCSI hosts.")) } else { Ok(()) }
}

/// How much is printed of sessions.
fn inner(level: u32) -> Option<Level> {
    match level {
        0 | 1 => None,
        2 => Some(Level::Connections),
        3 => Some(Level::Params),
        _ => Some(Level::Devices),
    }
}

fn view(session: SessionView) -> HostView {
    HostView {
        number: session.host,
        state: "running".to_owned(),
        iface: session.iface.clone(),
        sessions: vec![session],
    }
}

fn no_adapter(host: &HostRef, what: &str) -> Failure {
    match host {
        HostRef::Mac(_) => Failure::invalid("Could not match MAC to host."),
        HostRef::Number(number) => Failure::new(
            Exit::TransportNotFound,
            format!("Host {number} has no {what}: only an adapter with offload and its driver does."),
        ),
    }
}
