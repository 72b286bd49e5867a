//! What a command line with `-m` means: one variant per mode and operation.
//!
//! Everything that can be refused without looking at a file, a socket or a clock is refused here, in the words and with
//! the exit codes of iscsiadm. Where several options compete, the winner is the one that wins in iscsiadm.

mod discovery;
mod firmware;
mod host;
mod iface;
mod node;
mod session;

use super::args::{Args, NO_MODE};
use super::mode::Mode;
use super::portal::PortalFilter;
use super::program::Program;
use super::refusal::Refusal;
use super::setting::Setting;

pub use discovery::{Discovery, DiscoveryDb, RecordUse, Run, Source, Writes};
pub use firmware::Firmware;
pub use host::{Chap, Family, Flashnode, Host};
pub use iface::{Iface, Ping};
pub use node::{Node, NodeFilter, Startup};
pub use session::Session;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `-m discovery`.
    Discovery(Discovery),
    /// `-m discoverydb`.
    DiscoveryDb(DiscoveryDb),
    /// `-m node`.
    Node(Node),
    /// `-m session`.
    Session(Session),
    /// `-m iface`.
    Iface(Iface),
    /// `-m host`.
    Host(Host),
    /// `-m fw`.
    Firmware(Firmware),
    /// `-k 0`: end the daemon.
    StopDaemon,
}

/// Works out what `args` mean. Texts that go to standard error although the command goes on are added to `warnings`.
pub fn interpret(args: &Args, program: &Program, warnings: &mut Vec<String>) -> Result<Request, Refusal> {
    let Some(mode) = args.mode else { return without_mode(args, program) };
    match mode {
        Mode::Discovery => discovery::interpret(args).map(Request::Discovery),
        Mode::DiscoveryDb => discovery::interpret_db(args).map(Request::DiscoveryDb),
        Mode::Node => node::interpret(args, program, warnings).map(Request::Node),
        Mode::Session => session::interpret(args).map(Request::Session),
        Mode::Iface => iface::interpret(args, warnings).map(Request::Iface),
        Mode::Host => host::interpret(args).map(Request::Host),
        Mode::Firmware => Ok(Request::Firmware(firmware::interpret(args))),
    }
}

fn without_mode(args: &Args, program: &Program) -> Result<Request, Refusal> {
    if let Some(fault) = args.fault(program) {
        return Err(fault);
    }
    let Some(priority) = &args.stop else {
        return Err(Refusal::invalid(NO_MODE).with_hint(program));
    };
    if priority.parse() == Ok(0) {
        return Ok(Request::StopDaemon);
    }
    Err(Refusal::invalid(format!("Invalid iscsid priority {priority}. Priority must be 0.")))
}

/// The portal of `-p`, if it was given.
fn portal(args: &Args) -> Result<Option<PortalFilter>, Refusal> {
    let Some(text) = &args.portal else { return Ok(None) };
    let invalid = |error| Refusal::invalid(format!("Invalid portal '{text}': {error}"));
    PortalFilter::new(text).map(Some).map_err(invalid)
}

/// The settings of `-n` and `-v`, of which there has to be at least one.
fn settings_or(args: &Args, message: &str) -> Result<Vec<Setting>, Refusal> {
    let settings = args.settings();
    if settings.is_empty() { Err(Refusal::invalid(message)) } else { Ok(settings) }
}

/// The first interface of `-I`, with a warning if there are more.
fn one_iface(args: &Args, mode: &str, warnings: &mut Vec<String>) -> Option<String> {
    let first = args.ifaces.first()?;
    if args.ifaces.len() > 1 {
        warnings.push(format!("{mode} mode only accepts one interface. Using the first one {first}."));
    }
    Some(first.clone())
}
