//! Damage, hostile names and many writers at once.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::slice::from_ref;
use std::thread;

use iscsi_proto::portal::Host;
use proptest::prelude::*;
use riscsiadm::db::node::Filter;
use riscsiadm::db::store::Policy;

use super::{changes, found, id, layout, send_targets, store};

#[test]
fn ten_writers_at_once_lose_nothing() {
    let (_dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let keys = [
        "node.session.initial_login_retry_max",
        "node.session.queue_depth",
        "node.session.cmds_max",
        "node.session.timeo.replacement_timeout",
        "node.session.err_timeo.abort_timeout",
        "node.session.err_timeo.lu_reset_timeout",
        "node.session.err_timeo.tgt_reset_timeout",
        "node.conn[0].timeo.login_timeout",
        "node.conn[0].timeo.logout_timeout",
        "node.conn[0].timeo.noop_out_interval",
    ];
    thread::scope(|scope| {
        for (thread, key) in keys.iter().enumerate() {
            let (store, node) = (&store, &node);
            scope.spawn(move || {
                for round in 0..10 {
                    store.update_node(node, &changes(&[(key, &(100 + round).to_string())])).unwrap();
                    let there = id(&format!("t{thread}"), "10.0.0.1", Some(round), "default");
                    store.new_node(&there).unwrap();
                    assert!(store.nodes().unwrap().contains(&there));
                }
            });
        }
    });
    let record = store.node(&node).unwrap();
    for key in keys {
        assert_eq!(record.number(key), 109, "{key}");
    }
    assert_eq!(store.nodes().unwrap().len(), 101);
}

#[test]
fn records_that_open_iscsi_shares_are_changed_under_its_lock() {
    let (_dir, store) = store();
    let locks = tempfile::tempdir().unwrap();
    let [lock, link] = ["lock", "lock.write"].map(|name| locks.path().join(name));
    fs::write(&lock, "").unwrap();
    let (node, other) = (id("a", "10.0.0.1", Some(1), "default"), id("b", "10.0.0.1", Some(1), "default"));
    store.new_node(&node).unwrap();
    let shared = store.clone().shared(locks.path());
    // What iscsiadm does while it changes a record.
    fs::hard_link(&lock, &link).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| shared.new_node(&other));
        while !locks.path().join("riscsiadm").exists() {
            assert!(!writer.is_finished(), "it waits");
            thread::yield_now();
        }
        // Reading does not wait, and nothing is changed yet.
        assert_eq!(shared.nodes().unwrap(), from_ref(&node));
        assert!(!writer.is_finished());
        fs::remove_file(&link).unwrap();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(store.nodes().unwrap(), [node, other]);
    assert!(!link.exists());
    // Records in any other place have nothing to do with it.
    fs::hard_link(&lock, &link).unwrap();
    store.new_node(&id("c", "10.0.0.1", Some(1), "default")).unwrap();
    assert!(link.exists());
}

#[test]
fn readers_never_see_half_a_record() {
    let (_dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let complete = store.node(&node).unwrap().fields(false).len();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..50 {
                store.update_node(&node, &changes(&[("node.session.auth.username", &"x".repeat(round * 5))])).unwrap();
            }
        });
        while !writer.is_finished() {
            let record = store.node(&node).unwrap();
            assert_eq!(record.fields(false).len(), complete);
            assert_eq!(record.explicit("node.conn[0].iscsi.OFMarker"), Some("No"));
        }
    });
}

#[test]
fn what_a_killed_writer_left_is_ignored_and_swept_up() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let before = layout(dir.path());
    let left = dir.path().join(".riscsiadm-tmp-dead");
    fs::write(&left, "# BEGIN RECORD 2.1.11\nnode.na").unwrap();
    let portal = dir.path().join("nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1");
    fs::write(portal.join(".tmpdead"), "half").unwrap();
    assert_eq!(store.nodes().unwrap(), from_ref(&node));
    store.update_node(&node, &changes(&[("node.startup", "onboot")])).unwrap();
    assert!(!left.exists());
    fs::remove_file(portal.join(".tmpdead")).unwrap();
    assert_eq!(layout(dir.path()), before);
}

