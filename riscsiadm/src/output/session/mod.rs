//! Sessions: the flat list and the tree.

mod view;

use std::fmt::Write;

use zeroize::Zeroizing;

pub use view::{
    ChapView, ConnectionState, DaemonState, IfaceView, Level, LunView, Params, Scan, SessionState, SessionView,
    Timeouts,
};

use super::node::address;
use super::{EMPTY, escape, or_empty};
use crate::db::record::{STARS, VERSION};

/// `TRANSPORT: [SID] ADDRESS:PORT,TAG TARGET (non-flash)`, one line a session.
pub fn list(sessions: &[SessionView]) -> String {
    let mut text = String::new();
    for session in sessions {
        let there = address(&session.persistent.portal, session.persistent.tag);
        let (transport, target) = (or_empty(&session.transport), escape(session.target.as_written()));
        let _ = writeln!(text, "{transport}: [{}] {there} {target} ({})", session.sid, flash(session));
    }
    text
}

/// Sessions in full. `show` reveals secrets. At [`Level::Devices`] a line with the version comes first, after
/// `transport_class`, the version of the kernel's transport class, if there is one.
pub fn tree(sessions: &[SessionView], level: Level, show: bool, transport_class: Option<&str>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    if level == Level::Devices {
        text.push_str(&banner(transport_class));
    }
    body(&mut text, sessions, level, show);
    text
}

/// The lines that come before devices.
pub(super) fn banner(transport_class: Option<&str>) -> String {
    let class = transport_class
        .map_or_else(String::new, |version| format!("iSCSI Transport Class version {}\n", escape(version)));
    format!("{class}version {VERSION}\n")
}

/// The tree without its first lines.
pub(super) fn body(text: &mut String, sessions: &[SessionView], level: Level, show: bool) {
    let mut last: Option<&SessionView> = None;
    for session in sessions {
        let sibling = last.filter(|last| last.target == session.target);
        if sibling.is_none() {
            let _ = writeln!(text, "Target: {} ({})", escape(session.target.as_written()), flash(session));
        }
        portals(text, session, sibling);
        interface(text, session);
        if level >= Level::Params {
            timeouts(text, &session.timeouts);
            chap(text, &session.chap, show);
            params(text, &session.params);
        }
        if level >= Level::Devices {
            devices(text, session);
        }
        last = Some(session);
    }
}

/// A session that shares its portal with the one before it has a blank line instead.
fn portals(text: &mut String, session: &SessionView, sibling: Option<&SessionView>) {
    if sibling.is_some_and(|sibling| sibling.current.portal == session.current.portal) {
        text.push('\n');
        return;
    }
    for (name, there) in [("Current", &session.current), ("Persistent", &session.persistent)] {
        let _ = writeln!(text, "\t{name} Portal: {}", address(&there.portal, there.tag));
    }
}

fn interface(text: &mut String, session: &SessionView) {
    let iface = &session.iface;
    heading(text, "Interface", 10);
    line(text, "Iface Name", &or_empty(&iface.name));
    line(text, "Iface Transport", &or_empty(&iface.transport));
    line(text, "Iface Initiatorname", &or_empty(&iface.initiator_name));
    line(text, "Iface IPaddress", &bracketed(&iface.ipaddress));
    line(text, "Iface HWaddress", &or_default(&iface.hwaddress));
    line(text, "Iface Netdev", &or_default(&iface.netdev));
    line(text, "SID", &session.sid.to_string());
    line(text, "iSCSI Connection State", session.connection.as_str());
    line(text, "iSCSI Session State", session.state.as_str());
    line(text, "Internal iscsid Session State", session.daemon.as_str());
}

fn timeouts(text: &mut String, timeouts: &Timeouts) {
    heading(text, "Timeouts", 9);
    line(text, "Recovery Timeout", &timeouts.recovery.to_string());
    line(text, "Target Reset Timeout", &timeouts.target_reset.to_string());
    line(text, "LUN Reset Timeout", &timeouts.lun_reset.to_string());
    line(text, "Abort Timeout", &timeouts.abort.to_string());
}

