//! The one table of the options that go with `-m`.
//!
//! The parser, the help, the completions and the manual pages all read it.

/// Names an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is one row of the table below, which describes it")]
pub enum Id {
    Mode,
    Portal,
    Target,
    Interface,
    Op,
    Kind,
    Name,
    Value,
    Host,
    Sid,
    Rescan,
    Print,
    Discover,
    Login,
    LoginAll,
    Logout,
    LogoutAll,
    Stats,
    StopDaemon,
    Debug,
    Show,
    Version,
    Help,
    Submode,
    Ip,
    PacketSize,
    Count,
    Interval,
    Index,
    PortalType,
    NoWait,
    Json,
    Timeout,
    Trace,
    SecretFile,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Which option this is.
    pub id: Id,
    /// The letter after one dash. The options that iscsiadm does not know have none.
    pub short: Option<char>,
    /// The word after two dashes.
    pub long: &'static str,
    /// What the argument is called, for an option that takes one.
    pub argument: Option<&'static str>,
    /// The words that the argument may be, where they are few.
    pub words: &'static [&'static str],
    /// One line of help.
    pub help: &'static str,
}

impl Opt {
    /// Whether this is an option of ours that iscsiadm does not know. Such options go with every mode and are never
    /// abbreviated, so that every abbreviation keeps the meaning that it has in iscsiadm.
    pub const fn is_extension(&self) -> bool {
        self.short.is_none()
    }

    /// The row of `id`.
    pub fn get(id: Id) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.id == id)
    }
}

const fn row(
    id: Id,
    short: char,
    long: &'static str,
    argument: Option<&'static str>,
    words: &'static [&'static str],
    help: &'static str,
) -> Opt {
    Opt { id, short: Some(short), long, argument, words, help }
}

const fn flag(id: Id, short: char, long: &'static str, help: &'static str) -> Opt {
    row(id, short, long, None, &[], help)
}

const fn takes(id: Id, short: char, long: &'static str, argument: &'static str, help: &'static str) -> Opt {
    row(id, short, long, Some(argument), &[], help)
}

const fn ours(id: Id, long: &'static str, argument: Option<&'static str>, help: &'static str) -> Opt {
    Opt { id, short: None, long, argument, words: &[], help }
}

/// Every option, in the order in which the message about an ambiguous abbreviation names them.
pub const OPTIONS: &[Opt] = &[
    row(
        Id::Mode,
        'm',
        "mode",
        Some("MODE"),
        &["discovery", "discoverydb", "node", "session", "iface", "host", "fw"],
        "what the command is about",
    ),
    takes(Id::Portal, 'p', "portal", "PORTAL", "portal: HOST[:PORT][,TAG], IPv6 in brackets; port 3260"),
    takes(Id::Target, 'T', "targetname", "NAME", "target name: iqn., eui. or naa."),
    takes(Id::Interface, 'I', "interface", "IFACE", "interface record; may repeat in discovery"),
    row(
        Id::Op,
        'o',
        "op",
        Some("OP"),
        &["new", "delete", "update", "show", "nonpersistent", "apply", "applyall", "login", "logout"],
        "operation on records",
    ),
    row(Id::Kind, 't', "type", Some("TYPE"), &["sendtargets", "st", "isns", "fw"], "discovery type"),
    takes(Id::Name, 'n', "name", "KEY", "record key, goes with -v; pairs may repeat"),
    takes(Id::Value, 'v', "value", "VALUE", "value of the key"),
    takes(Id::Host, 'H', "host", "HOST", "host adapter: number or MAC address"),
    takes(Id::Sid, 'r', "sid", "SID", "session: id or sysfs path"),
    flag(Id::Rescan, 'R', "rescan", "look for LUNs that came or went"),
    takes(Id::Print, 'P', "print", "LEVEL", "how much to print: 0, 1, ..."),
    flag(Id::Discover, 'D', "discover", "discover with the stored record"),
    flag(Id::Login, 'l', "login", "log in"),
    row(
        Id::LoginAll,
        'L',
        "loginall",
        Some("CLASS"),
        &["all", "automatic", "manual", "onboot"],
        "log in to the records of a startup class",
    ),
    flag(Id::Logout, 'u', "logout", "log out"),
    row(
        Id::LogoutAll,
        'U',
        "logoutall",
        Some("CLASS"),
        &["all", "automatic", "manual"],
        "log out of the sessions of a startup class",
    ),
    flag(Id::Stats, 's', "stats", "statistics of sessions"),
    takes(Id::StopDaemon, 'k', "killiscsid", "PRIORITY", "stop the daemon; the priority is 0"),
    takes(Id::Debug, 'd', "debug", "LEVEL", "messages on standard error: 0 (none) to 8 (all)"),
    flag(Id::Show, 'S', "show", "print secrets instead of stars"),
    flag(Id::Version, 'V', "version", "print the version"),
    flag(Id::Help, 'h', "help", "print this help"),
    row(
        Id::Submode,
        'C',
        "submode",
        Some("SUBMODE"),
        &["ping", "chap", "flashnode", "stats"],
        "ping (iface mode), chap, flashnode, stats (host mode)",
    ),
    takes(Id::Ip, 'a', "ip", "ADDRESS", "ping: where to"),
    takes(Id::PacketSize, 'b', "packetsize", "BYTES", "ping: size of a packet, default 32"),
    takes(Id::Count, 'c', "count", "N", "ping: number of packets, default 1"),
    takes(Id::Interval, 'i', "interval", "SECONDS", "ping: pause between packets, default 0"),
    takes(Id::Index, 'x', "index", "N", "index of a CHAP entry or a flash node"),
    row(Id::PortalType, 'A', "portal_type", Some("TYPE"), &["ipv4", "ipv6"], "address family of a new flash node"),
    flag(Id::NoWait, 'W', "no_wait", "do not wait for the login"),
    ours(Id::Json, "json", None, "print JSON instead of text"),
    ours(Id::Timeout, "timeout", Some("TIME"), "give up after: 15, 500ms, 2m; a plain number is seconds"),
    ours(Id::Trace, "trace", Some("FILE"), "write what goes over the wire as pcapng, without secrets"),
    ours(Id::SecretFile, "secret-file", Some("FILE"), "read secrets: line 1 ours, line 2 the target's"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_unique() {
        let ids: HashSet<_> = OPTIONS.iter().map(|option| option.id).collect();
        let longs: HashSet<_> = OPTIONS.iter().map(|option| option.long).collect();
        let shorts: HashSet<_> = OPTIONS.iter().filter_map(|option| option.short).collect();
        assert_eq!((ids.len(), longs.len(), shorts.len()), (35, 35, 31));
        assert!(OPTIONS.iter().all(|option| Opt::get(option.id).is_some_and(|found| found.long == option.long)));
    }

    #[test]
    fn only_our_own_options_have_no_letter() {
        let ours: Vec<_> = OPTIONS.iter().filter(|option| option.is_extension()).map(|option| option.long).collect();
        assert_eq!(ours, ["json", "timeout", "trace", "secret-file"]);
    }

    #[test]
    fn a_line_of_help_is_short() {
        for option in OPTIONS {
            assert!((1..=62).contains(&option.help.len()), "{}", option.long);
        }
    }
}
