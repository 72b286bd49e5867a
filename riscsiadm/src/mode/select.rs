//! Which records and which sessions a command line means.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};

use iscsi_proto::portal::{DEFAULT_PORT, Host};

use super::{Context, login};
use crate::cli::request::NodeFilter;
use crate::db::error::DbError;
use crate::db::node::{Filter, IfaceName, NodeId};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::session::SessionView;

/// The node records that match, in the order of the list; never none.
pub(super) fn nodes(context: &Context, filter: &NodeFilter) -> Result<Vec<NodeId>, Failure> {
    let Some(filter) = db_filter(context, filter)? else {
        return Err(DbError::NoRecords.into());
    };
    let hosts = Hosts::default();
    let found = context.store.find_with(&filter, &|a, b| hosts.same(a, b))?;
    if found.is_empty() { Err(DbError::NoRecords.into()) } else { Ok(found) }
}

/// The nodes that have a session and match, each once. They need not have a record. There may be none.
pub(super) fn in_session(context: &Context, filter: &NodeFilter) -> Result<Vec<NodeId>, Failure> {
    let Some(filter) = db_filter(context, filter)? else {
        return Ok(Vec::new());
    };
    let hosts = Hosts::default();
    let mut found: Vec<NodeId> = Vec::new();
    for id in in_use(context)? {
        if filter.matches(&id, &|a, b| hosts.same(a, b)) && !found.iter().any(|other| other.is_same(&id)) {
            found.push(id);
        }
    }
    Ok(found)
}

/// The nodes of all sessions. One that has several is there several times.
pub(super) fn in_use(context: &Context) -> Result<Vec<NodeId>, Failure> {
    Ok(login::live(context)?.iter().filter_map(node_of).collect())
}

fn node_of(session: &SessionView) -> Option<NodeId> {
    Some(NodeId {
        target: session.target.clone(),
        portal: session.persistent.portal.clone(),
        tag: session.persistent.tag,
        iface: session.iface.name.parse().ok()?,
    })
}

/// `None` if nothing can match: what was typed is no name that a record could have.
fn db_filter(context: &Context, typed: &NodeFilter) -> Result<Option<Filter>, Failure> {
    let mut filter = Filter::default();
    if let Some(target) = &typed.target {
        let Ok(name) = target.parse() else { return Ok(None) };
        filter.target = Some(name);
    }
    if let Some(iface) = &typed.iface {
        let (iface, transport) = known_iface(context, iface)?;
        filter.iface = Some(iface);
        filter.transport = Some(transport);
    }
    filter.portal = typed.portal.as_ref().map(|portal| portal.portal(DEFAULT_PORT));
    Ok(Some(filter))
}

/// An interface that exists, with its transport. One that does not ends node mode with a code of its own.
pub(super) fn known_iface(context: &Context, name: &str) -> Result<(IfaceName, String), Failure> {
    let read = || {
        let iface: IfaceName = name.parse()?;
        let record = context.store.iface(&iface)?;
        Ok((iface, record.get("iface.transport_name").to_owned()))
    };
    read().map_err(|error| match error {
        DbError::NoIface(_) => Failure::new(Exit::NoMemory, error),
        error => error.into(),
    })
}

/// Compares hosts: by their texts, and where one is a name by what both resolve to. Each name is resolved once.
#[derive(Default)]
struct Hosts(RefCell<HashMap<Host, Vec<IpAddr>>>);

impl Hosts {
    fn same(&self, a: &Host, b: &Host) -> bool {
        let named = matches!(a, Host::Name(_)) || matches!(b, Host::Name(_));
        a == b || named && self.addresses(a).iter().any(|address| self.addresses(b).contains(address))
    }

    fn addresses(&self, host: &Host) -> Vec<IpAddr> {
        self.0.borrow_mut().entry(host.clone()).or_insert_with(|| resolve(host)).clone()
    }
}

fn resolve(host: &Host) -> Vec<IpAddr> {
    if let Some(address) = host.ip() {
        return vec![address];
    }
    let resolved = (host.to_string().as_str(), DEFAULT_PORT).to_socket_addrs();
    resolved.map(|addresses| addresses.map(|address| address.ip()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_host_that_it_resolves_to() {
        let hosts = Hosts::default();
        for (a, b, same) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("localhost", "127.0.0.1", true),
            ("127.0.0.1", "LOCALHOST", true),
            ("localhost", "192.0.2.1", false),
            ("::1", "::2", false),
            ("no-such-host.invalid", "127.0.0.1", false),
            ("no-such-host.invalid", "no-such-host.invalid", true),
        ] {
            assert_eq!(hosts.same(&a.parse().unwrap(), &b.parse().unwrap()), same, "{a} {b}");
        }
    }
}
