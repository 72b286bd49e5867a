//! Hosts. In user space each session is a host of its own.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::session::{IfaceView, Level, SessionView, banner, body};
use super::{escape, or_empty};

/// All that is printed about one host.
#[derive(Clone, Debug)]
pub struct HostView {
    /// Its number.
    pub number: u32,
    /// `running`, or what is wrong.
    pub state: String,
    /// What it is bound to; the name is not printed.
    pub iface: IfaceView,
    /// Its sessions.
    pub sessions: Vec<SessionView>,
}

/// `TRANSPORT: [NUMBER] IPADDRESS,[HWADDRESS],NETDEV INITIATORNAME`, one line a host.
pub fn list(hosts: &[HostView]) -> String {
    let mut text = String::new();
    for HostView { number, iface, .. } in hosts {
        let [transport, initiator, address, mac, netdev] = fields(iface);
        let _ = writeln!(text, "{transport}: [{number}] {address},[{mac}],{netdev} {initiator}");
    }
    text
}

/// Hosts in full; with a level, their sessions as well. `show` reveals secrets.
pub fn tree(hosts: &[HostView], level: Option<Level>, show: bool, transport_class: Option<&str>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    if level == Some(Level::Devices) {
        text.push_str(&banner(transport_class));
    }
    for host in hosts {
        one(&mut text, host);
        if let Some(level) = level.filter(|_| !host.sessions.is_empty()) {
            sessions(&mut text, host, level, show);
        }
    }
    text
}

fn one(text: &mut String, host: &HostView) {
    let [transport, initiator, address, mac, netdev] = fields(&host.iface);
    let _ = writeln!(text, "Host Number: {}", host.number);
    for (name, value) in [
        ("State", &*escape(&host.state)),
        ("Transport", &transport),
        ("Initiatorname", &initiator),
        ("IPaddress", &address),
        ("HWaddress", &mac),
        ("Netdev", &netdev),
    ] {
        let _ = writeln!(text, "\t{name}: {value}");
    }
}

fn fields(iface: &IfaceView) -> [String; 5] {
    [&iface.transport, &iface.initiator_name, &iface.ipaddress, &iface.hwaddress, &iface.netdev]
        .map(|text| or_empty(text).into_owned())
}

fn sessions(text: &mut String, host: &HostView, level: Level, show: bool) {
    text.push_str("\t*********\n\tSessions:\n\t*********\n");
    let mut inner = Zeroizing::new(String::new());
    body(&mut inner, &host.sessions, level, show);
    for line in inner.lines() {
        let _ = writeln!(text, "{}{line}", if line.is_empty() { "" } else { "\t" });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::session::tests::session;
    use super::*;

    pub(in crate::output) fn host() -> HostView {
        let session = session(1, "disk1", "10.0.0.1:3260,1");
        HostView { number: 7, state: "running".to_owned(), iface: session.iface.clone(), sessions: vec![session] }
    }

    const HOST: &str = "Host Number: 7\n\tState: running\n\tTransport: tcp\n\
        \tInitiatorname: iqn.2001-04.com.example:host1\n\tIPaddress: 10.0.0.2\n\tHWaddress: <empty>\n\tNetdev: <empty>\n";

    #[test]
    fn a_list_has_one_line_a_host() {
        let mut bound = host();
        bound.number = 8;
        bound.iface.hwaddress = "00:11:22:33:44:55".to_owned();
        bound.iface.netdev = "eth0".to_owned();
        assert_eq!(
            list(&[host(), bound]),
            "tcp: [7] 10.0.0.2,[<empty>],<empty> iqn.2001-04.com.example:host1\n\
             tcp: [8] 10.0.0.2,[00:11:22:33:44:55],eth0 iqn.2001-04.com.example:host1\n"
        );
    }

    #[test]
    fn a_tree_holds_the_tree_of_its_sessions_one_tab_further_in() {
        assert_eq!(*tree(&[host()], None, false, None), HOST);
        for (level, first) in [(Level::Connections, ""), (Level::Params, ""), (Level::Devices, "version 2.1.11\n")] {
            let text = tree(&[host()], Some(level), false, None);
            let inner = super::super::session::tree(&host().sessions, level, false, None);
            let inner = inner.strip_prefix(first).unwrap().replace("\n\t", "\n\t\t");
            assert_eq!(*text, format!("{first}{HOST}\t*********\n\tSessions:\n\t*********\n\t{inner}"));
        }
    }

    #[test]
    fn a_host_without_sessions_has_no_heading_for_them() {
        let idle = HostView { sessions: Vec::new(), ..host() };
        assert_eq!(*tree(&[idle], Some(Level::Params), false, None), HOST);
    }
}
