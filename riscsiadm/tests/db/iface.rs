//! Interface records.

use std::fs;
use std::slice::from_ref;

use riscsiadm::db::node::IfaceName;
use riscsiadm::db::store::Deleted;

use super::{changes, id, store};

fn name(text: &str) -> IfaceName {
    text.parse().unwrap()
}

#[test]
fn interfaces_are_listed_by_name_and_the_built_in_ones_last() {
    let (dir, store) = store();
    for text in ["b", "a", "10.0.0.1:3260:pvc"] {
        store.new_iface(&name(text), &[]).unwrap();
    }
    for text in ["iface.example", "default", ".hidden", "a b"] {
        fs::write(dir.path().join("ifaces").join(text), "iface.transport_name = bogus\n").unwrap();
    }
    let names: Vec<_> = store.ifaces().unwrap().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["10.0.0.1:3260:pvc", "a", "b", "default", "iser"]);
    assert_eq!(store.iface(&name("default")).unwrap().get("iface.transport_name"), "tcp");
    assert_eq!(store.iface(&name("iser")).unwrap().get("iface.transport_name"), "iser");
}

#[test]
fn an_interface_is_created_changed_and_created_anew() {
    let (dir, store) = store();
    let if4 = name("if4");
    store.new_iface(&if4, &changes(&[("iface.net_ifacename", "eth0")])).unwrap();
    store.update_iface(&if4, &changes(&[("iface.mtu", "1500"), ("iface.ipaddress", "10.0.0.9")])).unwrap();
    let record = store.iface(&if4).unwrap();
    for (key, value) in [
        ("iface.iscsi_ifacename", "if4"),
        ("iface.transport_name", "tcp"),
        ("iface.net_ifacename", "eth0"),
        ("iface.mtu", "1500"),
        ("iface.ipaddress", "10.0.0.9"),
    ] {
        assert_eq!(record.get(key), value, "{key}");
    }
    let text = fs::read_to_string(dir.path().join("ifaces/if4")).unwrap();
    let start =
        "# BEGIN RECORD 2.1.11\niface.iscsi_ifacename = if4\niface.net_ifacename = eth0\niface.ipaddress = 10.0.0.9\n";
    assert!(text.starts_with(start), "{text}");
    store.new_iface(&if4, &[]).unwrap();
    assert_eq!(store.iface(&if4).unwrap().get("iface.net_ifacename"), "");
}

#[test]
fn nodes_follow_their_interface() {
    let (_dir, store) = store();
    let if4 = name("if4");
    store.new_iface(&if4, &[]).unwrap();
    let bound = id("a", "10.0.0.1", Some(1), "if4");
    let plain = id("a", "10.0.0.1", Some(1), "default");
    for node in [&bound, &plain] {
        store.new_node(node).unwrap();
        store.update_node(node, &changes(&[("node.startup", "automatic")])).unwrap();
    }
    store.update_iface(&if4, &changes(&[("iface.initiatorname", "iqn.2001-04.com.example:host")])).unwrap();
    let record = store.node(&bound).unwrap();
    assert_eq!(record.get("iface.initiatorname"), "iqn.2001-04.com.example:host");
    assert_eq!((record.get("iface.iscsi_ifacename"), record.get("node.startup")), ("if4", "automatic"));
    assert_eq!(store.node(&plain).unwrap().get("iface.initiatorname"), "");
}

#[test]
fn a_bad_key_or_value_changes_nothing() {
    let (_dir, store) = store();
    let if4 = name("if4");
    for (key, value, message) in [
        ("iface.bogus", "1", "Cannot modify iface.bogus. Invalid param name."),
        ("iface.mtu", "70000", "unknown value format '70000' for parameter name 'iface.mtu'"),
        ("iface.iscsi_ifacename", "x", "Can not update iface.iscsi_ifacename. Delete it, and then create a new one."),
        ("node.startup", "manual", "Cannot modify node.startup. Invalid param name."),
    ] {
        let error = store.new_iface(&if4, &changes(&[(key, value)])).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.code()), (message, 7));
    }
    assert_eq!(store.ifaces().unwrap().len(), 2);
}

