//! `-m discoverydb`.

use crate::portal::{Portal, target};
use crate::{Tool, files, printed};

const X: &str = "iqn.2001-04.com.example";
const USERNAME: &str = "discovery.sendtargets.auth.username";

#[test]
fn a_record_is_made_printed_changed_and_deleted() {
    let tool = Tool::new();
    let at = "-m discoverydb -t sendtargets -p 10.0.0.1";
    assert_eq!(tool.ok(&format!("{at} -I default --op new")), "New discovery record for [10.0.0.1,3260] added.\n");
    assert_eq!(files(&tool.db()), ["send_targets/10.0.0.1,3260/st_config"]);
    let three = format!(
        "-n discovery.sendtargets.auth.authmethod -v CHAP -n {USERNAME} -v joe \
         -n discovery.sendtargets.auth.password -v joessecret12"
    );
    assert_eq!(tool.ok(&format!("{at} -I default --op update {three}")), "");
    let record = tool.ok(at);
    for (key, value) in [
        ("discovery.type", "sendtargets"),
        ("discovery.sendtargets.auth.authmethod", "CHAP"),
        (USERNAME, "joe"),
        ("discovery.sendtargets.auth.password", "********"),
        ("discovery.sendtargets.auth.username_in", "<empty>"),
        ("discovery.sendtargets.reopen_max", "5"),
    ] {
        assert_eq!(printed(&record, key), Some(value), "{key}");
    }
    let shown = tool.ok(&format!("{at} -o show -S"));
    assert_eq!(printed(&shown, "discovery.sendtargets.auth.password"), Some("joessecret12"));
    assert_eq!(tool.ok("-m discoverydb"), "10.0.0.1:3260 via sendtargets\n");
    assert_eq!(tool.ok(&format!("{at} -o delete")), "");
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn isns_servers_have_records_of_their_own() {
    let tool = Tool::new();
    assert_eq!(
        tool.ok("-m discoverydb -t isns -p 10.0.0.1 -o new"),
        "New discovery record for [10.0.0.1,3205] added.\n"
    );
    assert_eq!(printed(&tool.ok("-m discoverydb -t isns -p 10.0.0.1"), "discovery.type"), Some("isns"));
    assert_eq!(tool.ok("-m discoverydb"), "10.0.0.1:3205 via isns\n");
}

#[test]
fn a_record_that_is_missing_is_code_6() {
    for op in ["", "-o show", "-o delete", "-o update -n discovery.sendtargets.reopen_max -v 1"] {
        let line = format!("-m discoverydb -t st -p 10.0.0.1 {op}");
        Tool::new().fails(&line, 6, &["Discovery record [10.0.0.1,3260] not found."]);
    }
}

#[test]
fn a_wrong_setting_changes_nothing() {
    let at = "-m discoverydb -t st -p 10.0.0.1";
    for (setting, lines) in [
        ("-n no.such.key -v 1", &["Cannot modify no.such.key. Invalid param name."][..]),
        (
            "-n discovery.sendtargets.address -v 10.0.0.2",
            &["Cannot modify discovery.sendtargets.address. It is used to look up the record and cannot be changed."],
        ),
        (
            "-n discovery.startup -v sometimes",
            &[
                "unknown value format 'sometimes' for parameter name 'discovery.startup'",
                "The value has to be one of: manual automatic",
            ],
        ),
    ] {
        let tool = Tool::new();
        tool.fails(&format!("{at} -o new -n {USERNAME} -v joe {setting}"), 7, lines);
        assert_eq!(files(&tool.db()), [""; 0], "{setting}");
        tool.ok(&format!("{at} -o new"));
        tool.fails(&format!("{at} -o update -n {USERNAME} -v joe {setting}"), 7, lines);
        assert_eq!(printed(&tool.ok(at), USERNAME), Some("<empty>"), "{setting}");
    }
}

#[test]
fn discovery_makes_a_record_where_there_is_none_and_keeps_one_that_is_there() {
    let portal = Portal::with(&target("a", &[]));
    let (tool, at) = (Tool::new(), portal.addr);
    let discover = format!("-m discoverydb -t sendtargets -I default -p {at} --discover");
    assert_eq!(tool.ok(&format!("{discover} -o nonpersistent")), format!("{at},1 {X}:a\n"));
    assert_eq!(files(&tool.db()), [""; 0]);
    assert_eq!(tool.ok(&discover), format!("{at},1 {X}:a\n"));
    tool.ok(&format!("-m discoverydb -t st -p {at} -o update -n discovery.sendtargets.reopen_max -v 2"));
    tool.ok(&discover);
    tool.ok(&format!("-m discovery -t st -p {at}"));
    let record = tool.ok(&format!("-m discoverydb -t st -p {at}"));
    assert_eq!(printed(&record, "discovery.sendtargets.reopen_max"), Some("2"));
}

#[test]
fn discovery_mode_takes_up_what_iscsid_conf_says_and_discoverydb_does_not() {
    let portal = Portal::with(&target("a", &[]));
    let (tool, at) = (Tool::new(), portal.addr);
    let key = "discovery.sendtargets.iscsi.MaxRecvDataSegmentLength";
    tool.file("iscsid.conf", &format!("{key} = 8192\n"));
    tool.ok(&format!("-m discovery -t st -p {at}"));
    tool.file("iscsid.conf", &format!("{key} = 16384\n"));
    portal.seen();
    tool.ok(&format!("-m discoverydb -t st -p {at} -D"));
    assert!(portal.seen().contains(&"MaxRecvDataSegmentLength=8192".to_owned()));
    tool.ok(&format!("-m discovery -t st -p {at}"));
    assert!(portal.seen().contains(&"MaxRecvDataSegmentLength=16384".to_owned()));
    assert_eq!(printed(&tool.ok(&format!("-m discovery -p {at}")), key), Some("16384"));
}
