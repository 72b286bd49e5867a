//! The discovery database.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::escape;
use super::node::{comma, grouped};
use crate::db::node::{NodeId, Source};

const NO_TARGETS: &str = "No targets found.\n";

/// `ADDRESS:PORT via sendtargets`, one line a discovery address. IPv6 addresses stand without brackets here.
pub fn list(sources: &[Source]) -> String {
    let mut text = String::new();
    for source in sources {
        let kind = if matches!(source, Source::Isns(_)) { "isns" } else { "sendtargets" };
        if let Some(portal) = source.portal() {
            let _ = writeln!(text, "{}:{} via {kind}", escape(&portal.host.to_string()), portal.port);
        }
    }
    text
}

/// Everything by where it came from. All four headers stand there, in this order, whatever was found.
pub fn tree(all: &BTreeMap<Source, Vec<NodeId>>) -> String {
    let addresses = |wanted: fn(&Source) -> bool| addresses(all.iter().filter(move |(source, _)| wanted(source)));
    let nodes = |source| all.get(&source).map_or(String::new(), |nodes| grouped(nodes));
    let mut text = String::new();
    for (header, body) in [
        ("SENDTARGETS:", addresses(|source| matches!(source, Source::SendTargets(_)))),
        ("iSNS:", addresses(|source| matches!(source, Source::Isns(_)))),
        ("STATIC:", nodes(Source::Static)),
        ("FIRMWARE:", nodes(Source::Firmware)),
    ] {
        let body = if body.is_empty() { NO_TARGETS } else { &body };
        let _ = write!(text, "{header}\n{body}");
    }
    text
}

fn addresses<'a>(all: impl Iterator<Item = (&'a Source, &'a Vec<NodeId>)>) -> String {
    let mut text = String::new();
    for (source, nodes) in all {
        if let Some(portal) = source.portal() {
            let _ = write!(text, "DiscoveryAddress: {}\n{}", comma(portal), grouped(nodes));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::node::tests::id;
    use super::*;

    fn st(portal: &str) -> Source {
        Source::SendTargets(portal.parse().unwrap())
    }

    #[test]
    fn a_list_names_address_and_kind() {
        let isns = Source::Isns("10.0.0.7:3205".parse().unwrap());
        assert_eq!(
            list(&[st("10.0.0.1"), st("[fd00::5]:3261"), isns, Source::Static]),
            "10.0.0.1:3260 via sendtargets\nfd00::5:3261 via sendtargets\n10.0.0.7:3205 via isns\n"
        );
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn an_empty_tree_still_has_its_headers() {
        assert_eq!(
            tree(&BTreeMap::new()),
            "SENDTARGETS:\nNo targets found.\niSNS:\nNo targets found.\nSTATIC:\nNo targets found.\nFIRMWARE:\nNo targets found.\n"
        );
    }

    #[test]
    fn a_tree_has_each_address_with_what_it_gave() {
        let all = BTreeMap::from([
            (
                st("10.0.0.1"),
                vec![id("disk1", "10.0.0.1", Some(1), "default"), id("disk1", "10.0.0.1", Some(1), "if4")],
            ),
            (st("10.0.0.9"), vec![]),
            (Source::Isns("10.0.0.7:3205".parse().unwrap()), vec![id("disk3", "10.0.0.3", Some(1), "default")]),
            (Source::Static, vec![id("disk2", "[fd00::5]:3261", Some(2), "default")]),
        ]);
        assert_eq!(
            tree(&all),
            "SENDTARGETS:\n\
             DiscoveryAddress: 10.0.0.1,3260\n\
             Target: iqn.2001-04.com.example:disk1\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n\t\tIface Name: if4\n\
             DiscoveryAddress: 10.0.0.9,3260\n\
             iSNS:\n\
             DiscoveryAddress: 10.0.0.7,3205\n\
             Target: iqn.2001-04.com.example:disk3\n\tPortal: 10.0.0.3:3260,1\n\t\tIface Name: default\n\
             STATIC:\n\
             Target: iqn.2001-04.com.example:disk2\n\tPortal: [fd00::5]:3261,2\n\t\tIface Name: default\n\
             FIRMWARE:\nNo targets found.\n"
        );
    }
}
