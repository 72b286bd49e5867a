//! Discovery records, and what a discovery brings.

use std::fs;
use std::slice::from_ref;

use riscsiadm::db::config::Config;
use riscsiadm::db::node::{IfaceName, NodeId, Source};
use riscsiadm::db::store::{Change, Deleted, Discovered, Found, Policy, Store, expand};

use super::{changes, found, id, layout, send_targets, store};

const NEW: Policy = Policy { new: true, update: false, reset: false, delete: false };
const RESET: Policy = Policy { new: false, update: false, reset: true, delete: false };
const DELETE: Policy = Policy { new: false, update: false, reset: false, delete: true };

fn add(store: &Store, source: &Source, answer: &[Found], policy: Policy) -> Discovered {
    store.add_discovered(source, answer, &[IfaceName::default_iface()], policy, &[]).unwrap()
}

fn edit(store: &Store, node: &NodeId) {
    store.update_node(node, &changes(&[("node.startup", "automatic"), ("node.session.auth.username", "joe")])).unwrap();
}

fn startup(store: &Store, node: &NodeId) -> String {
    store.node(node).unwrap().get("node.startup").to_owned()
}

#[test]
fn an_answer_becomes_records_in_its_order() {
    let (dir, store) = store();
    let asked = send_targets("10.0.0.1");
    let answer = [found("b", &["10.0.0.2:3260,1", "[fd00::5]:3261,2"]), found("a", &[])];
    let nodes = [
        id("b", "10.0.0.2", Some(1), "default"),
        id("b", "[fd00::5]:3261", Some(2), "default"),
        id("a", "10.0.0.1", Some(1), "default"),
    ];
    let result = add(&store, &asked, &answer, NEW);
    assert_eq!(result.nodes, nodes.clone().map(|id| (id, Change::Added)));
    assert_eq!(result.stale, Deleted::default());
    assert_eq!(
        layout(dir.path()),
        [
            "nodes/ 700",
            "nodes/iqn.2001-04.com.example:a/ 700",
            "nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1/ 700",
            "nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1/default 600",
            "nodes/iqn.2001-04.com.example:b/ 700",
            "nodes/iqn.2001-04.com.example:b/10.0.0.2,3260,1/ 700",
            "nodes/iqn.2001-04.com.example:b/10.0.0.2,3260,1/default 600",
            "nodes/iqn.2001-04.com.example:b/fd00::5,3261,2/ 700",
            "nodes/iqn.2001-04.com.example:b/fd00::5,3261,2/default 600",
            "send_targets/ 700",
            "send_targets/10.0.0.1,3260/ 700",
            "send_targets/10.0.0.1,3260/iqn.2001-04.com.example:a,10.0.0.1,3260,1,default -> \
             nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1",
            "send_targets/10.0.0.1,3260/iqn.2001-04.com.example:b,10.0.0.2,3260,1,default -> \
             nodes/iqn.2001-04.com.example:b/10.0.0.2,3260,1",
            "send_targets/10.0.0.1,3260/iqn.2001-04.com.example:b,fd00::5,3261,2,default -> \
             nodes/iqn.2001-04.com.example:b/fd00::5,3261,2",
        ]
    );
    let record = store.node(&nodes[0]).unwrap();
    for (key, value) in [
        ("node.discovery_address", "10.0.0.1"),
        ("node.discovery_port", "3260"),
        ("node.discovery_type", "send_targets"),
        ("node.conn[0].address", "10.0.0.2"),
        ("node.tpgt", "1"),
    ] {
        assert_eq!(record.get(key), value, "{key}");
    }
    assert_eq!(store.by_source().unwrap()[&asked], [nodes[2].clone(), nodes[0].clone(), nodes[1].clone()]);
}

