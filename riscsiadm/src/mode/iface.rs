//! `-m iface`.

use super::setting::{Changes, changes, told};
use super::{Context, select};
use crate::cli::args::HostRef;
use crate::cli::request::Iface;
use crate::db::error::DbError;
use crate::db::node::IfaceName;
use crate::db::record::Record;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{iface, json, record};

pub(super) fn run(context: &Context, request: Iface) -> Result<(), Failure> {
    match request {
        Iface::List { name, tree } => list(context, name.as_deref(), tree),
        Iface::Show { name } => show(context, &name),
        Iface::New { name, settings } => new(context, &name, &changes(context, &settings)?),
        Iface::Update { name, settings } => {
            let changes = changes(context, &settings)?;
            update(context, &name, &changes)
        }
        Iface::Delete { name } => delete(context, &name),
        Iface::Apply { name } => apply(context, &name),
        Iface::ApplyAll { host } => apply_all(context, &host),
        Iface::Ping(ping) => {
            read(context, &ping.name)?;
            let text = "Only an adapter with offload can ping through an interface: use ping of the system";
            Err(Failure::new(Exit::NotSupported, text))
        }
    }
}

fn list(context: &Context, name: Option<&str>, tree: bool) -> Result<(), Failure> {
    let ifaces = match name {
        Some(name) => vec![read(context, name)?],
        None => context.store.ifaces()?,
    };
    context.out(&match (context.json(), tree) {
        (true, _) => json::ifaces(&ifaces),
        (_, true) => iface::tree(&ifaces, &context.store.nodes()?),
        _ => iface::list(&ifaces),
    })
}

fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let (_, found) = read(context, name)?;
    if context.json() {
        return context.out(&json::records(&[found], false));
    }
    context.out(&record::dump(&found, false))
}

fn read(context: &Context, name: &str) -> Result<(IfaceName, Record), Failure> {
    let name: IfaceName = name.parse()?;
    let record = context.store.iface(&name)?;
    Ok((name, record))
}

fn new(context: &Context, name: &str, changes: &Changes) -> Result<(), Failure> {
    let name: IfaceName = name.parse()?;
    refuse_in_use(context, &name)?;
    context.store.new_iface(&name, changes).map_err(|error| not_done(context, "create new interface", &name, error))?;
    context.say(&format!("{name} updated."))?;
    context.say(&format!("New interface {name} added"))
}

/// Sets keys. What a session was set up with is not changed under it.
fn update(context: &Context, name: &str, changes: &Changes) -> Result<(), Failure> {
    let name: IfaceName = name.parse()?;
    if changes.iter().any(|(key, _)| key == "iface.transport_name") {
        refuse_in_use(context, &name)?;
    }
    context.store.update_iface(&name, changes).map_err(|error| not_done(context, "update iface", &name, error))?;
    context.say(&format!("{name} updated."))
}

fn delete(context: &Context, name: &str) -> Result<(), Failure> {
    let name: IfaceName = name.parse()?;
    let deleted = context.store.delete_iface(&name, &select::in_use(context)?).map_err(|error| match error {
        // The number that scripts know for it is not that of a missing record.
        DbError::NoIface(_) => {
            let Failure { message, .. } = error.into();
            context.warn(&message);
            Failure::invalid(format!("Could not delete iface {name}: {}", Exit::Invalid.text()))
        }
        error => error.into(),
    })?;
    if !deleted.in_use.is_empty() {
        return Err(in_use(&name));
    }
    context.say(&format!("{name} unbound and deleted."))
}

fn not_done(context: &Context, what: &str, name: &IfaceName, error: DbError) -> Failure {
    let exit = told(context, error).exit;
    Failure::new(exit, format!("Could not {what} {name}: {}", exit.text()))
}

fn refuse_in_use(context: &Context, name: &IfaceName) -> Result<(), Failure> {
    let used = select::in_use(context)?.iter().any(|id| id.iface == *name);
    if used { Err(in_use(name)) } else { Ok(()) }
}

fn in_use(name: &IfaceName) -> Failure {
    let exit = Exit::SessionExists;
    Failure::new(exit, format!("Sessions use the iface {name}: log out of them first. {}", exit.text()))
}

/// Without offload the system configures the network.
const NOTHING: &str = "Nothing to configure.";

fn apply(context: &Context, name: &str) -> Result<(), Failure> {
    let name: IfaceName = name.parse()?;
    context.store.iface(&name).map_err(|error| match error {
        DbError::NoIface(_) => {
            let exit = Exit::Database;
            Failure::new(exit, format!("Could not read iface {name} ({}).", exit.code()))
        }
        error => error.into(),
    })?;
    context.warn(NOTHING);
    context.say(&format!("{name} applied."))
}

fn apply_all(context: &Context, host: &HostRef) -> Result<(), Failure> {
    let HostRef::Number(number) = host else { return Err(Failure::invalid("Could not match MAC to host.")) };
    context.warn(NOTHING);
    context.say(&format!("Applied settings to ifaces attached to host{number}."))
}
