//! Nodes: the flat list and the tree.

use std::fmt::Write;

use iscsi_proto::portal::{Host, Portal, PortalGroupTag};

use super::escape;
use crate::db::node::NodeId;
use crate::db::record::Record;

/// How a portal group that is not known is printed in a list of nodes: as C prints -1 unsigned. Callers expect digits.
const UNKNOWN_TAG: &str = "4294967295";

/// `ADDRESS:PORT,TAG TARGET`, one line a record.
pub fn flat(nodes: &[NodeId]) -> String {
    lines(nodes, UNKNOWN_TAG)
}

/// The same for the result of a discovery, which prints an unknown portal group as -1.
pub fn discovered(nodes: &[NodeId]) -> String {
    lines(nodes, "-1")
}

/// Targets, their portals, their interfaces: three lines a record, the target's line once for records that follow one
/// another.
pub fn tree(nodes: &[NodeId]) -> String {
    let mut text = String::new();
    let mut last: Option<&NodeId> = None;
    for id in nodes {
        if last.is_none_or(|last| last.target != id.target) {
            target_line(&mut text, id);
        }
        portal_line(&mut text, "\t", id);
        iface_line(&mut text, id);
        last = Some(id);
    }
    text
}

/// The tree as discovery prints it: the portal's line too stands once for records that follow one another.
pub fn grouped(nodes: &[NodeId]) -> String {
    let mut text = String::new();
    let mut last: Option<&NodeId> = None;
    for id in nodes {
        if last.is_none_or(|last| last.target != id.target) {
            target_line(&mut text, id);
        }
        if last.is_none_or(|last| !last.is_same_portal(id) || last.tag != id.tag) {
            portal_line(&mut text, "\t", id);
        }
        iface_line(&mut text, id);
        last = Some(id);
    }
    text
}

/// `ADDRESS:PORT` with an IPv6 address in brackets.
pub(super) fn portal(portal: &Portal) -> String {
    match &portal.host {
        Host::Name(name) => format!("{}:{}", escape(name), portal.port),
        _ => portal.to_string(),
    }
}

/// `ADDRESS:PORT,TAG`.
pub(super) fn address(there: &Portal, tag: Option<PortalGroupTag>) -> String {
    format!("{},{}", portal(there), tag.map_or(-1, i32::from))
}

/// `ADDRESS,PORT`, the form that messages have: no brackets.
pub fn comma(portal: &Portal) -> String {
    format!("{},{}", escape(&portal.host.to_string()), portal.port)
}

/// The line about a record that was created; `iface` is what it is bound to. Nothing stands where a value is missing.
pub fn added(id: &NodeId, iface: &Record) -> String {
    let [transport, hw, ip, net] =
        ["transport_name", "hwaddress", "ipaddress", "net_ifacename"].map(|field| iface.get(&format!("iface.{field}")));
    let (there, tag) = (comma(&id.portal), id.tag.map_or(-1, i32::from));
    let target = escape(id.target.as_written());
    let bound = format!("{transport}:[hw={hw},ip={ip},net_if={net},iscsi_if={}]", id.iface);
    format!("New iSCSI node [{} {there},{tag} {target}] added", escape(&bound))
}

/// The line about a record that cannot be deleted.
pub fn kept(id: &NodeId) -> String {
    format!(
        "This command will remove the record [iface: {}, target: {}, portal: {}], but a session is using it. \
         Logout session then rerun command to remove record.",
        id.iface,
        escape(id.target.as_written()),
        comma(&id.portal)
    )
}

/// The line of a portal in a tree.
pub(super) fn portal_line(text: &mut String, indent: &str, id: &NodeId) {
    let _ = writeln!(text, "{indent}Portal: {}", address(&id.portal, id.tag));
}

fn target_line(text: &mut String, id: &NodeId) {
    let _ = writeln!(text, "Target: {}", escape(id.target.as_written()));
}

fn iface_line(text: &mut String, id: &NodeId) {
    let _ = writeln!(text, "\t\tIface Name: {}", id.iface);
}