#[test]
fn an_answer_is_expanded_without_repeats_and_with_group_1_where_none_is_given() {
    let asked = "10.0.0.1".parse().unwrap();
    let ifaces = ["if1", "if2"].map(|name| name.parse().unwrap());
    let answer = [found("a", &["10.0.0.2:3260", "10.0.0.2:3260,1", "10.0.0.2:3260,2"]), found("a", &[])];
    let expected = [
        id("a", "10.0.0.2", Some(1), "if1"),
        id("a", "10.0.0.2", Some(1), "if2"),
        id("a", "10.0.0.2", Some(2), "if1"),
        id("a", "10.0.0.2", Some(2), "if2"),
        id("a", "10.0.0.1", Some(1), "if1"),
        id("a", "10.0.0.1", Some(1), "if2"),
    ];
    assert_eq!(expand(Some(&asked), &answer, &ifaces), expected);
    assert_eq!(expand(None, &answer, &ifaces), expected[..4]);
    assert_eq!(expand(Some(&asked), &answer, &[]), []);
}

#[test]
fn discovery_never_overwrites_a_setting_unless_told_to() {
    let node = id("a", "10.0.0.1", Some(1), "default");
    for (policy, change, expected) in [
        (NEW, Change::Kept, "automatic"),
        (Policy::MERGE, Change::Kept, "automatic"),
        (Policy { update: true, ..Policy::default() }, Change::Kept, "automatic"),
        (DELETE, Change::Kept, "automatic"),
        (RESET, Change::Reset, "manual"),
    ] {
        let (_dir, store) = store();
        let asked = send_targets("10.0.0.1");
        add(&store, &asked, &[found("a", &[])], Policy::MERGE);
        edit(&store, &node);
        let result = add(&store, &asked, &[found("a", &[])], policy);
        assert_eq!(result.nodes, [(node.clone(), change)], "{policy:?}");
        assert_eq!(startup(&store, &node), expected, "{policy:?}");
    }
}

#[test]
fn a_node_moves_to_the_source_that_found_it_last_with_its_settings() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    edit(&store, &node);
    let first = send_targets("10.0.0.8");
    for (source, policy, change, owner) in [
        (&first, NEW, Change::Kept, &Source::Static),
        (&first, Policy::MERGE, Change::Updated, &first),
        (&send_targets("10.0.0.9"), Policy::MERGE, Change::Updated, &send_targets("10.0.0.9")),
    ] {
        let result = add(&store, source, &[found("a", &["10.0.0.1:3260,1"])], policy);
        assert_eq!(result.nodes, [(node.clone(), change)]);
        let owners: Vec<_> = store.by_source().unwrap().into_iter().filter(|(_, nodes)| !nodes.is_empty()).collect();
        assert_eq!(owners, [(owner.clone(), vec![node.clone()])]);
        assert_eq!(startup(&store, &node), "automatic");
    }
    let links = layout(dir.path()).into_iter().filter(|line| line.contains("->")).count();
    assert_eq!(links, 1);
}

#[test]
fn what_an_address_does_not_give_any_more_is_deleted_if_wished() {
    let (_dir, store) = store();
    let (asked, other) = (send_targets("10.0.0.1"), send_targets("10.0.0.2"));
    let of_other = id("other", "10.0.0.2", Some(1), "default");
    let fixed = id("static", "10.0.0.1", Some(1), "default");
    add(&store, &other, &[found("other", &[])], NEW);
    store.new_node(&fixed).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| id(name, "10.0.0.1", Some(1), "default"));
    add(&store, &asked, &[found("a", &[]), found("b", &[]), found("c", &[])], NEW);

    let result = add(&store, &asked, &[found("a", &[])], NEW);
    assert_eq!((result.stale, store.nodes().unwrap().len()), (Deleted::default(), 5));

    let ifaces = [IfaceName::default_iface()];
    let in_use = [id("b", "10.0.0.1", None, "default"), id("x", "10.0.0.1", None, "default")];
    let result = store.add_discovered(&asked, &[found("a", &[])], &ifaces, DELETE, &in_use).unwrap();
    assert_eq!(result.stale, Deleted { deleted: vec![c], in_use: vec![b.clone()] });
    assert_eq!(store.nodes().unwrap(), [a, b, of_other.clone(), fixed.clone()]);

    let result = store.add_discovered(&asked, &[], &ifaces, Policy::MERGE, &[]).unwrap();
    assert_eq!((result.nodes.len(), result.stale.deleted.len()), (0, 2));
    assert_eq!(store.nodes().unwrap(), [of_other, fixed]);
}

