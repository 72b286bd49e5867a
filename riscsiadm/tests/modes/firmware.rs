//! `-m fw`, and `-t fw` in discovery and discoverydb mode.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::{Tool, files, printed};

const X: &str = "iqn.2001-04.com.example";
const NONE: &str = "Could not get list of targets from firmware.";
const LINES: [&str; 4] = ["-m fw", "-m fw -l", "-m discovery -t fw", "-m discoverydb -t fw -D"];

/// A boot table with two targets, one of which asks for mutual CHAP.
fn table() -> TempDir {
    let sysfs = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("initiator/initiator-name", "iqn.2001-04.com.example:boot"),
        ("initiator/flags", "3"),
        ("ethernet0/flags", "3"),
        ("ethernet0/mac", "52:54:00:12:34:56"),
        ("ethernet0/ip-addr", "10.0.0.77"),
        ("ethernet0/prefix-len", "24"),
        ("ethernet0/dhcp", "10.0.0.254"),
        ("target0/flags", "3"),
        ("target0/target-name", "iqn.2001-04.com.example:a"),
        ("target0/ip-addr", "10.0.0.1"),
        ("target0/port", "3260"),
        ("target0/lun", "0000000000000000"),
        ("target0/nic-assoc", "0"),
        ("target0/chap-type", "0"),
        ("target1/flags", "1"),
        ("target1/target-name", "iqn.2001-04.com.example:b"),
        ("target1/ip-addr", "fd00:0000:0000:0000:0000:0000:0000:0005"),
        ("target1/port", "3261"),
        ("target1/nic-assoc", "0"),
        ("target1/chap-type", "2"),
        ("target1/chap-name", "joe"),
        ("target1/chap-secret", "joessecret12"),
        ("target1/rev-chap-name", "disk"),
        ("target1/rev-chap-name-secret", "diskssecret1"),
    ] {
        write(sysfs.path(), name, value);
    }
    sysfs
}

fn write(sysfs: &Path, name: &str, value: &str) {
    let path = sysfs.join("firmware/ibft").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{value}\n")).unwrap();
}

fn tool(sysfs: &Path) -> Tool {
    Tool::new().with_var("RISCSI_SYSFS", sysfs.to_str().unwrap())
}

#[test]
fn a_machine_that_did_not_boot_over_iscsi_has_no_targets_in_its_firmware() {
    let empty = tempfile::tempdir().unwrap();
    for line in LINES {
        tool(empty.path()).fails(line, 22, &[NONE]);
    }
}

#[test]
fn a_table_without_targets_is_code_21() {
    let sysfs = tempfile::tempdir().unwrap();
    write(sysfs.path(), "initiator/initiator-name", "iqn.2001-04.com.example:boot");
    for line in LINES {
        tool(sysfs.path()).fails(line, 21, &[NONE]);
    }
}

