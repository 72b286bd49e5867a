//! Interfaces.

use std::fmt::Write;

use super::node::portal_line;
use super::{escape, or_empty};
use crate::db::node::{IfaceName, NodeId};
use crate::db::record::Record;

/// `NAME TRANSPORT,HWADDRESS,IPADDRESS,NETDEV,INITIATORNAME`, one line an interface.
pub fn list(ifaces: &[(IfaceName, Record)]) -> String {
    let mut text = String::new();
    for (name, record) in ifaces {
        let fields = ["transport_name", "hwaddress", "ipaddress", "net_ifacename", "initiatorname"];
        let fields = fields.map(|field| or_empty(record.get(&format!("iface.{field}"))).into_owned());
        let _ = writeln!(text, "{name} {}", fields.join(","));
    }
    text
}

/// Interfaces with the nodes that are bound to them. Without any node there is nothing to show.
pub fn tree(ifaces: &[(IfaceName, Record)], nodes: &[NodeId]) -> String {
    let mut text = String::new();
    if nodes.is_empty() {
        return text;
    }
    for (name, _) in ifaces {
        let _ = writeln!(text, "Iface: {name}");
        let mut last = None;
        for id in nodes.iter().filter(|id| id.iface == *name) {
            if last.replace(&id.target) != Some(&id.target) {
                let _ = writeln!(text, "\tTarget: {}", escape(id.target.as_written()));
            }
            portal_line(&mut text, "\t\t", id);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::node::tests::id;
    use super::*;
    use crate::db::keys::Scope;

    fn iface(name: &str, changes: &[(&str, &str)]) -> (IfaceName, Record) {
        let mut record = Record::new(Scope::Iface);
        for (key, value) in changes {
            record.set(key, value).unwrap();
        }
        (name.parse().unwrap(), record)
    }

    fn ifaces() -> Vec<(IfaceName, Record)> {
        vec![
            iface(
                "if4",
                &[
                    ("iface.ipaddress", "10.0.0.9"),
                    ("iface.net_ifacename", "eth0"),
                    ("iface.initiatorname", "iqn.2001-04.com.example:host1"),
                ],
            ),
            iface("mac", &[("iface.hwaddress", "00:11:22:33:44:55")]),
            iface("default", &[]),
            iface("iser", &[("iface.transport_name", "iser")]),
        ]
    }

    #[test]
    fn a_list_has_five_fields_behind_the_name() {
        assert_eq!(
            list(&ifaces()),
            "if4 tcp,<empty>,10.0.0.9,eth0,iqn.2001-04.com.example:host1\n\
             mac tcp,00:11:22:33:44:55,<empty>,<empty>,<empty>\n\
             default tcp,<empty>,<empty>,<empty>,<empty>\n\
             iser iser,<empty>,<empty>,<empty>,<empty>\n"
        );
    }

    #[test]
    fn a_tree_names_every_interface_as_soon_as_there_is_a_node() {
        let nodes = [
            id("disk1", "10.0.0.1", Some(1), "default"),
            id("disk1", "10.0.0.1", Some(1), "if4"),
            id("disk1", "[fd00::5]:3261", Some(2), "default"),
            id("disk2", "10.0.0.2", None, "default"),
        ];
        assert_eq!(
            tree(&ifaces(), &nodes),
            "Iface: if4\n\tTarget: iqn.2001-04.com.example:disk1\n\t\tPortal: 10.0.0.1:3260,1\n\
             Iface: mac\n\
             Iface: default\n\
             \tTarget: iqn.2001-04.com.example:disk1\n\t\tPortal: 10.0.0.1:3260,1\n\t\tPortal: [fd00::5]:3261,2\n\
             \tTarget: iqn.2001-04.com.example:disk2\n\t\tPortal: 10.0.0.2:3260,-1\n\
             Iface: iser\n"
        );
        assert_eq!(tree(&ifaces(), &[]), "");
    }
}