fn chap(text: &mut String, chap: &ChapView, show: bool) {
    let secret = |secret: &str| Zeroizing::new(if show { or_empty(secret).into_owned() } else { STARS.to_owned() });
    heading(text, "CHAP", 5);
    line(text, "username", &or_empty(&chap.username));
    line(text, "password", &secret(&chap.password));
    line(text, "username_in", &or_empty(&chap.username_in));
    line(text, "password_in", &secret(&chap.password_in));
}

fn params(text: &mut String, params: &Params) {
    let digest = |on| if on { "CRC32C" } else { "None" };
    let yes = |on| if on { "Yes" } else { "No" };
    heading(text, "Negotiated iSCSI params", 24);
    line(text, "HeaderDigest", digest(params.header_digest));
    line(text, "DataDigest", digest(params.data_digest));
    line(text, "MaxRecvDataSegmentLength", &params.max_recv_data_segment_length.to_string());
    line(text, "MaxXmitDataSegmentLength", &params.max_xmit_data_segment_length.to_string());
    line(text, "FirstBurstLength", &params.first_burst_length.to_string());
    line(text, "MaxBurstLength", &params.max_burst_length.to_string());
    line(text, "ImmediateData", yes(params.immediate_data));
    line(text, "InitialR2T", yes(params.initial_r2t));
    line(text, "MaxOutstandingR2T", &params.max_outstanding_r2t.to_string());
    // iscsiadm never has other values, and no lines for them.
    if params.error_recovery_level != 0 {
        line(text, "ErrorRecoveryLevel", &params.error_recovery_level.to_string());
    }
    if params.max_connections != 1 {
        line(text, "MaxConnections", &params.max_connections.to_string());
    }
}

fn devices(text: &mut String, session: &SessionView) {
    heading(text, "Attached SCSI devices", 24);
    let host = session.host;
    let _ = writeln!(text, "\t\tHost Number: {host}\tState: running");
    for lun in &session.luns {
        let _ = writeln!(text, "\t\tscsi{host} Channel 00 Id 0 Lun: {}", lun.lun);
        if let Some(disk) = &lun.disk {
            let _ = writeln!(text, "\t\t\tAttached scsi disk {}\t\tState: {}", escape(disk), escape(&lun.state));
        }
    }
}

fn heading(text: &mut String, title: &str, stars: usize) {
    let stars = "*".repeat(stars);
    let _ = writeln!(text, "\t\t{stars}\n\t\t{title}:\n\t\t{stars}");
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "\t\t{name}: {value}");
}

fn flash(session: &SessionView) -> &'static str {
    if session.flash { "flash" } else { "non-flash" }
}

fn bracketed(address: &str) -> String {
    match address {
        "" => EMPTY.to_owned(),
        v6 if v6.contains(':') => format!("[{}]", escape(v6)),
        v4 => escape(v4).into_owned(),
    }
}

