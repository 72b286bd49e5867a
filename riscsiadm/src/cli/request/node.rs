//! `-m node`.

use iscsi_proto::name::IscsiName;

use super::super::args::Args;
use super::super::op::Op;
use super::super::portal::PortalFilter;
use super::super::program::Program;
use super::super::refusal::Refusal;
use super::super::setting::Setting;
use super::{one_iface, portal, settings_or};

/// What `-m node` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// List all records.
    List {
        /// As a tree.
        tree: bool,
    },
    /// Print whole records.
    Show {
        /// Which.
        filter: NodeFilter,
        /// Print secrets.
        reveal: bool,
    },
    /// Create a record, or set an existing one back to the defaults.
    New {
        /// The target.
        target: IscsiName,
        /// Where it is. Without a tag the portal group is unknown.
        portal: PortalFilter,
        /// The interface to bind to; `default` if none is given.
        iface: Option<String>,
        /// Keys that differ from the defaults. May be empty.
        settings: Vec<Setting>,
    },
    /// Change records.
    Update {
        /// Which.
        filter: NodeFilter,
        /// At least one. Of the `iface.` keys only `iface.transport_name` is possible.
        settings: Vec<Setting>,
    },
    /// Delete records.
    Delete {
        /// Which.
        filter: NodeFilter,
    },
    /// Log in.
    Login {
        /// To which records.
        filter: NodeFilter,
        /// Wait until the sessions are up, or have failed.
        wait: bool,
    },
    /// Log out.
    Logout {
        /// Of the sessions of which records.
        filter: NodeFilter,
    },
    /// Look for LUNs that came or went.
    Rescan {
        /// In the sessions of which records.
        filter: NodeFilter,
    },
    /// Print statistics.
    Stats {
        /// Of the sessions of which records.
        filter: NodeFilter,
    },
    /// Log in to a startup class.
    LoginAll {
        /// The class.
        class: Startup,
        /// Only records that match this as well.
        filter: NodeFilter,
        /// Wait until the sessions are up, or have failed.
        wait: bool,
    },
    /// Log out of a startup class. Sessions of the class `onboot` stay in any case.
    LogoutAll {
        /// The class, never [`Startup::OnBoot`].
        class: Startup,
        /// Only sessions that match this as well.
        filter: NodeFilter,
    },
}

/// Which records are meant. Every part that is given has to match; none given means all records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFilter {
    /// The target name as typed. Never empty.
    pub target: Option<String>,
    /// The address, with port 3260 unless given. The tag plays no part.
    pub portal: Option<PortalFilter>,
    /// The interface.
    pub iface: Option<String>,
}

/// When records are logged in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Startup {
    /// Any of the following.
    All,
    /// When the system comes up.
    Automatic,
    /// When somebody asks for it.
    Manual,
    /// Before the system comes up: the root disk.
    OnBoot,
}

impl NodeFilter {
    /// Whether all records are meant.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

impl Startup {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "automatic" => Some(Self::Automatic),
            "manual" => Some(Self::Manual),
            "onboot" => Some(Self::OnBoot),
            _ => None,
        }
    }
}

pub(super) fn interpret(args: &Args, program: &Program, warnings: &mut Vec<String>) -> Result<Node, Refusal> {
    let filter = read_filter(args, warnings)?;
    match (&args.login_all, &args.logout_all) {
        (Some(_), Some(_)) => Err(Refusal::invalid("Invalid parameters. Both loginall and logoutall passed in")),
        (Some(word), None) => {
            let class = Startup::from_word(word).ok_or_else(|| unknown_class("loginall", word, program))?;
            Ok(Node::LoginAll { class, filter, wait: !args.no_wait })
        }
        (None, Some(word)) => {
            let class = Startup::from_word(word).filter(|class| *class != Startup::OnBoot);
            let class = class.ok_or_else(|| unknown_class("logoutall", word, program))?;
            Ok(Node::LogoutAll { class, filter })
        }
        (None, None) => by_options(args, filter),
    }
}

