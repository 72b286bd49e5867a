//! `-m node`.

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::DEFAULT_PORT;

use super::login::{self, Login};
use super::setting::{self, changes, explain, told};
use super::{Context, select, startup};
use crate::cli::portal::PortalFilter;
use crate::cli::request::{Node, NodeFilter};
use crate::cli::setting::Setting;
use crate::db::error::DbError;
use crate::db::keys::Scope;
use crate::db::node::{IfaceName, NodeId};
use crate::db::record::Record;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{json, node, record};

pub(super) fn run(context: &Context, request: Node) -> Result<(), Failure> {
    match request {
        Node::List { tree } => list(context, tree),
        Node::Show { filter, reveal } => match select::nodes(context, &filter) {
            Ok(nodes) => show(context, &nodes, reveal),
            Err(failure) if failure.exit == Exit::NothingFound => nothing(context, failure),
            Err(failure) => Err(failure),
        },
        Node::New { target, portal, iface, settings } => new(context, target, &portal, iface.as_deref(), &settings),
        Node::Update { filter, settings } => {
            let changes = changes(context, &settings)?;
            update(context, &select::nodes(context, &filter)?, &changes)
        }
        Node::Delete { filter } => delete(context, &select::nodes(context, &filter)?),
        Node::Login { filter, wait } => {
            let nodes = select::nodes(context, &filter)?;
            login::login(context, &nodes, Login { wait, additional: false })
        }
        Node::Logout { filter } => {
            login::logout(context, &with_session(context, &filter, "No matching sessions found")?)
        }
        Node::Rescan { filter } => login::rescan(context, &with_session(context, &filter, "No session found.")?),
        Node::Stats { filter } => login::stats(context, &with_session(context, &filter, "No session found.")?),
        Node::LoginAll { class, filter, wait } => startup::login_all(context, class, &filter, wait),
        Node::LogoutAll { class, filter } => startup::logout_all(context, class, &filter),
    }
}

fn list(context: &Context, tree: bool) -> Result<(), Failure> {
    let nodes = context.store.nodes()?;
    context.out(&match (context.json(), tree) {
        (true, _) => json::nodes(&nodes),
        (_, true) => node::tree(&nodes),
        _ => node::flat(&nodes),
    })?;
    if nodes.is_empty() { Err(DbError::NoRecords.into()) } else { Ok(()) }
}

/// Prints whole records. One that vanishes meanwhile is left out.
pub(super) fn show(context: &Context, nodes: &[NodeId], reveal: bool) -> Result<(), Failure> {
    let read = |id| match context.store.node(id) {
        Err(DbError::NoRecords) => None,
        result => Some(result),
    };
    let records = nodes.iter().filter_map(read).collect::<Result<Vec<Record>, _>>()?;
    if records.is_empty() {
        return nothing(context, DbError::NoRecords.into());
    }
    if context.json() {
        return context.out(&json::records(&records, reveal));
    }
    records.iter().try_for_each(|item| context.out(&record::dump(item, reveal)))
}

/// Where nothing is found the list is empty.
fn nothing(context: &Context, failure: Failure) -> Result<(), Failure> {
    if context.json() {
        context.out(&json::records(&[], false))?;
    }
    Err(failure)
}

fn new(
    context: &Context,
    target: IscsiName,
    portal: &PortalFilter,
    iface: Option<&str>,
    settings: &[Setting],
) -> Result<(), Failure> {
    let iface = match iface {
        Some(name) => select::known_iface(context, name)?.0,
        None => IfaceName::default_iface(),
    };
    let changes = changes(context, settings)?;
    setting::check(Scope::Node, &changes).map_err(|error| told(context, error))?;
    let id = NodeId { target, portal: portal.portal(DEFAULT_PORT), tag: portal.tag, iface };
    for written in context.store.new_node(&id)? {
        if !changes.is_empty() {
            context.store.update_node(&written, &changes)?;
        }
    }
    context.say(&node::added(&id, &context.store.iface(&id.iface)?))
}

/// Sets keys of each record. One that cannot be changed does not keep the others from it.
pub(super) fn update(context: &Context, nodes: &[NodeId], changes: &setting::Changes) -> Result<(), Failure> {
    if let Err(error) = setting::check(Scope::Node, changes) {
        return Err(not_all(explain(context, error)));
    }
    each(nodes, |id| context.store.update_node(id, changes).map_err(|error| explain(context, error)))
}

/// Deletes records. One that a session uses stays.
pub(super) fn delete(context: &Context, nodes: &[NodeId]) -> Result<(), Failure> {
    let in_use = select::in_use(context)?;
    each(nodes, |id| {
        if in_use.iter().any(|used| used.is_same(id)) {
            context.warn(&node::kept(id));
            return Err(Exit::SessionExists);
        }
        match context.store.delete_node(id) {
            // Another call was faster.
            Err(DbError::NoRecords) => Ok(()),
            result => result.map_err(|error| explain(context, error)),
        }
    })
}

/// Does something with each record. The exit code is that of the first failure.
fn each(nodes: &[NodeId], act: impl FnMut(&NodeId) -> Result<(), Exit>) -> Result<(), Failure> {
    let failures: Vec<Exit> = nodes.iter().map(act).filter_map(Result::err).collect();
    failures.first().map_or(Ok(()), |first| Err(not_all(*first)))
}

/// What ends a call that failed for some records.
pub(super) fn not_all(exit: Exit) -> Failure {
    Failure::new(exit, format!("Could not execute operation on all records: {}", exit.text()))
}

/// The nodes that match and have a session; without any, the failure that says so.
fn with_session(context: &Context, filter: &NodeFilter, none: &str) -> Result<Vec<NodeId>, Failure> {
    let nodes = select::in_session(context, filter)?;
    if nodes.is_empty() { Err(Failure::new(Exit::NothingFound, none)) } else { Ok(nodes) }
}
