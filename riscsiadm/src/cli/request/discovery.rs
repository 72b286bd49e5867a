//! `-m discovery` and `-m discoverydb`.

use super::super::args::{Args, Kind};
use super::super::op::{Op, Ops};
use super::super::portal::PortalFilter;
use super::super::refusal::Refusal;
use super::super::setting::Setting;
use super::{portal, settings_or};

const NO_PORTAL: &str = "Please specify portal as <ipaddr>[:<ipport>]";
const NO_ISNS_PORTAL: &str = "Please specify portal as <ipaddr>:[<ipport>]";

/// What `-m discovery` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// List the discovery records: flat at level 0, else as a tree.
    List {
        /// `-P`.
        level: u32,
    },
    /// Discover.
    Run(Run),
    /// Print the SendTargets record of a portal.
    Show {
        /// The discovery address.
        portal: PortalFilter,
        /// Print secrets.
        reveal: bool,
    },
    /// Delete the SendTargets record of a portal, with the node records that came from it.
    Delete {
        /// The discovery address.
        portal: PortalFilter,
    },
}

/// What `-m discoverydb` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryDb {
    /// List the discovery records: flat at level 0, else as a tree.
    List {
        /// `-P`.
        level: u32,
    },
    /// Discover.
    Run(Run),
    /// Print a discovery record.
    Show {
        /// Which record; never the firmware.
        source: Source,
        /// Print secrets.
        reveal: bool,
    },
    /// Create a discovery record, or set an existing one back to the defaults.
    New {
        /// Which record; never the firmware.
        source: Source,
        /// Keys that differ from the defaults. May be empty.
        settings: Vec<Setting>,
    },
    /// Change a discovery record.
    Update {
        /// Which record; never the firmware.
        source: Source,
        /// At least one.
        settings: Vec<Setting>,
    },
    /// Delete a discovery record, with the node records that came from it.
    Delete {
        /// Which record; never the firmware.
        source: Source,
    },
}

/// One discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whom to ask.
    pub source: Source,
    /// Which record rules the discovery.
    pub record: RecordUse,
    /// What is written afterwards.
    pub writes: Writes,
    /// Interfaces to bind the new records to. Empty: all that the user made, else `default`.
    pub ifaces: Vec<String>,
    /// Log in to all portals that were found.
    pub login: bool,
    /// Print the result flat at level 0, else as a tree.
    pub level: u32,
}

/// Who knows the targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A portal; port 3260 unless given.
    SendTargets(PortalFilter),
    /// An iSNS server; port 3205 unless given.
    Isns(PortalFilter),
    /// The boot firmware.
    Firmware,
}

/// Which discovery record rules a discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordUse {
    /// A new one from the defaults, which replaces the stored one.
    Fresh,
    /// The stored one, which has to exist: exit code 7 without it.
    Stored,
    /// The stored one, or a new one if there is none.
    StoredOrNew,
}

/// What a discovery writes. Without any `-o` all of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writes {
    /// Store the discovery record.
    pub record: bool,
    /// Add node records that are missing.
    pub add: bool,
    /// Bring existing node records up to date.
    pub update: bool,
    /// Remove node records that this discovery address gave before and gives no more.
    pub delete: bool,
    /// An `-o` named the above, so nothing is done by default.
    pub asked: bool,
}

impl Source {
    fn needs_portal(kind: Kind, portal: Option<PortalFilter>) -> Option<Self> {
        match (kind, portal) {
            (Kind::Firmware, _) => Some(Self::Firmware),
            (Kind::SendTargets, Some(portal)) => Some(Self::SendTargets(portal)),
            (Kind::Isns, Some(portal)) => Some(Self::Isns(portal)),
            (_, None) => None,
        }
    }
}

impl Writes {
    /// What the operations ask for. Any that says nothing about node records leaves them alone.
    pub fn new(ops: Ops) -> Self {
        if ops.is_empty() {
            return Self { record: true, add: true, update: true, delete: true, asked: false };
        }
        if ops.has(Op::Nonpersistent) {
            return Self { record: false, add: false, update: false, delete: false, asked: true };
        }
        let update = ops.has(Op::Update);
        Self { record: true, add: update || ops.has(Op::New), update, delete: ops.has(Op::Delete), asked: true }
    }
}