fn by_options(args: &Args, filter: NodeFilter) -> Result<Node, Refusal> {
    let new = args.ops.single() == Some(Op::New);
    match args {
        Args { rescan: true, .. } if !new => Ok(Node::Rescan { filter }),
        Args { stats: true, .. } if !new => Ok(Node::Stats { filter }),
        Args { login: true, .. } | Args { logout: true, .. } => login_or_logout(args, filter),
        _ => on_records(args, filter),
    }
}

fn unknown_class(option: &str, word: &str, program: &Program) -> Refusal {
    Refusal::invalid(format!("Invalid {option} option {word}.")).with_hint(program)
}

fn read_filter(args: &Args, warnings: &mut Vec<String>) -> Result<NodeFilter, Refusal> {
    if args.target.as_ref().is_some_and(String::is_empty) {
        return Err(Refusal::invalid("Invalid target name '': an iSCSI name cannot be empty"));
    }
    Ok(NodeFilter { target: args.target.clone(), portal: portal(args)?, iface: one_iface(args, "node", warnings) })
}

/// Whether `-l` and `-u` go together with each other and with `-o`: never.
pub(super) fn login_conflict(login: bool, logout: bool, other: bool) -> Result<(), Refusal> {
    if login && logout {
        return Err(Refusal::invalid("Invalid parameters. Both login and logout passed in"));
    }
    if (login || logout) && other {
        return Err(Refusal::invalid("Invalid parameters. Login/logout and op passed in"));
    }
    Ok(())
}

fn login_or_logout(args: &Args, filter: NodeFilter) -> Result<Node, Refusal> {
    login_conflict(args.login, args.logout, !args.ops.is_empty())?;
    if args.logout { Ok(Node::Logout { filter }) } else { Ok(Node::Login { filter, wait: !args.no_wait }) }
}

fn on_records(args: &Args, filter: NodeFilter) -> Result<Node, Refusal> {
    match args.ops.single() {
        Some(Op::New) => new(args, filter),
        Some(Op::Update) => Ok(Node::Update { filter, settings: update_settings(args)? }),
        Some(Op::Delete) => Ok(Node::Delete { filter }),
        Some(Op::Show) => Ok(Node::Show { filter, reveal: args.show }),
        None if args.ops.is_empty() => list_or_show(args, filter),
        _ => Err(Refusal::invalid("operation is not supported.")),
    }
}

fn list_or_show(args: &Args, filter: NodeFilter) -> Result<Node, Refusal> {
    match args.level {
        _ if !filter.is_all() => Ok(Node::Show { filter, reveal: args.show }),
        0 => Ok(Node::List { tree: false }),
        1 => Ok(Node::List { tree: true }),
        level => Err(Refusal::invalid(format!("Invalid info level {level}. Try 0 or 1."))),
    }
}

fn new(args: &Args, filter: NodeFilter) -> Result<Node, Refusal> {
    let (Some(target), Some(portal)) = (filter.target, filter.portal) else {
        return Err(Refusal::invalid("Error while adding record: it needs a target name (-T) and a portal (-p)."));
    };
    let invalid = |error| Refusal::invalid(format!("Invalid target name '{target}': {error}"));
    let target = IscsiName::new(&target).map_err(invalid)?;
    let settings = args.settings();
    refuse_iface_keys(&settings)?;
    Ok(Node::New { target, portal, iface: filter.iface, settings })
}

/// The settings of `-o update`.
pub(super) fn update_settings(args: &Args) -> Result<Vec<Setting>, Refusal> {
    let settings = settings_or(args, "update requires name and value")?;
    refuse_iface_keys(&settings)?;
    Ok(settings)
}

fn refuse_iface_keys(settings: &[Setting]) -> Result<(), Refusal> {
    let wrong = |name: &str| name.starts_with("iface.") && name != "iface.transport_name";
    match settings.iter().find(|setting| wrong(&setting.name)) {
        Some(Setting { name, .. }) => {
            Err(Refusal::invalid(format!("Cannot modify {name}. Use iface mode to update this value.")))
        }
        None => Ok(()),
    }
}