#[test]
fn deleting_alone_adds_nothing() {
    let (_dir, store) = store();
    let result = add(&store, &send_targets("10.0.0.1"), &[found("a", &[])], DELETE);
    assert_eq!(result.nodes, [(id("a", "10.0.0.1", Some(1), "default"), Change::Absent)]);
    assert_eq!(store.nodes().unwrap(), []);
}

#[test]
fn records_of_other_interfaces_are_not_stale() {
    let (_dir, store) = store();
    let asked = send_targets("10.0.0.1");
    let ifaces = ["if1", "if2"].map(|name| name.parse().unwrap());
    for name in &ifaces {
        store.new_iface(name, &[]).unwrap();
    }
    store.add_discovered(&asked, &[found("a", &[])], &ifaces, Policy::MERGE, &[]).unwrap();
    let result = store.add_discovered(&asked, &[found("a", &[])], &ifaces[..1], Policy::MERGE, &[]).unwrap();
    assert_eq!(result.stale, Deleted::default());
    assert_eq!(store.nodes().unwrap().len(), 2);
}

#[test]
fn a_group_that_was_unknown_or_changed_takes_its_settings_along() {
    let asked = send_targets("10.0.0.1");
    let known = id("a", "10.0.0.1", Some(2), "default");
    for (old, policy, change, expected) in [
        (None, NEW, Change::Updated, "automatic"),
        (None, Policy::MERGE, Change::Updated, "automatic"),
        (Some(1), Policy::MERGE, Change::Updated, "automatic"),
        (Some(1), RESET, Change::Reset, "manual"),
    ] {
        let (_dir, store) = store();
        let before = id("a", "10.0.0.1", old, "default");
        store.new_node(&before).unwrap();
        edit(&store, &before);
        let result = add(&store, &asked, &[found("a", &["10.0.0.1:3260,2"])], policy);
        assert_eq!(result.nodes, [(known.clone(), change)], "{old:?} {policy:?}");
        assert_eq!(store.nodes().unwrap(), from_ref(&known));
        assert_eq!(startup(&store, &known), expected);
        assert_eq!(store.node(&known).unwrap().get("node.tpgt"), "2");
        assert_eq!(store.by_source().unwrap()[&asked], from_ref(&known));
    }
}

#[test]
fn one_portal_in_two_groups_is_two_records() {
    let (_dir, store) = store();
    let asked = send_targets("10.0.0.1");
    let both = [found("a", &["10.0.0.1:3260,1", "10.0.0.1:3260,2"])];
    let ids = [1, 2].map(|tag| id("a", "10.0.0.1", Some(tag), "default"));
    for change in [Change::Added, Change::Kept] {
        assert_eq!(add(&store, &asked, &both, Policy::MERGE).nodes, ids.clone().map(|id| (id, change)));
        assert_eq!(store.nodes().unwrap(), ids);
    }
}

#[test]
fn a_discovery_through_an_unknown_interface_changes_nothing() {
    let (dir, store) = store();
    let ifaces = [IfaceName::default_iface(), "nope".parse().unwrap()];
    let error =
        store.add_discovered(&send_targets("10.0.0.1"), &[found("a", &[])], &ifaces, Policy::MERGE, &[]).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.code()), ("Could not read iface info for nope.", 6));
    assert_eq!(layout(dir.path()), [""; 0]);
}

#[test]
fn new_records_take_the_defaults_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("iscsid.conf"), "node.startup = onboot\ndiscovery.sendtargets.reopen_max = 9\n").unwrap();
    let store = Store::at(dir.path(), Config::read(dir.path()).unwrap()).unwrap();
    let asked = send_targets("10.0.0.1");
    add(&store, &asked, &[found("a", &[])], NEW);
    assert_eq!(startup(&store, &id("a", "10.0.0.1", Some(1), "default")), "onboot");
    assert_eq!(store.ensure_discovery(&asked).unwrap().number("discovery.sendtargets.reopen_max"), 9);
}

