//! `-L` and `-U`: logging in and out by startup class.

use super::login::{self, Login};
use super::{Context, select};
use crate::cli::request::{NodeFilter, Startup};
use crate::db::error::DbError;
use crate::db::node::{IfaceName, NodeId};
use crate::db::record::Record;
use crate::exit::Exit;
use crate::failure::Failure;

const ON_BOOT: &str = "onboot";

/// Logs in to a class: first all records that want every portal, then those of which one portal is enough.
pub(super) fn login_all(context: &Context, class: Startup, filter: &NodeFilter, wait: bool) -> Result<(), Failure> {
    let (mut all, mut leading) = (Vec::new(), Vec::new());
    for id in select::nodes(context, filter)? {
        let record = context.store.node(&id)?;
        if belongs(&record, class) {
            if record.flag("node.leading_login") { leading.push(id) } else { all.push(id) }
        }
    }
    if all.is_empty() && leading.is_empty() {
        return Err(DbError::NoRecords.into());
    }
    let first = if all.is_empty() { Ok(()) } else { login::login(context, &all, Login { wait, additional: false }) };
    let second = lead(context, &leading);
    first.and(second)
}

/// Logs out of a class. What the system boots from stays, and so do sessions without a record unless all are meant.
pub(super) fn logout_all(context: &Context, class: Startup, filter: &NodeFilter) -> Result<(), Failure> {
    let records = context.store.nodes()?;
    let mut nodes = Vec::new();
    for session in select::in_session(context, filter)? {
        let record = records.iter().find(|id| id.is_same(&session)).map(|id| context.store.node(id)).transpose()?;
        let meant = match &record {
            Some(record) => belongs(record, class) && !boots(record),
            None => class == Startup::All,
        };
        if meant {
            nodes.push(session);
        }
    }
    if nodes.is_empty() {
        return Err(Failure::new(Exit::NothingFound, "No matching sessions found"));
    }
    login::logout(context, &nodes)
}

/// Gives each target one session: interface after interface, portal after portal, until it has one.
fn lead(context: &Context, nodes: &[NodeId]) -> Result<(), Failure> {
    let mut ifaces: Vec<&IfaceName> = Vec::new();
    for id in nodes {
        if !ifaces.contains(&&id.iface) {
            ifaces.push(&id.iface);
        }
    }
    for iface in ifaces {
        for id in nodes.iter().filter(|id| id.iface == *iface) {
            if !has_session(context, id)? {
                // What went wrong was printed; another portal may do better, and what counts is the session.
                let _ = login::login(context, std::slice::from_ref(id), Login { wait: true, additional: false });
            }
        }
    }
    for id in nodes {
        if !has_session(context, id)? {
            return Err(Failure::new(Exit::FatalLogin, "Could not login all leading-login portals"));
        }
    }
    Ok(())
}

fn has_session(context: &Context, id: &NodeId) -> Result<bool, Failure> {
    Ok(login::live(context)?.iter().any(|session| session.target == id.target))
}

fn belongs(record: &Record, class: Startup) -> bool {
    let word = match class {
        Startup::All => return true,
        Startup::Automatic => "automatic",
        Startup::Manual => "manual",
        Startup::OnBoot => ON_BOOT,
    };
    starts(record, word)
}

fn boots(record: &Record) -> bool {
    starts(record, ON_BOOT) || record.get("node.discovery_type") == "fw"
}

fn starts(record: &Record, word: &str) -> bool {
    ["node.startup", "node.conn[0].startup"].iter().any(|key| record.get(key) == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::keys::Scope;

    #[test]
    fn either_key_puts_a_record_into_a_class() {
        let classes = [Startup::All, Startup::Automatic, Startup::Manual, Startup::OnBoot];
        for (node, connection, expected) in [
            ("manual", "manual", [true, false, true, false]),
            ("automatic", "automatic", [true, true, false, false]),
            ("automatic", "manual", [true, true, true, false]),
            ("manual", "onboot", [true, false, true, true]),
        ] {
            let mut record = Record::new(Scope::Node);
            record.set("node.startup", node).unwrap();
            record.set("node.conn[0].startup", connection).unwrap();
            assert_eq!(classes.map(|class| belongs(&record, class)), expected, "{node} {connection}");
            assert_eq!(boots(&record), expected[3], "{node} {connection}");
        }
    }

    #[test]
    fn a_record_of_the_firmware_is_one_to_boot_from() {
        let mut record = Record::new(Scope::Node);
        assert!(!boots(&record));
        record.identify("node.discovery_type", "fw").unwrap();
        assert!(boots(&record));
    }
}
