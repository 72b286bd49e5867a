//! What `-h` and `-V` print.

use clap::CommandFactory;

use super::command::Line;
use super::mode::Mode;
use super::options::{Id, OPTIONS, Opt};
use super::program::{OWN_NAME, Program};

/// The release of open-iscsi whose command line this is. Scripts compare it.
const ISCSIADM_VERSION: &str = "2.1.11";

/// What `iscsiadm -h` prints, line by line.
const USAGE: [&str; 8] = [
    "iscsiadm -m discoverydb [-hV] [-d debug_level] [-P printlevel] [-t type -p ip:port -I ifaceN ... [-Dl]] | [[-p \
     ip:port -t type] [-o operation] [-n name] [-v value] [-lD]] ",
    "iscsiadm -m discovery [-hV] [-d debug_level] [-P printlevel] [-t type -p ip:port -I ifaceN ... [-l]] | [[-p \
     ip:port] [-l | -D]] [-W]",
    "iscsiadm -m node [-hV] [-d debug_level] [-P printlevel] [-L all,manual,automatic,onboot] [-W] [-U \
     all,manual,automatic,onboot] [-S] [[-T targetname -p ip:port -I ifaceN] [-l | -u | -R | -s]] [[-o operation ] \
     [-n name] [-v value]]",
    "iscsiadm -m session [-hV] [-d debug_level] [-P printlevel] [-r sessionid | sysfsdir [-R | -u | -s] [-o \
     operation] [-n name] [-v value]]",
    "iscsiadm -m iface [-hV] [-d debug_level] [-P printlevel] [-I ifacename | -H hostno|MAC] [[-o operation ] [-n \
     name] [-v value]] [-C ping [-a ip] [-b packetsize] [-c count] [-i interval]]",
    "iscsiadm -m fw [-d debug_level] [-l] [-W] [[-n name] [-v value]]",
    "iscsiadm -m host [-P printlevel] [-H hostno|MAC] [[-C chap [-x chap_tbl_idx]] | [-C flashnode [-A portal_type] \
     [-x flashnode_idx]] | [-C stats]] [[-o operation] [-n name] [-v value]] ",
    "iscsiadm -k priority",
];

/// Options that only host adapters with their own iSCSI stack need. The short help leaves them to the manual page.
const ADAPTER_OPTIONS: [Id; 8] =
    [Id::Host, Id::Submode, Id::Ip, Id::PacketSize, Id::Count, Id::Interval, Id::Index, Id::PortalType];

const OPTION_WIDTH: usize = 26;

/// The answer to `-h`.
pub fn help(program: &Program) -> String {
    if program.is_iscsiadm() {
        return USAGE.map(|line| format!("{line}\n")).concat();
    }
    format!(
        "Usage: {OWN_NAME} COMMAND [OPTION]...     one of these commands; COMMAND --help tells more
       {OWN_NAME} -m MODE [OPTION]...     as iscsiadm, to which this program can be a link

Commands:
{}
Modes:
{}
Options of the modes:
{}  -H -C -a -b -c -i -x -A   for host adapters with an iSCSI stack of their own, see the man page

Environment:
  RISCSI_DB, RISCSI_RUN     directories of the records, and of the daemon's socket
  RISCSI_SECRET             secret for the user of a URL; the target's: RISCSI_TARGET_SECRET
",
        commands(),
        modes(),
        options()
    )
}

/// The answer to `-V`.
pub fn version(program: &Program) -> String {
    if program.is_iscsiadm() {
        return format!("iscsiadm version {ISCSIADM_VERSION}\n");
    }
    format!("{OWN_NAME} {}\n", env!("CARGO_PKG_VERSION"))
}

/// What a mode is for, and how it is called.
pub(super) const fn synopsis(mode: Mode) -> (&'static str, &'static str) {
    match mode {
        Mode::Discovery => ("ask a portal for its targets", "-t TYPE -p PORTAL [-I IFACE]... [-o OP] [-l]"),
        Mode::DiscoveryDb => ("the same, settings kept", "-t TYPE -p PORTAL [-D [-l]] [-o OP [-n KEY -v VALUE]...]"),
        Mode::Node => ("records, login, logout", "[-T NAME] [-p PORTAL] [-I IFACE] [-l|-u|-R|-s|-o OP]"),
        Mode::Session => ("running sessions", "[-r SID] [-P 0..3 | -u|-R|-s|-o OP]"),
        Mode::Iface => ("interfaces to log in through", "[-I IFACE] [-o OP [-n KEY -v VALUE]...]"),
        Mode::Host => ("host adapters", "[-P 0..4]"),
        Mode::Firmware => ("boot firmware", "[-l]"),
    }
}

/// How an option is typed, its argument included.
pub(super) fn form(option: &Opt) -> String {
    let letter = option.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let argument = option.argument.map_or_else(String::new, |argument| format!(" {argument}"));
    format!("{letter}--{}{argument}", option.long)
}

fn commands() -> String {
    let line = Line::command();
    let rows = line.get_subcommands().map(|command| {
        let operand = command.get_positionals().next().and_then(|operand| operand.get_value_names()?.first());
        let operand = operand.map_or("", |name| name.as_str());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {:<OPTION_WIDTH$}{about}\n", format!("{} {operand}", command.get_name()))
    });
    rows.collect()
}

fn modes() -> String {
    let rows = Mode::ALL.iter().map(|mode| {
        let (what, how) = synopsis(*mode);
        format!("  {:<12}{what:<30}{how}\n", mode.word())
    });
    rows.collect()
}

fn options() -> String {
    let shown = OPTIONS.iter().filter(|option| !ADAPTER_OPTIONS.contains(&option.id));
    let rows = shown.map(|option| format!("  {:<OPTION_WIDTH$}{}\n", form(option), option.help));
    rows.collect()
}
