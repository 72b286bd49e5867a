//! Node records.

use std::fs;
use std::slice::from_ref;

use riscsiadm::db::node::{Filter, IfaceName};

use super::{changes, id, layout, store};

#[test]
fn a_node_is_created_where_open_iscsi_looks_for_it() {
    let (dir, store) = store();
    let v6 = id("disk1", "[fd00::5]:3261", Some(2), "default");
    let unknown = id("disk2", "10.0.0.2", None, "default");
    assert_eq!(store.new_node(&v6).unwrap(), from_ref(&v6));
    assert_eq!(store.new_node(&unknown).unwrap(), from_ref(&unknown));
    assert_eq!(
        layout(dir.path()),
        [
            "nodes/ 700",
            "nodes/iqn.2001-04.com.example:disk1/ 700",
            "nodes/iqn.2001-04.com.example:disk1/fd00::5,3261,2/ 700",
            "nodes/iqn.2001-04.com.example:disk1/fd00::5,3261,2/default 600",
            "nodes/iqn.2001-04.com.example:disk2/ 700",
            "nodes/iqn.2001-04.com.example:disk2/10.0.0.2,3260 600",
            "static/ 700",
            "static/iqn.2001-04.com.example:disk1,fd00::5,3261,2,default -> \
             nodes/iqn.2001-04.com.example:disk1/fd00::5,3261,2",
        ]
    );
    let record = store.node(&v6).unwrap();
    for (key, value) in [
        ("node.name", "iqn.2001-04.com.example:disk1"),
        ("node.tpgt", "2"),
        ("node.conn[0].address", "fd00::5"),
        ("node.conn[0].port", "3261"),
        ("node.discovery_type", "static"),
        ("node.discovery_address", ""),
        ("node.discovery_port", "0"),
        ("iface.iscsi_ifacename", "default"),
        ("iface.transport_name", "tcp"),
        ("node.startup", "manual"),
    ] {
        assert_eq!(record.get(key), value, "{key}");
    }
    assert_eq!(store.node(&unknown).unwrap().get("node.tpgt"), "-1");
}

#[test]
fn creating_a_node_again_takes_its_settings_back() {
    let (_dir, store) = store();
    let node = id("disk1", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    store.update_node(&node, &changes(&[("node.startup", "automatic")])).unwrap();
    assert_eq!(store.node(&node).unwrap().get("node.startup"), "automatic");
    store.new_node(&node).unwrap();
    assert_eq!(store.node(&node).unwrap().get("node.startup"), "manual");
}

#[test]
fn without_a_group_the_records_that_know_it_are_meant() {
    let (_dir, store) = store();
    let first = id("disk1", "10.0.0.1", Some(7), "default");
    store.new_node(&first).unwrap();
    store.update_node(&first, &changes(&[("node.startup", "automatic")])).unwrap();
    store.new_iface(&"if4".parse().unwrap(), &[]).unwrap();

    let asked = id("disk1", "10.0.0.1", None, "default");
    assert_eq!(store.new_node(&asked).unwrap(), from_ref(&first));
    assert_eq!(store.node(&first).unwrap().get("node.startup"), "manual");

    let other = id("disk1", "10.0.0.1", None, "if4");
    let written = id("disk1", "10.0.0.1", Some(7), "if4");
    assert_eq!(store.new_node(&other).unwrap(), from_ref(&written));
    assert_eq!(store.nodes().unwrap(), [first, written]);
}

#[test]
fn two_interfaces_of_one_portal_do_not_replace_each_other() {
    let (_dir, store) = store();
    for name in ["if1", "if2"] {
        store.new_iface(&name.parse().unwrap(), &[]).unwrap();
    }
    for tag in [None, Some(1)] {
        let target = if tag.is_none() { "unknown" } else { "known" };
        for iface in ["if1", "if2", "default"] {
            store.new_node(&id(target, "10.0.0.1", tag, iface)).unwrap();
        }
        let mut there =
            store.find(&Filter { target: Some(id(target, "a", None, "default").target), ..Filter::default() }).unwrap();
        there.sort();
        assert_eq!(there, ["default", "if1", "if2"].map(|iface| id(target, "10.0.0.1", tag, iface)));
        for node in &there {
            store.update_node(node, &changes(&[("node.session.auth.username", node.iface.as_str())])).unwrap();
        }
        for node in &there {
            assert_eq!(store.node(node).unwrap().get("node.session.auth.username"), node.iface.as_str());
            store.delete_node(node).unwrap();
        }
    }
    assert_eq!(store.nodes().unwrap(), []);
}

#[test]
fn a_group_that_becomes_known_replaces_the_old_style_file() {
    let (dir, store) = store();
    store.new_node(&id("disk1", "10.0.0.1", None, "default")).unwrap();
    let known = id("disk1", "10.0.0.1", Some(1), "default");
    store.new_node(&known).unwrap();
    assert_eq!(store.nodes().unwrap(), [known]);
    assert!(!dir.path().join("nodes/iqn.2001-04.com.example:disk1/10.0.0.1,3260").exists());
}

#[test]
fn all_keys_of_an_update_are_set_or_none() {
    let (_dir, store) = store();
    let node = id("disk1", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let before = store.node(&node).unwrap();
    for (key, value, message) in [
        ("bogus.key", "1", "Cannot modify bogus.key. Invalid param name."),
        ("node.name", "x", "Cannot modify node.name. It is used to look up the record and cannot be changed."),
        ("node.startup", "bogus", "unknown value format 'bogus' for parameter name 'node.startup'"),
        ("iface.mtu", "1500", "Cannot modify iface.mtu. Use iface mode to update this value."),
    ] {
        let error = store.update_node(&node, &changes(&[("node.leading_login", "Yes"), (key, value)])).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.code()), (message, 7));
        assert_eq!(store.node(&node).unwrap(), before);
    }
    let both = changes(&[("node.session.auth.username", "joe"), ("node.session.auth.password", "hunter2")]);
    store.update_node(&node, &both).unwrap();
    let record = store.node(&node).unwrap();
    assert_eq!(
        (record.get("node.session.auth.username"), record.get("node.session.auth.password")),
        ("joe", "hunter2")
    );
}

