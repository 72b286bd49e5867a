//! Files and listings that open-iscsi 2.1.8 wrote.

use std::fs;

use riscsiadm::db::keys::Scope;
use riscsiadm::db::node::Source;
use riscsiadm::db::record::Record;
use riscsiadm::output::{discovery, iface, node, record};

use super::{id, store};

const FILES: [(Scope, &str); 5] = [
    (Scope::Node, include_str!("samples/node.record")),
    (Scope::Node, include_str!("samples/node_without_group.record")),
    (Scope::Iface, include_str!("samples/iface.record")),
    (Scope::SendTargets, include_str!("samples/st_config.record")),
    (Scope::Isns, include_str!("samples/isns_config.record")),
];

/// The text of another release as this one prints it.
fn ours(text: &str) -> String {
    text.replace("# BEGIN RECORD 2.1.8\n", "# BEGIN RECORD 2.1.11\n")
}

#[test]
fn a_file_of_open_iscsi_is_written_back_as_it_was() {
    for (scope, file) in FILES {
        let (record, garbage) = Record::parse(scope, file.as_bytes());
        assert_eq!(garbage, []);
        assert_eq!(*record.to_file(), ours(file));
    }
}

#[test]
fn a_record_is_shown_as_open_iscsi_shows_it() {
    let later = [
        ("node.session.sess_reopen_log_freq = 1\n", "node.session.reopen_max = 0\n"),
        ("node.conn[0].tcp.congestion_control = <empty>\n", "node.conn[0].tcp.type_of_service = 0\n"),
    ];
    for (index, show, shown) in [
        (0, false, include_str!("samples/node.shown")),
        (0, true, include_str!("samples/node.revealed")),
        (2, false, include_str!("samples/iface.shown")),
        (3, false, include_str!("samples/st_config.shown")),
        (4, false, include_str!("samples/isns_config.shown")),
    ] {
        let (scope, file) = FILES[index];
        let mut expected = ours(shown);
        for (line, before) in later {
            expected = expected.replace(before, &format!("{before}{line}"));
        }
        assert_eq!(*record::dump(&Record::parse(scope, file.as_bytes()).0, show), expected);
    }
}

#[test]
fn a_new_record_differs_from_open_iscsis_in_one_default() {
    let (dir, store) = store();
    let node = id("disk2", "10.0.0.2", None, "default");
    store.new_node(&node).unwrap();
    let path = dir.path().join("nodes/iqn.2001-04.com.example:disk2/10.0.0.2,3260");
    let expected = ours(include_str!("samples/node_without_group.record"));
    let expected = expected.replace("xmit_thread_priority = -20", "xmit_thread_priority = 0");
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn new_discovery_records_are_those_of_open_iscsi() {
    let (dir, store) = store();
    store.new_discovery(&Source::SendTargets("10.0.0.1".parse().unwrap())).unwrap();
    store.new_discovery(&Source::Isns("10.0.0.7:3205".parse().unwrap())).unwrap();
    let st: String = include_str!("samples/st_config.record")
        .split_inclusive('\n')
        .filter(|l| !l.contains("word =") && !l.contains("name ="))
        .collect();
    assert_eq!(fs::read_to_string(dir.path().join("send_targets/10.0.0.1,3260/st_config")).unwrap(), ours(&st));
    let isns = ours(include_str!("samples/isns_config.record"));
    assert_eq!(fs::read_to_string(dir.path().join("isns/10.0.0.7,3205/isns_config")).unwrap(), isns);
}

#[test]
fn a_database_of_open_iscsi_is_listed_as_it_lists_it() {
    let (dir, store) = store();
    let root = dir.path();
    let disk1 = root.join("nodes/iqn.2001-04.com.example:disk1");
    let plain =
        include_str!("samples/node.record").replace("iface.iscsi_ifacename = if4", "iface.iscsi_ifacename = default");
    for (path, text) in [
        (disk1.join("10.0.0.1,3260,1/if4"), include_str!("samples/node.record")),
        (disk1.join("10.0.0.1,3260,1/default"), plain.as_str()),
        (disk1.join("fd00::5,3261,2/default"), plain.as_str()),
        (
            root.join("nodes/iqn.2001-04.com.example:disk2/10.0.0.2,3260"),
            include_str!("samples/node_without_group.record"),
        ),
        (root.join("ifaces/if4"), include_str!("samples/iface.record")),
        (root.join("send_targets/10.0.0.1,3260/st_config"), include_str!("samples/st_config.record")),
        (root.join("isns/10.0.0.7,3205/isns_config"), include_str!("samples/isns_config.record")),
    ] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let nodes = store.nodes().unwrap();
    assert_eq!(
        node::flat(&nodes),
        "10.0.0.1:3260,1 iqn.2001-04.com.example:disk1\n10.0.0.1:3260,1 iqn.2001-04.com.example:disk1\n\
         [fd00::5]:3261,2 iqn.2001-04.com.example:disk1\n10.0.0.2:3260,4294967295 iqn.2001-04.com.example:disk2\n"
    );
    let ifaces = store.ifaces().unwrap();
    assert_eq!(
        iface::list(&ifaces),
        "if4 tcp,<empty>,<empty>,eth0,iqn.2001-04.com.example:host1\ndefault tcp,<empty>,<empty>,<empty>,<empty>\n\
         iser iser,<empty>,<empty>,<empty>,<empty>\n"
    );
    assert_eq!(
        iface::tree(&ifaces, &nodes),
        "Iface: if4\n\tTarget: iqn.2001-04.com.example:disk1\n\t\tPortal: 10.0.0.1:3260,1\n\
         Iface: default\n\tTarget: iqn.2001-04.com.example:disk1\n\t\tPortal: 10.0.0.1:3260,1\n\
         \t\tPortal: [fd00::5]:3261,2\n\tTarget: iqn.2001-04.com.example:disk2\n\t\tPortal: 10.0.0.2:3260,-1\nIface: iser\n"
    );
    let all = store.by_source().unwrap();
    assert_eq!(
        discovery::list(&store.discoveries().unwrap()),
        "10.0.0.1:3260 via sendtargets\n10.0.0.7:3205 via isns\n"
    );
    assert_eq!(
        discovery::tree(&all),
        "SENDTARGETS:\nDiscoveryAddress: 10.0.0.1,3260\niSNS:\nDiscoveryAddress: 10.0.0.7,3205\nSTATIC:\n\
         Target: iqn.2001-04.com.example:disk1\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n\t\tIface Name: if4\n\
         \tPortal: [fd00::5]:3261,2\n\t\tIface Name: default\n\
         Target: iqn.2001-04.com.example:disk2\n\tPortal: 10.0.0.2:3260,-1\n\t\tIface Name: default\n\
         FIRMWARE:\nNo targets found.\n"
    );
    assert_eq!(all.len(), 3);
}