#[test]
fn a_failed_write_leaves_the_old_record_and_no_litter() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let before = layout(dir.path());
    // A directory stands where the record of another node would go.
    let there = dir.path().join("nodes/iqn.2001-04.com.example:b/10.0.0.1,3260,1/default/x");
    fs::create_dir_all(&there).unwrap();
    let error = store.new_node(&id("b", "10.0.0.1", Some(1), "default")).unwrap_err();
    assert_eq!(error.code(), 6);
    assert!(error.to_string().contains("10.0.0.1,3260,1/default"), "{error}");
    fs::remove_dir_all(dir.path().join("nodes/iqn.2001-04.com.example:b")).unwrap();
    assert_eq!(layout(dir.path()), before);
    let hidden = fs::read_dir(dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".riscsiadm-tmp-"));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn foreign_and_damaged_files_do_not_stop_a_listing() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let nodes = dir.path().join("nodes");
    let target = nodes.join("iqn.2001-04.com.example:a");
    for path in [
        nodes.join("no name"),
        nodes.join("disk1/10.0.0.1,3260,1"),
        target.join("rubbish"),
        target.join("10.0.0.1,0,1"),
        target.join(",3260,1"),
        target.join("10.0.0.1,3260,1/not a name"),
        target.join("10.0.0.2,3260,1/default/deeper"),
    ] {
        fs::create_dir_all(path).unwrap();
    }
    fs::write(nodes.join("iqn.2001-04.com.example:file"), "x").unwrap();
    symlink("/nonexistent", nodes.join("iqn.2001-04.com.example:link")).unwrap();
    symlink("loop", target.join("10.0.0.3,3260,1")).unwrap();
    fs::write(target.join("10.0.0.1,3260,1/\u{e4}"), "x").unwrap();
    fs::create_dir_all(dir.path().join("send_targets/rubbish")).unwrap();
    assert_eq!(store.nodes().unwrap(), from_ref(&node));
    assert_eq!(store.discoveries().unwrap(), []);
    assert_eq!(store.by_source().unwrap().values().flatten().collect::<Vec<_>>(), [&node]);
}

#[test]
fn an_empty_or_damaged_record_is_still_listed_and_can_be_deleted() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    let old = id("a", "10.0.0.2", None, "default");
    for id in [&node, &old] {
        store.new_node(id).unwrap();
    }
    let target = dir.path().join("nodes/iqn.2001-04.com.example:a");
    fs::write(target.join("10.0.0.1,3260,1/default"), "").unwrap();
    fs::write(target.join("10.0.0.2,3260"), b"\xff\0rubbish\nnode.startup = automatic\n").unwrap();
    assert_eq!(store.nodes().unwrap(), [node.clone(), old.clone()]);
    assert_eq!(store.node(&node).unwrap().get("node.startup"), "manual");
    assert_eq!(store.node(&old).unwrap().get("node.startup"), "automatic");
    store.delete_node(&node).unwrap();
    store.delete_node(&old).unwrap();
    assert_eq!(store.nodes().unwrap(), []);
}

#[test]
fn a_record_of_any_length_is_refused_before_it_is_read() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let path = dir.path().join("nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1/default");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(64 * 1024).unwrap();
    store.node(&node).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = store.node(&node).unwrap_err();
    assert_eq!(error.code(), 6);
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
    assert_eq!(store.nodes().unwrap(), [node]);
}