#[test]
fn the_table_is_printed_as_records() {
    let sysfs = table();
    let expected = "# BEGIN RECORD 2.1.11\n\
        iface.initiatorname = iqn.2001-04.com.example:boot\niface.transport_name = tcp\n\
        iface.hwaddress = 52:54:00:12:34:56\niface.bootproto = DHCP\niface.ipaddress = 10.0.0.77\niface.prefix_len = 24\n\
        node.name = iqn.2001-04.com.example:a\nnode.conn[0].address = 10.0.0.1\nnode.conn[0].port = 3260\n\
        node.boot_lun = 0000000000000000\n# END RECORD\n\
        # BEGIN RECORD 2.1.11\n\
        iface.initiatorname = iqn.2001-04.com.example:boot\niface.transport_name = tcp\n\
        iface.hwaddress = 52:54:00:12:34:56\niface.bootproto = DHCP\niface.ipaddress = 10.0.0.77\niface.prefix_len = 24\n\
        node.name = iqn.2001-04.com.example:b\nnode.conn[0].address = fd00:0000:0000:0000:0000:0000:0000:0005\n\
        node.conn[0].port = 3261\nnode.session.auth.username = joe\nnode.session.auth.password = joessecret12\n\
        node.session.auth.username_in = disk\nnode.session.auth.password_in = diskssecret1\n# END RECORD\n";
    let tool = tool(sysfs.path());
    assert_eq!(tool.ok("-m fw"), expected);
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn json_has_the_table_without_its_secrets() {
    let sysfs = table();
    let printed = tool(sysfs.path()).ok("-m fw --json");
    assert!(!printed.contains("secret1"), "{printed}");
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let [a, b] = &document["firmware"].as_array().unwrap()[..] else { panic!("{printed}") };
    assert_eq!(
        a["chap"],
        serde_json::json!({ "username": null, "password": null, "username_in": null, "password_in": null })
    );
    assert_eq!(b["chap"]["username"], "joe");
    assert_eq!(b["chap"]["password_in"], "********");
    let network = serde_json::json!({
        "hwaddress": "52:54:00:12:34:56", "netdev": null, "dhcp": true, "ipaddress": "10.0.0.77", "prefix_len": 24,
        "subnet_mask": null, "gateway": null, "dns": [], "vlan": null,
    });
    assert_eq!(a["network"], network);
    assert_eq!(
        (&a["target"], &a["lun"], &b["port"]),
        (&"iqn.2001-04.com.example:a".into(), &"0000000000000000".into(), &3261.into())
    );
}

#[test]
fn discovery_makes_records_that_know_what_the_firmware_knows() {
    let sysfs = table();
    let tool = tool(sysfs.path());
    let list = format!("10.0.0.1:3260,1 {X}:a\n[fd00::5]:3261,1 {X}:b\n");
    assert_eq!(tool.ok("-m discovery -t fw"), list);
    assert_eq!(
        files(&tool.db()),
        [
            format!("fw/{X}:a,10.0.0.1,3260,1,default"),
            format!("fw/{X}:b,fd00::5,3261,1,default"),
            format!("nodes/{X}:a/10.0.0.1,3260,1/default"),
            format!("nodes/{X}:b/fd00::5,3261,1/default"),
        ]
    );
    let record = tool.ok(&format!("-m node -T {X}:b -o show -S"));
    for (key, value) in [
        ("node.startup", "onboot"),
        ("node.conn[0].startup", "onboot"),
        ("node.discovery_type", "fw"),
        ("node.discovery_port", "0"),
        ("iface.initiatorname", "iqn.2001-04.com.example:boot"),
        ("node.session.auth.username", "joe"),
        ("node.session.auth.password", "joessecret12"),
        ("node.session.auth.username_in", "disk"),
        ("node.session.auth.password_in", "diskssecret1"),
    ] {
        assert_eq!(printed(&record, key), Some(value), "{key}");
    }
    assert!(tool.ok("-m discovery -P 1").contains(&format!("FIRMWARE:\nTarget: {X}:a\n\tPortal: 10.0.0.1:3260,1\n")));
    tool.ok("-m discoverydb -t fw -D");
    assert_eq!(tool.ok("-m node"), list);
}

#[test]
fn operations_and_levels_are_those_of_every_discovery() {
    let sysfs = table();
    let tool = tool(sysfs.path());
    assert_eq!(tool.ok("-m discovery -t fw -o nonpersistent").lines().count(), 2);
    assert_eq!(tool.ok("-m discovery -t fw -o show").lines().count(), 2);
    assert_eq!(files(&tool.db()), [""; 0]);
    let tree = tool.ok("-m discovery -t fw -P 1");
    assert!(
        tree.starts_with(&format!("Target: {X}:a\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n")),
        "{tree}"
    );
}

#[test]
fn what_the_firmware_says_now_counts_and_what_a_person_set_stays() {
    let sysfs = table();
    let tool = tool(sysfs.path());
    tool.ok("-m discovery -t fw");
    tool.ok(&format!("-m node -T {X}:b -o update -n node.startup -v manual"));
    write(sysfs.path(), "target1/chap-secret", "anothersecret");
    write(sysfs.path(), "target0/flags", "0");
    assert_eq!(tool.ok("-m discovery -t fw"), format!("[fd00::5]:3261,1 {X}:b\n"));
    let record = tool.ok(&format!("-m node -T {X}:b -o show -S"));
    assert_eq!(printed(&record, "node.session.auth.password"), Some("anothersecret"));
    assert_eq!(printed(&record, "node.startup"), Some("manual"));
    assert_eq!(tool.ok("-m node"), format!("[fd00::5]:3261,1 {X}:b\n"));
}

#[test]
fn only_the_secrets_that_the_chap_type_needs_are_taken() {
    for (kind, user, reverse) in [("0", "<empty>", "<empty>"), ("1", "joe", "<empty>"), ("2", "joe", "disk")] {
        let sysfs = table();
        write(sysfs.path(), "target1/chap-type", kind);
        let tool = tool(sysfs.path());
        tool.ok("-m discovery -t fw");
        let record = tool.ok(&format!("-m node -T {X}:b"));
        assert_eq!(printed(&record, "node.session.auth.username"), Some(user), "{kind}");
        assert_eq!(printed(&record, "node.session.auth.username_in"), Some(reverse), "{kind}");
    }
}

#[test]
fn what_cannot_be_a_target_is_named_and_left_out() {
    let sysfs = table();
    write(sysfs.path(), "target0/target-name", "../../etc");
    let (out, err, code) = tool(sysfs.path()).run("-m discovery -t fw");
    assert_eq!((out, code), (format!("[fd00::5]:3261,1 {X}:b\n"), 0));
    assert!(err.starts_with("iscsiadm: left out ../../etc of the firmware: "), "{err}");
}