fn or_default(text: &str) -> String {
    if text.is_empty() { "default".to_owned() } else { escape(text).into_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use iscsi_proto::portal::TargetAddress;

    use super::*;

    pub(in crate::output) fn session(sid: u32, target: &str, portal: &str) -> SessionView {
        let there: TargetAddress = portal.parse().unwrap();
        SessionView {
            sid,
            transport: "tcp".to_owned(),
            target: format!("iqn.2001-04.com.example:{target}").parse().unwrap(),
            current: there.clone(),
            persistent: there,
            flash: false,
            iface: IfaceView {
                name: "default".to_owned(),
                transport: "tcp".to_owned(),
                initiator_name: "iqn.2001-04.com.example:host1".to_owned(),
                ipaddress: "10.0.0.2".to_owned(),
                ..IfaceView::default()
            },
            connection: ConnectionState::LoggedIn,
            state: SessionState::LoggedIn,
            daemon: DaemonState::NoChange,
            problem: None,
            timeouts: Timeouts { recovery: 120, target_reset: 30, lun_reset: 31, abort: 15 },
            chap: ChapView::default(),
            params: Params {
                header_digest: false,
                data_digest: true,
                max_recv_data_segment_length: 262_144,
                max_xmit_data_segment_length: 8192,
                first_burst_length: 65_536,
                max_burst_length: 16_776_192,
                immediate_data: true,
                initial_r2t: false,
                max_outstanding_r2t: 1,
                error_recovery_level: 0,
                max_connections: 1,
            },
            host: 7,
            luns: vec![
                LunView { lun: 0, disk: Some("sda".to_owned()), state: "running".to_owned() },
                LunView { lun: 1, disk: None, state: "running".to_owned() },
            ],
        }
    }

    const INTERFACE: &str = "\t\t**********\n\t\tInterface:\n\t\t**********\n\
        \t\tIface Name: default\n\t\tIface Transport: tcp\n\t\tIface Initiatorname: iqn.2001-04.com.example:host1\n\
        \t\tIface IPaddress: 10.0.0.2\n\t\tIface HWaddress: default\n\t\tIface Netdev: default\n\t\tSID: 1\n\
        \t\tiSCSI Connection State: LOGGED IN\n\t\tiSCSI Session State: LOGGED_IN\n\
        \t\tInternal iscsid Session State: NO CHANGE\n";

    const PARAMS: &str = "\t\t*********\n\t\tTimeouts:\n\t\t*********\n\
        \t\tRecovery Timeout: 120\n\t\tTarget Reset Timeout: 30\n\t\tLUN Reset Timeout: 31\n\t\tAbort Timeout: 15\n\
        \t\t*****\n\t\tCHAP:\n\t\t*****\n\
        \t\tusername: <empty>\n\t\tpassword: ********\n\t\tusername_in: <empty>\n\t\tpassword_in: ********\n\
        \t\t************************\n\t\tNegotiated iSCSI params:\n\t\t************************\n\
        \t\tHeaderDigest: None\n\t\tDataDigest: CRC32C\n\t\tMaxRecvDataSegmentLength: 262144\n\
        \t\tMaxXmitDataSegmentLength: 8192\n\t\tFirstBurstLength: 65536\n\t\tMaxBurstLength: 16776192\n\
        \t\tImmediateData: Yes\n\t\tInitialR2T: No\n\t\tMaxOutstandingR2T: 1\n";

    const DEVICES: &str = "\t\t************************\n\t\tAttached SCSI devices:\n\t\t************************\n\
        \t\tHost Number: 7\tState: running\n\
        \t\tscsi7 Channel 00 Id 0 Lun: 0\n\t\t\tAttached scsi disk sda\t\tState: running\n\
        \t\tscsi7 Channel 00 Id 0 Lun: 1\n";

    const PORTALS: &str = "Target: iqn.2001-04.com.example:disk1 (non-flash)\n\
        \tCurrent Portal: 10.0.0.1:3260,1\n\tPersistent Portal: 10.0.0.1:3260,1\n";

    #[test]
    fn what_iscsiadm_never_negotiates_is_shown_when_it_is_not_as_usual() {
        let mut one = session(1, "disk1", "10.0.0.1:3260,1");
        (one.params.error_recovery_level, one.params.max_connections) = (2, 4);
        let text = tree(&[one], Level::Params, false, None);
        assert!(
            text.contains("\t\tMaxOutstandingR2T: 1\n\t\tErrorRecoveryLevel: 2\n\t\tMaxConnections: 4\n"),
            "{}",
            *text
        );
    }

    #[test]
    fn a_list_line_is_what_five_clients_match() {
        let mut sessions = [
            session(1, "disk1", "10.0.0.1:3260,1"),
            session(12, "disk2", "[fd00::5]:3261,2"),
            session(3, "a", "10.0.0.1"),
        ];
        sessions[1].flash = true;
        sessions[2].transport.clear();
        assert_eq!(
            list(&sessions),
            "tcp: [1] 10.0.0.1:3260,1 iqn.2001-04.com.example:disk1 (non-flash)\n\
             tcp: [12] [fd00::5]:3261,2 iqn.2001-04.com.example:disk2 (flash)\n\
             <empty>: [3] 10.0.0.1:3260,-1 iqn.2001-04.com.example:a (non-flash)\n"
        );
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn a_list_shows_where_the_record_points() {
        let mut redirected = session(1, "disk1", "10.0.0.1:3260,1");
        redirected.current = "10.0.0.9:3260,3".parse().unwrap();
        assert!(list(&[redirected.clone()]).starts_with("tcp: [1] 10.0.0.1:3260,1 "));
        let text = tree(&[redirected], Level::Connections, false, None);
        assert!(text.contains("\tCurrent Portal: 10.0.0.9:3260,3\n\tPersistent Portal: 10.0.0.1:3260,1\n"));
    }

    #[test]
    fn each_level_adds_to_the_one_before() {
        let sessions = [session(1, "disk1", "10.0.0.1:3260,1")];
        let first = format!("{PORTALS}{INTERFACE}");
        assert_eq!(*tree(&sessions, Level::Connections, false, Some("2.0-870")), first);
        let second = format!("{first}{PARAMS}");
        assert_eq!(*tree(&sessions, Level::Params, false, Some("2.0-870")), second);
        let third = format!("version 2.1.11\n{second}{DEVICES}");
        assert_eq!(*tree(&sessions, Level::Devices, false, None), third);
        let banner = "iSCSI Transport Class version 2.0-870\n";
        assert_eq!(*tree(&sessions, Level::Devices, false, Some("2.0-870")), format!("{banner}{third}"));
    }

    #[test]
    fn sessions_of_one_target_share_its_line_and_of_one_portal_a_blank() {
        let sessions = [
            session(1, "disk1", "10.0.0.1:3260,1"),
            session(1, "disk1", "10.0.0.1:3260,1"),
            session(1, "disk1", "10.0.0.2:3260,1"),
            session(1, "disk2", "10.0.0.2:3260,1"),
        ];
        let other = PORTALS.replace("10.0.0.1", "10.0.0.2");
        let (target, portals) = other.split_at(other.find('\t').unwrap());
        let expected = format!(
            "{PORTALS}{INTERFACE}\n{INTERFACE}{portals}{INTERFACE}{}{portals}{INTERFACE}",
            target.replace("disk1", "disk2")
        );
        assert_eq!(*tree(&sessions, Level::Connections, false, None), expected);
    }

    #[test]
    fn secrets_are_stars_unless_they_are_asked_for() {
        let mut one = session(1, "disk1", "10.0.0.1:3260,1");
        one.chap = ChapView {
            username: "joe".to_owned(),
            password: Zeroizing::new("hunter2".to_owned()),
            username_in: String::new(),
            password_in: Zeroizing::new(String::new()),
        };
        let hidden = tree(&[one.clone()], Level::Params, false, None);
        assert!(hidden.contains(
            "\t\tusername: joe\n\t\tpassword: ********\n\t\tusername_in: <empty>\n\t\tpassword_in: ********\n"
        ));
        let shown = tree(&[one], Level::Params, true, None);
        assert!(shown.contains(
            "\t\tusername: joe\n\t\tpassword: hunter2\n\t\tusername_in: <empty>\n\t\tpassword_in: <empty>\n"
        ));
    }

    #[test]
    fn r302_texts_of_a_target_are_escaped() {
        let mut one = session(1, "disk1", "10.0.0.1:3260,1");
        one.iface.initiator_name = "a\u{1b}[2J".to_owned();
        one.luns[0].disk = Some("sd\na".to_owned());
        let text = tree(&[one], Level::Devices, false, None);
        assert!(text.contains("Iface Initiatorname: a\\x1b[2J\n"), "{}", *text);
        assert!(text.contains("disk sd\\x0aa\t"), "{}", *text);
    }

    #[test]
    fn an_interface_shows_what_it_is_bound_by() {
        let mut one = session(1, "disk1", "10.0.0.1:3260,1");
        one.iface.ipaddress = "fd00::9".to_owned();
        one.iface.hwaddress = "00:11:22:33:44:55".to_owned();
        one.iface.netdev = "eth0".to_owned();
        let text = tree(&[one.clone()], Level::Connections, false, None);
        assert!(text.contains(
            "\t\tIface IPaddress: [fd00::9]\n\t\tIface HWaddress: 00:11:22:33:44:55\n\t\tIface Netdev: eth0\n"
        ));
        one.iface = IfaceView::default();
        let text = tree(&[one], Level::Connections, false, None);
        assert!(text.contains("\t\tIface Name: <empty>\n\t\tIface Transport: <empty>\n\t\tIface Initiatorname: <empty>\n\t\tIface IPaddress: <empty>\n"));
    }
}
