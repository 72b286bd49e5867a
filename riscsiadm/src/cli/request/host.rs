//! `-m host`.

use super::super::args::{Args, HostRef};
use super::super::op::Op;
use super::super::refusal::Refusal;
use super::super::setting::Setting;
use super::settings_or;

const MAX_LEVEL: u32 = 4;

/// What `-m host` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// List all host adapters.
    List {
        /// 0 (flat) to 4.
        level: u32,
    },
    /// The CHAP table of a host adapter.
    Chap {
        /// The host adapter.
        host: HostRef,
        /// What to do.
        action: Chap,
    },
    /// The flash nodes of a host adapter.
    Flashnode {
        /// The host adapter.
        host: HostRef,
        /// What to do.
        action: Flashnode,
    },
    /// Print the statistics of a host adapter.
    Stats {
        /// The host adapter.
        host: HostRef,
    },
}

/// What to do with a CHAP table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chap {
    /// Print it.
    Show,
    /// Add or change an entry.
    Set {
        /// The entry; without one the host adapter takes a free one.
        index: Option<u16>,
        /// User names and passwords. At least one.
        settings: Vec<Setting>,
    },
    /// Delete an entry.
    Delete {
        /// The entry.
        index: u16,
    },
}

/// What to do with flash nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flashnode {
    /// List all, or print one.
    Show {
        /// The one.
        index: Option<u16>,
    },
    /// Create one.
    New {
        /// Its address family.
        family: Family,
    },
    /// Change one.
    Update {
        /// Which.
        index: u16,
        /// At least one.
        settings: Vec<Setting>,
    },
    /// Delete one.
    Delete {
        /// Which.
        index: u16,
    },
    /// Log in to one.
    Login {
        /// Which.
        index: u16,
    },
    /// Log out of one.
    Logout {
        /// Which.
        index: u16,
    },
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

pub(super) fn interpret(args: &Args) -> Result<Host, Refusal> {
    match args.submode.as_deref() {
        Some("chap") => chap(args),
        Some("flashnode") => {
            let host = host(args, "Flashnode mode requires host no")?;
            Ok(Host::Flashnode { host, action: flashnode(args)? })
        }
        Some("stats") => Ok(Host::Stats { host: host(args, "Stats mode requires host no")? }),
        Some(_) => Err(Refusal::invalid("Invalid Sub Mode")),
        None if args.level > MAX_LEVEL => {
            Err(Refusal::invalid(format!("Invalid info level {}. Try 0 - {MAX_LEVEL}.", args.level)))
        }
        None => Ok(Host::List { level: args.level }),
    }
}

fn host(args: &Args, message: &str) -> Result<HostRef, Refusal> {
    args.host.clone().ok_or_else(|| Refusal::invalid(message))
}

fn chap(args: &Args) -> Result<Host, Refusal> {
    let message = "CHAP mode requires host no and valid operation";
    let host = host(args, message)?;
    let index = read_index(args, "Invalid chap table index.");
    let action = match args.ops.single() {
        Some(Op::Show) => Chap::Show,
        Some(Op::New | Op::Update) => {
            let settings = settings_or(args, "Chap username/password not provided.")?;
            Chap::Set { index: index?, settings }
        }
        Some(Op::Delete) => {
            let index = index?.ok_or_else(|| Refusal::invalid("Invalid chap table index."))?;
            Chap::Delete { index }
        }
        None if args.ops.is_empty() => return Err(Refusal::invalid(message)),
        _ => return Err(Refusal::invalid("Invalid operation.")),
    };
    Ok(Host::Chap { host, action })
}

fn flashnode(args: &Args) -> Result<Flashnode, Refusal> {
    let message = "Invalid flashnode index";
    let index = read_index(args, message)?;
    let op = match (args.ops.single(), args.ops.is_empty()) {
        (None, true) | (Some(Op::Show), _) => return Ok(Flashnode::Show { index }),
        (Some(Op::New), _) => return Ok(Flashnode::New { family: family(args)? }),
        (op, _) => op,
    };
    let index = index.ok_or_else(|| Refusal::invalid(message))?;
    match op {
        Some(Op::Delete) => Ok(Flashnode::Delete { index }),
        Some(Op::Login) => Ok(Flashnode::Login { index }),
        Some(Op::Logout) => Ok(Flashnode::Logout { index }),
        Some(Op::Update) => {
            let settings = settings_or(args, "update requires name and value")?;
            Ok(Flashnode::Update { index, settings })
        }
        _ => Err(Refusal::invalid("Invalid operation")),
    }
}

fn family(args: &Args) -> Result<Family, Refusal> {
    match args.portal_type.as_deref() {
        Some("ipv4") => Ok(Family::V4),
        Some("ipv6") => Ok(Family::V6),
        _ => Err(Refusal::invalid("Invalid type mentioned for flashnode")),
    }
}

fn read_index(args: &Args, message: &str) -> Result<Option<u16>, Refusal> {
    let Some(text) = &args.index else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Refusal::invalid(message))
}
