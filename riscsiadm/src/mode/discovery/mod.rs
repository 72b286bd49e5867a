//! `-m discovery` and `-m discoverydb`.

mod ask;
mod run;

use iscsi_proto::isns;
use iscsi_proto::portal::DEFAULT_PORT;

use super::node::not_all;
use super::setting::{Changes, changes, check, told};
use super::{Context, select};
use crate::cli::portal::PortalFilter;
use crate::cli::request::{Discovery, DiscoveryDb, Source as Asked};
use crate::db::error::DbError;
use crate::db::keys::Scope;
use crate::db::node::Source;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::node::{comma, kept};
use crate::output::{discovery, json, record};

pub(super) fn run(context: &Context, request: Discovery) -> Result<(), Failure> {
    match request {
        Discovery::List { level } => list(context, level),
        Discovery::Run(run) => run::run(context, &run),
        Discovery::Show { portal, reveal } => {
            let source = send_targets(&portal);
            show(context, &source, reveal).map_err(|failure| not_found(&source, failure))
        }
        Discovery::Delete { portal } => {
            let source = send_targets(&portal);
            delete(context, &source).map_err(|failure| not_found(&source, failure))
        }
    }
}

pub(super) fn run_db(context: &Context, request: DiscoveryDb) -> Result<(), Failure> {
    match request {
        DiscoveryDb::List { level } => list(context, level),
        DiscoveryDb::Run(run) => run::run(context, &run),
        DiscoveryDb::Show { source, reveal } => show(context, &stored(&source), reveal),
        DiscoveryDb::New { source, settings } => new(context, &stored(&source), &changes(context, &settings)?),
        DiscoveryDb::Update { source, settings } => {
            let changes = changes(context, &settings)?;
            context.store.update_discovery(&stored(&source), &changes).map_err(|error| told(context, error))
        }
        DiscoveryDb::Delete { source } => delete(context, &stored(&source)),
    }
}

fn send_targets(portal: &PortalFilter) -> Source {
    Source::SendTargets(portal.portal(DEFAULT_PORT))
}

fn stored(source: &Asked) -> Source {
    match source {
        Asked::SendTargets(portal) => send_targets(portal),
        Asked::Isns(portal) => Source::Isns(portal.portal(isns::PORT)),
        Asked::Firmware => Source::Firmware,
    }
}

/// The keys that the record of a discovery address has.
fn scope(source: &Source) -> Scope {
    if matches!(source, Source::Isns(_)) { Scope::Isns } else { Scope::SendTargets }
}

/// In discovery mode a record that is missing is the caller's mistake.
fn not_found(source: &Source, failure: Failure) -> Failure {
    match source.portal() {
        Some(portal) if failure.exit == Exit::Database => {
            Failure::invalid(format!("Discovery record [{}] not found!", comma(portal)))
        }
        _ => failure,
    }
}

fn list(context: &Context, level: u32) -> Result<(), Failure> {
    let (text, empty) = if level == 0 && !context.json() {
        let addresses = context.store.discoveries()?;
        (discovery::list(&addresses), addresses.is_empty())
    } else {
        let all = context.store.by_source()?;
        (if context.json() { json::discoveries(&all) } else { discovery::tree(&all) }, all.is_empty())
    };
    context.out(&text)?;
    if empty { Err(Failure::told(Exit::NothingFound)) } else { Ok(()) }
}

fn show(context: &Context, source: &Source, reveal: bool) -> Result<(), Failure> {
    let found = context.store.discovery(source)?;
    if context.json() {
        return context.out(&json::records(&[found], reveal));
    }
    context.out(&record::dump(&found, reveal))
}

fn new(context: &Context, source: &Source, changes: &Changes) -> Result<(), Failure> {
    let portal = source.portal().ok_or(DbError::NoRecords)?;
    check(scope(source), changes).map_err(|error| told(context, error))?;
    context.store.new_discovery(source)?;
    if !changes.is_empty() {
        context.store.update_discovery(source, changes)?;
    }
    context.say(&format!("New discovery record for [{}] added.", comma(portal)))
}

fn delete(context: &Context, source: &Source) -> Result<(), Failure> {
    let deleted = context.store.delete_discovery(source, &select::in_use(context)?)?;
    if deleted.in_use.is_empty() {
        return Ok(());
    }
    for id in &deleted.in_use {
        context.warn(&kept(id));
    }
    Err(not_all(Exit::SessionExists))
}