#[test]
fn an_interface_is_bound_in_one_way() {
    let (_dir, store) = store();
    let both = [("iface.hwaddress", "00:11:22:33:44:55"), ("iface.net_ifacename", "eth0")];
    let error = store.new_iface(&name("if4"), &changes(&both)).unwrap_err();
    assert_eq!(error.code(), 7);
    for ([first, second], from, to) in
        [(both, "hwaddress", "net_ifacename"), ([both[1], both[0]], "net_ifacename", "hwaddress")]
    {
        let iface = name(from);
        store.new_iface(&iface, &changes(&[first])).unwrap();
        let error = store.update_iface(&iface, &changes(&[second])).unwrap_err();
        let expected = format!(
            "Can not update interface binding from {from} to {to}. You must delete the interface and create a new one"
        );
        assert_eq!((error.to_string(), error.code()), (expected, 7));
        assert_eq!(store.iface(&iface).unwrap().get(second.0), "");
        store.update_iface(&iface, &changes(&[(first.0, "other")])).unwrap();
        assert_eq!(store.iface(&iface).unwrap().get(first.0), "other");
    }
}

#[test]
fn the_built_in_interfaces_stay_as_they_are() {
    let (_dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    for text in ["default", "iser"] {
        let iface = name(text);
        let modified = format!("iface {text} is a special interface and cannot be modified.");
        let deleted = format!("iface {text} is a special interface and cannot be deleted.");
        for (error, message) in [
            (store.new_iface(&iface, &[]).unwrap_err(), &modified),
            (store.update_iface(&iface, &changes(&[("iface.mtu", "1500")])).unwrap_err(), &modified),
            (store.delete_iface(&iface, &[]).unwrap_err(), &deleted),
        ] {
            assert_eq!((&error.to_string(), error.code()), (message, 7));
        }
    }
    assert_eq!(store.nodes().unwrap(), [node]);
}

#[test]
fn deleting_an_interface_deletes_its_nodes_or_nothing() {
    let (dir, store) = store();
    let if4 = name("if4");
    store.new_iface(&if4, &[]).unwrap();
    let bound = [id("a", "10.0.0.1", Some(1), "if4"), id("b", "10.0.0.1", Some(1), "if4")];
    let plain = id("a", "10.0.0.1", Some(1), "default");
    for node in bound.iter().chain([&plain]) {
        store.new_node(node).unwrap();
    }
    let result = store.delete_iface(&if4, &[plain.clone(), bound[1].clone()]).unwrap();
    assert_eq!(result, Deleted { deleted: vec![], in_use: vec![bound[1].clone()] });
    assert_eq!(store.nodes().unwrap().len(), 3);
    store.iface(&if4).unwrap();

    let result = store.delete_iface(&if4, from_ref(&plain)).unwrap();
    assert_eq!(result, Deleted { deleted: bound.to_vec(), in_use: vec![] });
    assert_eq!(store.nodes().unwrap(), [plain]);
    assert!(!dir.path().join("ifaces/if4").exists());
    let error = store.delete_iface(&if4, &[]).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.code()), ("Could not read iface info for if4.", 6));
}

#[test]
fn a_discovery_is_bound_to_what_people_created_for_tcp() {
    let (_dir, store) = store();
    assert_eq!(store.binding_ifaces().unwrap(), [IfaceName::default_iface()]);
    store.new_iface(&name("off"), &changes(&[("iface.transport_name", "bnx2i")])).unwrap();
    assert_eq!(store.binding_ifaces().unwrap(), [IfaceName::default_iface()]);
    for text in ["b", "a"] {
        store.new_iface(&name(text), &[]).unwrap();
    }
    assert_eq!(store.binding_ifaces().unwrap(), [name("a"), name("b")]);
}