fn lines(nodes: &[NodeId], unknown: &str) -> String {
    let mut text = String::new();
    for id in nodes {
        let tag = id.tag.map_or_else(|| unknown.to_owned(), |tag| tag.to_string());
        let _ = writeln!(text, "{},{tag} {}", portal(&id.portal), escape(id.target.as_written()));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::output) fn id(target: &str, portal: &str, tag: Option<u16>, iface: &str) -> NodeId {
        let target = format!("iqn.2001-04.com.example:{target}").parse().unwrap();
        NodeId { target, portal: portal.parse().unwrap(), tag, iface: iface.parse().unwrap() }
    }

    fn nodes() -> Vec<NodeId> {
        vec![
            id("disk1", "10.0.0.1", Some(1), "default"),
            id("disk1", "10.0.0.1", Some(1), "if4"),
            id("disk1", "[fd00::5]:3261", Some(2), "default"),
            id("disk2", "10.0.0.2", None, "default"),
        ]
    }

    #[test]
    fn a_flat_list_has_two_words_a_line() {
        let text = "10.0.0.1:3260,1 iqn.2001-04.com.example:disk1\n\
                    10.0.0.1:3260,1 iqn.2001-04.com.example:disk1\n\
                    [fd00::5]:3261,2 iqn.2001-04.com.example:disk1\n\
                    10.0.0.2:3260,4294967295 iqn.2001-04.com.example:disk2\n";
        assert_eq!(flat(&nodes()), text);
        assert_eq!(discovered(&nodes()), text.replace("4294967295", "-1"));
        assert_eq!(flat(&[]), "");
    }

    #[test]
    fn a_tree_repeats_the_portal_for_each_interface() {
        assert_eq!(
            tree(&nodes()),
            "Target: iqn.2001-04.com.example:disk1\n\
             \tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n\
             \tPortal: 10.0.0.1:3260,1\n\t\tIface Name: if4\n\
             \tPortal: [fd00::5]:3261,2\n\t\tIface Name: default\n\
             Target: iqn.2001-04.com.example:disk2\n\
             \tPortal: 10.0.0.2:3260,-1\n\t\tIface Name: default\n"
        );
    }

    #[test]
    fn a_grouped_tree_has_each_portal_once() {
        assert_eq!(
            grouped(&nodes()),
            "Target: iqn.2001-04.com.example:disk1\n\
             \tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n\t\tIface Name: if4\n\
             \tPortal: [fd00::5]:3261,2\n\t\tIface Name: default\n\
             Target: iqn.2001-04.com.example:disk2\n\
             \tPortal: 10.0.0.2:3260,-1\n\t\tIface Name: default\n"
        );
    }

    #[test]
    fn a_name_is_printed_as_the_target_writes_it() {
        let text = flat(&[id("Disk1", "array", Some(1), "default")]);
        assert_eq!(text, "array:3260,1 iqn.2001-04.com.example:Disk1\n");
    }

    #[test]
    fn r302_a_host_that_was_not_parsed_is_escaped() {
        let mut node = id("disk1", "10.0.0.1", Some(1), "default");
        node.portal.host = Host::Name("a\u{1b}[2Jb".to_owned());
        assert_eq!(flat(&[node.clone()]), "a\\x1b[2Jb:3260,1 iqn.2001-04.com.example:disk1\n");
        assert_eq!(comma(&node.portal), "a\\x1b[2Jb,3260");
        assert_eq!(comma(&"[fd00::5]:3261".parse().unwrap()), "fd00::5,3261");
    }

    #[test]
    fn lines_about_one_record_name_all_that_identifies_it() {
        let mut iface = Record::new(crate::db::keys::Scope::Iface);
        iface.set("iface.hwaddress", "00:11:22:33:44:55").unwrap();
        iface.set("iface.net_ifacename", "eth0").unwrap();
        let node = id("disk1", "[fd00::5]:3261", Some(2), "if0");
        assert_eq!(
            added(&node, &iface),
            "New iSCSI node [tcp:[hw=00:11:22:33:44:55,ip=,net_if=eth0,iscsi_if=if0] fd00::5,3261,2 \
             iqn.2001-04.com.example:disk1] added"
        );
        assert_eq!(
            kept(&node),
            "This command will remove the record [iface: if0, target: iqn.2001-04.com.example:disk1, portal: \
             fd00::5,3261], but a session is using it. Logout session then rerun command to remove record."
        );
        let node = NodeId { tag: None, ..node };
        assert!(added(&node, &iface).contains(" fd00::5,3261,-1 "));
    }
}