pub(super) fn interpret(args: &Args) -> Result<Discovery, Refusal> {
    let portal = portal(args)?;
    let Some(kind) = args.kind else {
        return match portal {
            Some(portal) => by_portal(args, portal),
            None if lists(args) => Ok(Discovery::List { level: args.level }),
            None => Err(Refusal::invalid("Invalid operation.")),
        };
    };
    let message = if kind == Kind::Isns { NO_ISNS_PORTAL } else { NO_PORTAL };
    let source = Source::needs_portal(kind, portal).ok_or_else(|| Refusal::invalid(message))?;
    Ok(Discovery::Run(run(args, source, RecordUse::Fresh)))
}

/// A portal without a type: the stored record of this portal is meant.
fn by_portal(args: &Args, portal: PortalFilter) -> Result<Discovery, Refusal> {
    if args.discover || args.login {
        return Ok(Discovery::Run(run(args, Source::SendTargets(portal), RecordUse::Stored)));
    }
    match args.ops.single() {
        Some(Op::Show) => Ok(Discovery::Show { portal, reveal: args.show }),
        Some(Op::Delete) => Ok(Discovery::Delete { portal }),
        Some(Op::New | Op::Update) => Err(Refusal::invalid(
            "Operations new and update for discovery mode is not supported. Use discoverydb mode.",
        )),
        None if args.ops.is_empty() => Ok(Discovery::Show { portal, reveal: args.show }),
        _ => Err(Refusal::invalid("Invalid operation.")),
    }
}

pub(super) fn interpret_db(args: &Args) -> Result<DiscoveryDb, Refusal> {
    let portal = portal(args)?;
    let Some(kind) = args.kind else {
        return match portal {
            Some(_) if args.ops.is_empty() => {
                Err(Refusal::invalid("Invalid command. Portal not needed or Possibly missing discovery --type."))
            }
            Some(_) => Err(Refusal::invalid("Invalid command. Possibly missing discovery --type.")),
            None if lists(args) => Ok(DiscoveryDb::List { level: args.level }),
            None => Err(Refusal::invalid("Invalid operation. Operation not supported.")),
        };
    };
    if kind == Kind::Firmware && !args.discover {
        return Err(Refusal::invalid("Invalid command. Possibly missing --discover argument."));
    }
    let source = Source::needs_portal(kind, portal).ok_or_else(|| Refusal::invalid(NO_PORTAL))?;
    if args.discover {
        return Ok(DiscoveryDb::Run(run(args, source, RecordUse::StoredOrNew)));
    }
    on_record(args, source)
}

fn on_record(args: &Args, source: Source) -> Result<DiscoveryDb, Refusal> {
    let new_and_update = Ops::default().with(Op::New).with(Op::Update);
    match args.ops.single() {
        Some(Op::Show) => Ok(DiscoveryDb::Show { source, reveal: args.show }),
        Some(Op::Delete) => Ok(DiscoveryDb::Delete { source }),
        Some(Op::New) => Ok(DiscoveryDb::New { source, settings: args.settings() }),
        Some(Op::Update) => {
            let settings = settings_or(args, "Update requires name and value.")?;
            Ok(DiscoveryDb::Update { source, settings })
        }
        None if args.ops.is_empty() => Ok(DiscoveryDb::Show { source, reveal: args.show }),
        None if args.ops == new_and_update => Ok(DiscoveryDb::New { source, settings: args.settings() }),
        _ => Err(Refusal::invalid("Operation is not supported.")),
    }
}

fn lists(args: &Args) -> bool {
    args.ops.is_empty() || args.ops.single() == Some(Op::Show)
}

fn run(args: &Args, source: Source, record: RecordUse) -> Run {
    Run {
        source,
        record,
        writes: Writes::new(args.ops),
        ifaces: args.ifaces.clone(),
        login: args.login,
        level: args.level,
    }
}
