//! `-m fw`: what the boot firmware knows, and logging in to it.

use iscsi_proto::portal::{Host, Portal, TargetAddress};
use zeroize::Zeroizing;

use super::login::{self, Login};
use super::setting::{Changes, changes, check, told};
use super::{Context, select};
use crate::cli::request::Firmware;
use crate::db::keys::Scope;
use crate::db::node::{IfaceName, NodeId, Source};
use crate::db::store::{Found, Policy, Settings};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::firmware::{self, BootTarget, ChapType};
use crate::output::json;

const NONE: &str = "Could not get list of targets from firmware.";
/// The portal group of a target, of which the table says nothing.
const GROUP: u16 = 1;
/// What a session that the system may run from has instead of the defaults: it is not given up early.
const PATIENT: [(&str, &str); 3] = [
    ("node.session.initial_login_retry_max", "30"),
    ("node.conn[0].timeo.noop_out_interval", "0"),
    ("node.conn[0].timeo.noop_out_timeout", "0"),
];

pub(super) fn run(context: &Context, request: Firmware) -> Result<(), Failure> {
    match request {
        Firmware::Show => show(context),
        Firmware::Login { settings, wait } => log_in(context, &changes(context, &settings)?, wait),
    }
}

fn show(context: &Context) -> Result<(), Failure> {
    let targets = targets()?;
    context.out(&if context.json() { json::firmware(&targets) } else { firmware::records(&targets) })
}

/// Sessions belong to records, so the targets get records as by discovery.
fn log_in(context: &Context, changes: &Changes, wait: bool) -> Result<(), Failure> {
    check(Scope::Node, changes).map_err(|error| told(context, error))?;
    let mut found = found(context, &targets()?);
    for found in &mut found {
        found.defaults.0.extend(PATIENT.map(|(key, value)| (key, Zeroizing::new(value.to_owned()))));
    }
    let policy = Policy { new: true, update: true, ..Policy::default() };
    let (source, ifaces) = (Source::Firmware, [IfaceName::default_iface()]);
    let done = context.store.add_discovered(&source, &found, &ifaces, policy, &select::in_use(context)?)?;
    let nodes: Vec<NodeId> = done.nodes.into_iter().map(|(id, _)| id).collect();
    if nodes.is_empty() {
        return Err(Failure::new(Exit::NothingFound, NONE));
    }
    for id in nodes.iter().filter(|_| !changes.is_empty()) {
        context.store.update_node(id, changes).map_err(|error| told(context, error))?;
    }
    login::login(context, &nodes, Login { wait, additional: false })
}

/// The targets of the firmware; never none.
pub(super) fn targets() -> Result<Vec<BootTarget>, Failure> {
    let read = firmware::targets(&firmware::sysfs());
    match read.map_err(|error| Failure::new(Exit::Sysfs, format!("{NONE} {error}")))? {
        None => Err(Failure::new(Exit::Sysfs, NONE)),
        Some(targets) if targets.is_empty() => Err(Failure::new(Exit::NothingFound, NONE)),
        Some(targets) => Ok(targets),
    }
}

/// The targets as a discovery finds them. What cannot be a target is named and left out.
pub(super) fn found(context: &Context, targets: &[BootTarget]) -> Vec<Found> {
    targets.iter().filter_map(|target| one(target).map_err(|error| context.warn(&error)).ok()).collect()
}

fn one(target: &BootTarget) -> Result<Found, String> {
    let left_out = |error: &dyn std::fmt::Display| format!("left out {} of the firmware: {error}", target.name);
    let name = target.name.parse().map_err(|error| left_out(&error))?;
    let host: Host = target.address.parse().map_err(|error| left_out(&error))?;
    let port = Some(target.port).filter(|&port| port != 0).ok_or_else(|| left_out(&"its port is 0"))?;
    let address = TargetAddress::new(Portal::new(host, port), Some(GROUP));
    let on_boot = ["node.startup", "node.conn[0].startup"].map(|key| (key, Zeroizing::new("onboot".to_owned())));
    let (defaults, facts) = (Settings(on_boot.into()), Settings(facts(target)?));
    Ok(Found { defaults, facts, ..Found::new(name, vec![address]) })
}

/// Who the firmware was, and how it proved that.
fn facts(target: &BootTarget) -> Result<Vec<(&'static str, Zeroizing<String>)>, String> {
    let mut facts = Vec::new();
    if let Some(name) = &target.initiator {
        name.parse::<iscsi_proto::name::IscsiName>()
            .map_err(|error| format!("left out {} of the firmware: {error}", target.name))?;
        facts.push(("iface.initiatorname", Zeroizing::new(name.clone())));
    }
    let one_way = ["node.session.auth.username", "node.session.auth.password"];
    let reverse = ["node.session.auth.username_in", "node.session.auth.password_in"];
    let chap = (target.chap_type != ChapType::None).then_some((one_way, &target.chap));
    let mutual = matches!(target.chap_type, ChapType::Mutual | ChapType::Unknown).then_some((reverse, &target.reverse));
    for ([user_key, secret_key], proof) in chap.into_iter().chain(mutual) {
        if let (Some(user), Some(secret)) = (&proof.user, &proof.secret) {
            facts.push((user_key, Zeroizing::new(user.clone())));
            facts.push((secret_key, secret.clone()));
        }
    }
    Ok(facts)
}
