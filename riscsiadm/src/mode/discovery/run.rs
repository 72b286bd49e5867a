//! One discovery: ask, write down, print, log in.

use std::collections::HashSet;

use iscsi_initiator::Initiator;
use iscsi_initiator::core::targets::Targets;

use super::ask::{Whom, ask};
use super::{not_found, scope, stored};
use crate::cli::request::{RecordUse, Run, Writes};
use crate::db;
use crate::db::error::DbError;
use crate::db::node::{IfaceName, NodeId, Source};
use crate::db::record::Record;
use crate::db::store::{Change, Found, Policy, expand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::mode::login::{self, Login};
use crate::mode::setting::Changes;
use crate::mode::{Context, firmware, select};
use crate::output::json;
use crate::output::node::{discovered, grouped, kept};

pub(super) fn run(context: &Context, run: &Run) -> Result<(), Failure> {
    let source = stored(&run.source);
    let (found, ifaces) = match &source {
        Source::SendTargets(portal) => from_network(context, run, &source, Whom::Portal(portal))?,
        Source::Isns(server) => from_network(context, run, &source, Whom::Server(server))?,
        Source::Static | Source::Firmware => from_firmware(context, run)?,
    };
    let nodes = write(context, &source, &found, &ifaces, run.writes)?;
    print(context, &nodes, run.level)?;
    if nodes.is_empty() {
        return Err(Failure::new(Exit::NothingFound, "No portals found"));
    }
    if run.login { log_in(context, &nodes) } else { Ok(()) }
}

fn from_network(
    context: &Context,
    run: &Run,
    source: &Source,
    whom: Whom<'_>,
) -> Result<(Vec<Found>, Vec<IfaceName>), Failure> {
    let ifaces = ifaces(context, &run.ifaces)?;
    let rules = Rules::read(context, source, run.record)?;
    let answer = ask(context, &rules.record, whom, &initiator(context, &ifaces)?)?;
    let found = found(context, answer);
    if run.writes.record {
        rules.store(context, source)?;
    }
    Ok((found, ifaces))
}

/// The firmware says by itself which way it went, so nothing is bound to the interfaces that a person made.
fn from_firmware(context: &Context, run: &Run) -> Result<(Vec<Found>, Vec<IfaceName>), Failure> {
    let found = firmware::found(context, &firmware::targets()?);
    let ifaces = if run.ifaces.is_empty() { vec![IfaceName::default_iface()] } else { ifaces(context, &run.ifaces)? };
    Ok((found, ifaces))
}

/// The interfaces to bind to. Those that cannot be read are named and left out.
fn ifaces(context: &Context, typed: &[String]) -> Result<Vec<IfaceName>, Failure> {
    if typed.is_empty() {
        return Ok(context.store.binding_ifaces()?);
    }
    let mut known = Vec::new();
    for name in typed {
        let iface = name.parse::<IfaceName>().and_then(|name| context.store.iface(&name).map(|_| name));
        match iface {
            Ok(name) if known.contains(&name) => {}
            Ok(name) => known.push(name),
            Err(error) => context.warn(&error.to_string()),
        }
    }
    if known.is_empty() { Err(Failure::new(Exit::NothingFound, "No interfaces found.")) } else { Ok(known) }
}

/// Who asks: the name of an interface that has one, else the machine's.
fn initiator(context: &Context, ifaces: &[IfaceName]) -> Result<Initiator, Failure> {
    for iface in ifaces {
        if let Ok(name) = context.store.iface(iface)?.get("iface.initiatorname").parse() {
            return Ok(Initiator::new(name));
        }
    }
    let own = db::initiator::Initiator::ensure(&context.paths.config).map_err(|error| {
        context.warn(&error.to_string());
        Failure { message: "Cannot perform discovery. Initiatorname required.".to_owned(), ..error.into() }
    })?;
    let initiator = Initiator::new(own.name);
    Ok(match own.alias {
        Some(alias) => initiator.with_alias(alias),
        None => initiator,
    })
}

/// The discovery record in force, and how what is stored differs from it.
struct Rules {
    record: Record,
    changes: Changes,
}

impl Rules {
    fn read(context: &Context, source: &Source, which: RecordUse) -> Result<Self, Failure> {
        let config = context.store.config();
        match context.store.discovery(source) {
            Ok(record) if which == RecordUse::Fresh => Ok(Self::renewed(context, source, record)),
            Ok(record) => Ok(Self { record, changes: Changes::new() }),
            Err(DbError::NoDiscovery(_)) if which != RecordUse::Stored => {
                Ok(Self { record: config.record(scope(source)), changes: Changes::new() })
            }
            Err(error) => Err(not_found(source, error.into())),
        }
    }

    /// What `iscsid.conf` says counts again; what a person set in the record stays where the file is silent.
    fn renewed(context: &Context, source: &Source, mut record: Record) -> Self {
        let mut changes = Changes::new();
        for key in scope(source).keys() {
            let value = context.store.config().get(key.name);
            if let Some(value) = value.filter(|value| *value != record.get(key.name))
                && record.set(key.name, value).is_ok()
            {
                changes.push((key.name.to_owned(), value.to_owned()));
            }
        }
        Self { record, changes }
    }

    /// Only now: an address that does not answer leaves nothing behind.
    fn store(&self, context: &Context, source: &Source) -> Result<(), Failure> {
        context.store.ensure_discovery(source)?;
        if !self.changes.is_empty() {
            context.store.update_discovery(source, &self.changes)?;
        }
        Ok(())
    }
}

/// What the answer holds. What had to be left out is named.
fn found(context: &Context, answer: Targets) -> Vec<Found> {
    for skipped in &answer.skipped {
        context.warn(&skipped.to_string());
    }
    let targets = answer.targets.into_iter();
    targets.map(|target| Found::new(target.name, target.addresses)).collect()
}

/// Brings the answer into the records as far as was asked, and gives its nodes with whether they have a record.
fn write(
    context: &Context,
    source: &Source,
    found: &[Found],
    ifaces: &[IfaceName],
    writes: Writes,
) -> Result<Vec<(NodeId, Change)>, Failure> {
    let policy = policy(writes);
    if policy == Policy::default() {
        let nodes = expand(source.portal(), found, ifaces).into_iter();
        return Ok(nodes.map(|id| (id, Change::Absent)).collect());
    }
    let done = context.store.add_discovered(source, found, ifaces, policy, &select::in_use(context)?)?;
    if writes.asked {
        for id in &done.stale.in_use {
            context.warn(&kept(id));
        }
    }
    Ok(done.nodes)
}

/// Without `-o`, settings in records stay. `-o update` is the wish to have them set back to the defaults.
fn policy(writes: Writes) -> Policy {
    let Writes { add, update, delete, asked, .. } = writes;
    Policy { new: add, update, reset: update && asked, delete }
}

fn print(context: &Context, nodes: &[(NodeId, Change)], level: u32) -> Result<(), Failure> {
    let nodes: Vec<NodeId> = nodes.iter().map(|(id, _)| id.clone()).collect();
    if context.json() {
        return context.out(&json::nodes(&nodes));
    }
    if level > 0 {
        return context.out(&grouped(&nodes));
    }
    // Through several interfaces it is still one portal.
    let mut seen = HashSet::new();
    let portals: Vec<NodeId> =
        nodes.into_iter().filter(|id| seen.insert((id.target.clone(), id.portal.clone(), id.tag))).collect();
    context.out(&discovered(&portals))
}

fn log_in(context: &Context, nodes: &[(NodeId, Change)]) -> Result<(), Failure> {
    let stored = nodes.iter().filter(|(_, change)| *change != Change::Absent);
    let stored: Vec<NodeId> = stored.map(|(id, _)| id.clone()).collect();
    if stored.is_empty() {
        return Err(Failure::invalid("Cannot log in: the given operation makes no node records. Leave -o out."));
    }
    login::login(context, &stored, Login { wait: true, additional: false })
}