#[test]
fn a_node_that_is_not_there_is_no_record() {
    let (_dir, store) = store();
    let node = id("disk1", "10.0.0.1", Some(1), "default");
    for error in [
        store.node(&node).unwrap_err(),
        store.update_node(&node, &[]).unwrap_err(),
        store.delete_node(&node).unwrap_err(),
    ] {
        assert_eq!((error.to_string().as_str(), error.code()), ("No records found", 21));
    }
    assert_eq!(store.nodes().unwrap(), []);
    let error = store.new_node(&id("disk1", "10.0.0.1", Some(1), "nope")).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.code()), ("Could not read iface info for nope.", 6));
    assert_eq!(store.nodes().unwrap(), []);
}

#[test]
fn deleting_a_node_leaves_no_trace_and_no_neighbour_is_touched() {
    let (dir, store) = store();
    let keep = id("disk1", "10.0.0.1", Some(1), "default");
    store.new_node(&keep).unwrap();
    let before = layout(dir.path());
    let mut gone = vec![id("disk1", "10.0.0.2", Some(1), "default"), id("disk1", "10.0.0.3", None, "default")];
    gone.push(id("disk2", "10.0.0.1", Some(1), "default"));
    for node in &gone {
        store.new_node(node).unwrap();
    }
    for node in &gone {
        store.delete_node(node).unwrap();
    }
    assert_eq!(layout(dir.path()), before);
}

#[test]
fn a_target_is_found_under_any_spelling() {
    let (dir, store) = store();
    let capital = id("Disk1", "Array.example", Some(1), "default");
    store.new_node(&capital).unwrap();
    let nodes = dir.path().join("nodes/iqn.2001-04.com.example:Disk1");
    fs::rename(nodes.join("array.example,3260,1"), nodes.join("Array.EXAMPLE,3260,1")).unwrap();

    let small = id("disk1", "array.example", Some(1), "default");
    store.update_node(&small, &changes(&[("node.startup", "onboot")])).unwrap();
    assert_eq!(store.node(&capital).unwrap().get("node.startup"), "onboot");
    assert_eq!(store.node(&small).unwrap().get("node.name"), "iqn.2001-04.com.example:Disk1");
    assert_eq!(store.nodes().unwrap()[0].target.as_written(), "iqn.2001-04.com.example:Disk1");
    store.new_node(&id("disk1", "10.0.0.1", Some(1), "default")).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("nodes")).unwrap().count(), 1);
    store.delete_node(&small).unwrap();
    assert_eq!(store.nodes().unwrap().len(), 1);
}

#[test]
fn older_layouts_without_a_group_are_read_and_changed_in_place() {
    let (dir, store) = store();
    let target = dir.path().join("nodes/iqn.2001-04.com.example:disk1");
    fs::create_dir_all(target.join("10.0.0.1,3260")).unwrap();
    fs::create_dir_all(target.join("10.0.0.2,3260,-1")).unwrap();
    let paths = ["10.0.0.1,3260/default", "10.0.0.2,3260,-1/default", "10.0.0.3,3260"].map(|path| target.join(path));
    for path in &paths {
        fs::write(path, "node.startup = automatic\n").unwrap();
    }
    let nodes = store.nodes().unwrap();
    assert_eq!(nodes, ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|host| id("disk1", host, None, "default")));
    for (node, path) in nodes.iter().zip(&paths) {
        store.update_node(node, &changes(&[("node.leading_login", "Yes")])).unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("node.startup = automatic\nnode.leading_login = Yes\n"), "{text}");
        store.delete_node(node).unwrap();
        assert!(!path.exists());
    }
    assert!(!target.exists());
}

#[test]
fn a_filter_by_transport_spares_the_default_interface() {
    let (_dir, store) = store();
    store.new_iface(&"off".parse().unwrap(), &changes(&[("iface.transport_name", "bnx2i")])).unwrap();
    let plain = id("disk1", "10.0.0.1", Some(1), "default");
    let bound = id("disk1", "10.0.0.1", Some(1), "off");
    store.new_node(&plain).unwrap();
    store.new_node(&bound).unwrap();
    let find = |iface: Option<&IfaceName>, transport: &str| {
        store
            .find(&Filter { iface: iface.cloned(), transport: Some(transport.to_owned()), ..Filter::default() })
            .unwrap()
    };
    assert_eq!(find(None, "tcp"), from_ref(&plain));
    assert_eq!(find(Some(&bound.iface), "tcp"), []);
    assert_eq!(find(Some(&bound.iface), "bnx2i"), [bound]);
    assert_eq!(find(Some(&plain.iface), "bnx2i"), [plain]);
}

#[test]
fn a_search_may_resolve_names() {
    let (_dir, store) = store();
    let named = id("disk1", "array.example", Some(1), "default");
    store.new_node(&named).unwrap();
    let filter = Filter { portal: Some("10.0.0.1".parse().unwrap()), ..Filter::default() };
    assert_eq!(store.find(&filter).unwrap(), []);
    let same = |a: &_, b: &_| *a == filter.portal.as_ref().unwrap().host && *b == named.portal.host;
    assert_eq!(store.find_with(&filter, &same).unwrap(), from_ref(&named));
}