#[test]
fn hostile_names_never_become_a_path() {
    let (dir, store) = store();
    let outer = dir.path().parent().unwrap();
    let before: Vec<_> = fs::read_dir(outer).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let long = "a".repeat(4096);
    for host in ["../../../escaped", "..", "/escaped", "a/../../escaped", "a\0b", "a\nb", "\u{1b}[2J", ".x", "", &long]
    {
        let mut node = id("a", "10.0.0.1", Some(1), "default");
        node.portal.host = Host::Name(host.to_owned());
        for tag in [None, Some(1)] {
            node.tag = tag;
            assert_eq!(store.new_node(&node).unwrap_err().code(), 7, "{host:?}");
        }
        let mut answer = found("a", &["10.0.0.1:3260,1"]);
        answer.addresses[0].portal.host = Host::Name(host.to_owned());
        let ifaces = [node.iface.clone()];
        let asked = send_targets("10.0.0.1");
        assert_eq!(store.add_discovered(&asked, &[answer], &ifaces, Policy::MERGE, &[]).unwrap_err().code(), 7);
        let asked = riscsiadm::db::node::Source::SendTargets(node.portal.clone());
        assert_eq!(store.ensure_discovery(&asked).unwrap_err().code(), 7, "{host:?}");
    }
    assert_eq!(layout(dir.path()), [""; 0]);
    let after: Vec<_> = fs::read_dir(outer).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!after.iter().any(|name| !before.contains(name) && name.to_string_lossy().contains("escaped")));
}

#[test]
fn a_zone_stays_inside_its_component() {
    let (_dir, store) = store();
    let mut node = id("a", "[fe80::1%eth0]:3260", Some(1), "default");
    store.new_node(&node).unwrap();
    assert_eq!(store.nodes().unwrap(), from_ref(&node));
    if let Host::V6 { zone, .. } = &mut node.portal.host {
        *zone = Some("../../x".to_owned());
    }
    assert_eq!(store.new_node(&node).unwrap_err().code(), 7);
}

#[test]
fn the_longest_name_at_the_longest_address_is_stored_listed_and_deleted() {
    let (dir, store) = store();
    let name = "x".repeat(223 - "iqn.2001-04.com.example:".len());
    let asked = send_targets("10.0.0.1");
    let there = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535,65535";
    store.ensure_discovery(&asked).unwrap();
    let result = store
        .add_discovered(&asked, &[found(&name, &[there])], &["default".parse().unwrap()], Policy::MERGE, &[])
        .unwrap();
    let node = result.nodes[0].0.clone();
    assert_eq!(store.by_source().unwrap()[&asked], from_ref(&node));
    assert!(!layout(dir.path()).iter().any(|line| line.contains("->")));
    assert_eq!(store.delete_discovery(&asked, &[]).unwrap().deleted, [node]);
}

#[test]
fn records_are_for_their_owner_alone_whatever_the_file_had_before() {
    let (dir, store) = store();
    let node = id("a", "10.0.0.1", Some(1), "default");
    store.new_node(&node).unwrap();
    let path = dir.path().join("nodes/iqn.2001-04.com.example:a/10.0.0.1,3260,1/default");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    store.update_node(&node, &changes(&[("node.session.auth.password", "hunter2")])).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_thousand_targets_are_added_and_found_again() {
    let (_dir, store) = store();
    let answer: Vec<_> = (0..1000).map(|n| found(&format!("t{n}"), &["10.0.0.1:3260,1"])).collect();
    let asked = send_targets("10.0.0.1");
    let ifaces = ["default".parse().unwrap()];
    for _ in 0..2 {
        store.add_discovered(&asked, &answer, &ifaces, Policy::MERGE, &[]).unwrap();
        assert_eq!(store.nodes().unwrap().len(), 1000);
    }
    let filter = Filter { target: Some(answer[500].target.clone()), ..Filter::default() };
    assert_eq!(store.find(&filter).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_in_the_place_of_a_record_is_read_and_replaced(bytes: Vec<u8>, line in "[ -~]{0,40}") {
        let (dir, store) = store();
        let target = dir.path().join("nodes/iqn.2001-04.com.example:a");
        fs::create_dir_all(&target).unwrap();
        for text in [bytes, line.into_bytes()] {
            fs::write(target.join("10.0.0.1,3260"), &text).unwrap();
            let nodes = store.nodes().unwrap();
            prop_assert!(nodes.len() <= 1);
            for node in nodes {
                store.node(&node).unwrap();
                store.update_node(&node, &changes(&[("node.startup", "onboot")])).unwrap();
                let record = store.node(&node).unwrap();
                prop_assert_eq!(record.get("node.startup"), "onboot");
            }
        }
    }
}