#[test]
fn a_discovery_record_is_kept_unless_it_is_to_be_new() {
    let (_dir, store) = store();
    for asked in
        [send_targets("[fd00::5]:3260"), send_targets("array.example"), Source::Isns("10.0.0.7:3205".parse().unwrap())]
    {
        let error = store.discovery(&asked).unwrap_err();
        let portal = asked.portal().unwrap();
        let expected = format!("Discovery record [{},{}] not found.", portal.host, portal.port);
        assert_eq!((error.to_string(), error.code()), (expected, 6));
        assert_eq!(store.update_discovery(&asked, &[]).unwrap_err().code(), 6);
        assert_eq!(store.delete_discovery(&asked, &[]).unwrap_err().code(), 6);

        let made = store.ensure_discovery(&asked).unwrap();
        assert_eq!(store.discovery(&asked).unwrap(), made);
        store.update_discovery(&asked, &changes(&[("discovery.startup", "automatic")])).unwrap();
        assert_eq!(store.ensure_discovery(&asked).unwrap().get("discovery.startup"), "automatic");
        assert_eq!(store.new_discovery(&asked).unwrap(), made);
        assert_eq!(store.discovery(&asked).unwrap(), made);
        let error = store.update_discovery(&asked, &changes(&[("discovery.type", "fw")])).unwrap_err();
        assert_eq!(error.code(), 7);
    }
    assert_eq!(store.discoveries().unwrap().len(), 3);
}

#[test]
fn static_nodes_and_the_firmware_have_no_discovery_record() {
    let (_dir, store) = store();
    for source in [Source::Static, Source::Firmware] {
        assert_eq!(store.discovery(&source).unwrap_err().code(), 21);
        assert_eq!(store.ensure_discovery(&source).unwrap_err().code(), 21);
        assert_eq!(store.new_discovery(&source).unwrap_err().code(), 21);
    }
}

#[test]
fn deleting_a_discovery_record_deletes_what_it_found() {
    let (dir, store) = store();
    let asked = send_targets("10.0.0.1");
    let fixed = id("static", "10.0.0.1", Some(1), "default");
    store.new_node(&fixed).unwrap();
    let before = layout(dir.path());
    store.ensure_discovery(&asked).unwrap();
    add(&store, &asked, &[found("a", &[]), found("b", &[])], Policy::MERGE);
    let [a, b] = ["a", "b"].map(|name| id(name, "10.0.0.1", Some(1), "default"));

    let result = store.delete_discovery(&asked, from_ref(&a)).unwrap();
    assert_eq!(result, Deleted { deleted: vec![b], in_use: vec![a.clone()] });
    assert_eq!(store.discoveries().unwrap(), from_ref(&asked));

    let result = store.delete_discovery(&asked, &[]).unwrap();
    assert_eq!(result, Deleted { deleted: vec![a], in_use: vec![] });
    assert_eq!(store.discoveries().unwrap(), []);
    assert_eq!(store.nodes().unwrap(), [fixed]);
    let after: Vec<_> = layout(dir.path()).into_iter().filter(|line| line != "send_targets/ 700").collect();
    assert_eq!(after, before);
}

#[test]
fn links_that_open_iscsi_made_say_where_a_node_comes_from() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let path = dir.path().join("nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1");
    fs::write(path.join("default"), "node.startup = automatic\n").unwrap();
    fs::remove_dir_all(dir.path().join("static")).unwrap();
    let links = dir.path().join("send_targets/Array,3260");
    fs::create_dir_all(&links).unwrap();
    std::os::unix::fs::symlink(&path, links.join("iqn.2001-04.com.example:a,10.0.0.1,3260,1,default")).unwrap();
    std::os::unix::fs::symlink("/nowhere", links.join("iqn.2001-04.com.example:b,10.0.0.1,3260,1,default")).unwrap();
    let source = send_targets("array");
    assert_eq!(store.by_source().unwrap()[&source], from_ref(&node));

    store.ensure_discovery(&source).unwrap();
    assert!(links.join("st_config").exists());
    assert_eq!(store.delete_discovery(&source, &[]).unwrap().deleted, [node]);
    assert!(!links.exists());
}
