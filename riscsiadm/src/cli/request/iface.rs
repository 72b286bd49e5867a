//! `-m iface`.

use super::super::args::{Args, HostRef};
use super::super::op::Op;
use super::super::refusal::Refusal;
use super::super::setting::Setting;
use super::{one_iface, settings_or};
use crate::exit::Exit;

/// Interfaces that always exist and are not stored.
const SPECIAL: [&str; 2] = ["default", "iser"];

/// What `-m iface` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Iface {
    /// List interfaces.
    List {
        /// Which interface; all without one. Only a tree can be of one.
        name: Option<String>,
        /// As a tree, with the nodes that are bound to each interface.
        tree: bool,
    },
    /// Print the record of an interface.
    Show {
        /// Its name.
        name: String,
    },
    /// Create a record, or set an existing one back to the defaults.
    New {
        /// Its name, none of those that always exist.
        name: String,
        /// Keys that differ from the defaults. May be empty.
        settings: Vec<Setting>,
    },
    /// Change a record, and the node records that are bound to the interface.
    Update {
        /// Its name, none of those that always exist.
        name: String,
        /// At least one.
        settings: Vec<Setting>,
    },
    /// Delete a record, and the node records that are bound to the interface.
    Delete {
        /// Its name, none of those that always exist.
        name: String,
    },
    /// Apply network settings to the host adapter.
    Apply {
        /// The interface.
        name: String,
    },
    /// Apply the network settings of all interfaces of a host adapter.
    ApplyAll {
        /// The host adapter.
        host: HostRef,
    },
    /// Send pings from a host adapter.
    Ping(Ping),
}

/// `-C ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The interface to send from.
    pub name: String,
    /// Where to: an address or a host name.
    pub address: String,
    /// Bytes per packet, at least 1. Default 32.
    pub size: u32,
    /// Number of packets, at least 1. Default 1.
    pub count: u32,
    /// Seconds between packets. Default 0.
    pub interval: u32,
}

pub(super) fn interpret(args: &Args, warnings: &mut Vec<String>) -> Result<Iface, Refusal> {
    let name = one_iface(args, "iface", warnings);
    match args.submode.as_deref() {
        Some("ping") => return ping(args, name),
        Some(_) => return Err(Refusal::invalid("Invalid Sub Mode")),
        None => {}
    }
    match (args.ops.single(), name) {
        (Some(Op::New), Some(name)) => new(args, name),
        (Some(Op::New), None) => Err(Refusal::new(Exit::Sysfs, "Could not add interface. No interface passed in.")),
        (Some(Op::Update), name) => update(args, name),
        (Some(Op::Delete), Some(name)) => delete(name),
        (Some(Op::Delete), None) => Err(Refusal::invalid("Could not delete interface. No interface passed in.")),
        (Some(Op::Apply), Some(name)) => Ok(Iface::Apply { name }),
        (Some(Op::Apply), None) => Err(Refusal::invalid("Apply requires iface.")),
        (Some(Op::ApplyAll), _) => apply_all(args),
        (Some(Op::Show), name) => list_or_show(args, name),
        (None, name) if args.ops.is_empty() => list_or_show(args, name),
        _ => Err(Refusal::invalid("operation is not supported.")),
    }
}

fn list_or_show(args: &Args, name: Option<String>) -> Result<Iface, Refusal> {
    match (args.level, name) {
        (0, Some(name)) => Ok(Iface::Show { name }),
        (level @ (0 | 1), name) => Ok(Iface::List { name, tree: level == 1 }),
        (level, _) => Err(Refusal::invalid(format!("Invalid info level {level}. Try 0 - 1."))),
    }
}

fn new(args: &Args, name: String) -> Result<Iface, Refusal> {
    if SPECIAL.contains(&name.as_str()) {
        let message = format!("iface {name} is a special interface and is not stored.");
        return Err(Refusal::invalid(message).and(format!("Could not create new interface {name}.")));
    }
    Ok(Iface::New { name, settings: args.settings() })
}

fn update(args: &Args, name: Option<String>) -> Result<Iface, Refusal> {
    let message = "Update requires name, value, and iface.";
    let settings = settings_or(args, message)?;
    let name = name.ok_or_else(|| Refusal::invalid(message))?;
    if SPECIAL.contains(&name.as_str()) {
        let message = format!("iface {name} is a special interface and cannot be modified.");
        return Err(Refusal::invalid(message).and(format!("Could not update iface {name}: invalid parameter")));
    }
    Ok(Iface::Update { name, settings })
}

fn delete(name: String) -> Result<Iface, Refusal> {
    if SPECIAL.contains(&name.as_str()) {
        let message = format!("iface {name} is a special interface and cannot be deleted.");
        return Err(Refusal::invalid(message).and(format!("Could not delete iface {name}: invalid parameter")));
    }
    Ok(Iface::Delete { name })
}

fn apply_all(args: &Args) -> Result<Iface, Refusal> {
    let host = args.host.clone().ok_or_else(|| Refusal::invalid("Applyall requires host no."))?;
    Ok(Iface::ApplyAll { host })
}

fn ping(args: &Args, name: Option<String>) -> Result<Iface, Refusal> {
    let name = name.ok_or_else(|| Refusal::invalid("Ping requires iface."))?;
    let address = args.ip.clone().filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Refusal::invalid("Ping requires destination ipaddress."))?;
    let size = number(args.packet_size.unwrap_or(32), 1, "packet size")?;
    let count = number(args.count.unwrap_or(1), 1, "number of packets to transmit")?;
    let interval = number(args.interval.unwrap_or(0), 0, "timing interval")?;
    Ok(Iface::Ping(Ping { name, address, size, count, interval }))
}

fn number(value: i64, min: u32, what: &str) -> Result<u32, Refusal> {
    let number = u32::try_from(value).ok().filter(|number| *number >= min);
    number.ok_or_else(|| Refusal::invalid(format!("Invalid {what}: {value}.")))
}
