//! `-m iface`.

use crate::{Tool, files, printed};

const X: &str = "iqn.2001-04.com.example";
const BUILT_IN: &str = "default tcp,<empty>,<empty>,<empty>,<empty>\niser iser,<empty>,<empty>,<empty>,<empty>\n";

#[test]
fn two_interfaces_always_exist() {
    let tool = Tool::new();
    assert_eq!(tool.ok("--mode iface"), BUILT_IN);
    assert_eq!(tool.ok("-m iface -P 1"), "");
    for (name, transport) in [("default", "tcp"), ("iser", "iser")] {
        let record = tool.ok(&format!("-m iface -I {name}"));
        assert_eq!(record, tool.ok(&format!("-m iface -o show -I {name}")));
        assert_eq!(printed(&record, "iface.iscsi_ifacename"), Some(name));
        assert_eq!(printed(&record, "iface.transport_name"), Some(transport));
    }
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn an_interface_is_made_changed_and_deleted() {
    let tool = Tool::new();
    let at = "-m iface -I 10.0.0.1:3260:vol";
    assert_eq!(tool.ok(&format!("{at} --op=new")), {
        "10.0.0.1:3260:vol updated.\nNew interface 10.0.0.1:3260:vol added\n"
    });
    let setting = format!("--name iface.initiatorname --value {X}:other");
    assert_eq!(tool.ok(&format!("{at} --op update {setting}")), "10.0.0.1:3260:vol updated.\n");
    let line = format!("10.0.0.1:3260:vol tcp,<empty>,<empty>,<empty>,{X}:other\n");
    assert_eq!(tool.ok("-m iface"), line + BUILT_IN);
    assert_eq!(printed(&tool.ok(at), "iface.initiatorname"), Some("iqn.2001-04.com.example:other"));
    assert_eq!(tool.ok(&format!("{at} -o new -n iface.mtu -v 9000")), {
        "10.0.0.1:3260:vol updated.\nNew interface 10.0.0.1:3260:vol added\n"
    });
    assert_eq!(printed(&tool.ok(at), "iface.initiatorname"), Some("<empty>"));
    assert_eq!(tool.ok(&format!("{at} -o delete")), "10.0.0.1:3260:vol unbound and deleted.\n");
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn nodes_follow_their_interface() {
    let tool = Tool::new();
    tool.ok("-m iface -I if0 -o new");
    tool.ok(&format!("-m node -o new -T {X}:a -p 10.0.0.1:3260,1 -I if0"));
    let target = format!("\tTarget: {X}:a\n\t\tPortal: 10.0.0.1:3260,1\n");
    assert_eq!(tool.ok("-m iface -P 1"), format!("Iface: if0\n{target}Iface: default\nIface: iser\n"));
    assert_eq!(tool.ok("-m iface -I if0 -P 1"), format!("Iface: if0\n{target}"));
    tool.ok("-m iface -I if0 -o update -n iface.net_ifacename -v eth0");
    assert_eq!(printed(&tool.ok("-m node -o show"), "iface.net_ifacename"), Some("eth0"));
    tool.ok("-m iface -I if0 -o delete");
    tool.fails("-m node", 21, &["No records found"]);
}

#[test]
fn an_interface_that_is_missing_is_code_6() {
    let missing = "Could not read iface info for nix.";
    for line in ["", "-o show", "-P 1", "-C ping -a 10.0.0.1"] {
        Tool::new().fails(&format!("-m iface -I nix {line}"), 6, &[missing]);
    }
    let lines = [missing, "Could not update iface nix: encountered iSCSI database failure"];
    Tool::new().fails("-m iface -I nix -o update -n iface.mtu -v 1", 6, &lines);
    Tool::new().fails("-m iface -I nix -o apply", 6, &["Could not read iface nix (6)."]);
    Tool::new().fails("-m iface -I nix -o delete", 7, &[missing, "Could not delete iface nix: invalid parameter"]);
}

#[test]
fn a_wrong_setting_is_refused() {
    let tool = Tool::new();
    tool.ok("-m iface -I if0 -o new -n iface.net_ifacename -v eth0");
    let before = tool.ok("-m iface -I if0");
    let last = "Could not update iface if0: invalid parameter";
    for (setting, first) in [
        ("-n iface.bogus -v 1", "Cannot modify iface.bogus. Invalid param name."),
        (
            "-n iface.iscsi_ifacename -v if1",
            "Can not update iface.iscsi_ifacename. Delete it, and then create a new one.",
        ),
        (
            "-n iface.hwaddress -v 00:11:22:33:44:55",
            "Can not update interface binding from net_ifacename to hwaddress. You must delete the interface and create \
             a new one",
        ),
    ] {
        tool.fails(&format!("-m iface -I if0 -o update -n iface.mtu -v 9000 {setting}"), 7, &[first, last]);
        assert_eq!(tool.ok("-m iface -I if0"), before, "{setting}");
    }
    let lines =
        ["Cannot modify iface.bogus. Invalid param name.", "Could not create new interface if1: invalid parameter"];
    tool.fails("-m iface -I if1 -o new -n iface.bogus -v 1", 7, &lines);
    assert_eq!(files(&tool.db()), ["ifaces/if0"]);
}

#[test]
fn there_is_nothing_to_configure_in_an_adapter() {
    let tool = Tool::new();
    for (line, out) in [
        ("-I default -o apply", "default applied.\n"),
        ("-H 7 -o applyall", "Applied settings to ifaces attached to host7.\n"),
    ] {
        let ended = tool.run(&format!("-m iface {line}"));
        assert_eq!(ended, (out.to_owned(), "iscsiadm: Nothing to configure.\n".to_owned(), 0), "{line}");
    }
    tool.fails("-m iface -H 00:11:22:33:44:55 -o applyall", 7, &["Could not match MAC to host."]);
    let line = "Only an adapter with offload can ping through an interface: use ping of the system";
    tool.fails("-m iface -I default -C ping -a 10.0.0.1", 27, &[line]);
}
