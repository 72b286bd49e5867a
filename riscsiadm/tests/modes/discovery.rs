//! `-m discovery`.

use iscsi_proto::pdu::LoginStatus;

use crate::portal::{Portal, Script, target};
use crate::{Tool, files, printed};

const X: &str = "iqn.2001-04.com.example";

fn refusing(statuses: &[LoginStatus]) -> Portal {
    let refuse = statuses.iter().copied().collect();
    Portal::start(Script { answer: target("a", &[]), refuse, ..Script::default() })
}

#[test]
fn what_was_found_is_printed_in_the_order_of_the_target_and_written_down() {
    let portal = Portal::with(&(target("b", &["10.0.0.2:3260,2", "[fd00::5]:3261,3"]) + &target("a", &[])));
    let (tool, at) = (Tool::new(), portal.addr);
    let expected = format!("10.0.0.2:3260,2 {X}:b\n[fd00::5]:3261,3 {X}:b\n{at},1 {X}:a\n");
    assert_eq!(tool.ok(&format!("--mode discovery --type sendtargets --portal {at}")), expected);
    let seen = portal.seen();
    for pair in ["SessionType=Discovery", "AuthMethod=None", "MaxRecvDataSegmentLength=32768", "SendTargets=All"] {
        assert!(seen.iter().any(|other| other == pair), "{pair}: {seen:?}");
    }
    let comma = at.to_string().replace(':', ",");
    let mut expected = vec![
        format!("nodes/{X}:a/{comma},1/default"),
        format!("nodes/{X}:b/10.0.0.2,3260,2/default"),
        format!("nodes/{X}:b/fd00::5,3261,3/default"),
        format!("send_targets/{comma}/{X}:a,{comma},1,default"),
        format!("send_targets/{comma}/{X}:b,10.0.0.2,3260,2,default"),
        format!("send_targets/{comma}/{X}:b,fd00::5,3261,3,default"),
        format!("send_targets/{comma}/st_config"),
    ];
    expected.sort();
    assert_eq!(files(&tool.db()), expected);
    let list = format!("10.0.0.2:3260,2 {X}:b\n[fd00::5]:3261,3 {X}:b\n");
    assert_eq!(tool.ok("-m node"), format!("{at},1 {X}:a\n{list}"));
}

#[test]
fn level_1_prints_a_tree() {
    let portal = Portal::with(&target("b", &["10.0.0.2:3260,2", "[fd00::5]:3261,3"]));
    let expected = format!(
        "Target: {X}:b\n\tPortal: 10.0.0.2:3260,2\n\t\tIface Name: default\n\
         \tPortal: [fd00::5]:3261,3\n\t\tIface Name: default\n"
    );
    assert_eq!(Tool::new().ok(&format!("-m discovery -t st -P 1 -p {}", portal.addr)), expected);
}

#[test]
fn a_host_name_stays_one_in_the_records() {
    let portal = Portal::with(&target("a", &[]));
    let (tool, port) = (Tool::new(), portal.addr.port());
    assert_eq!(tool.ok(&format!("-m discovery -t st -p localhost:{port}")), format!("localhost:{port},1 {X}:a\n"));
    assert_eq!(tool.ok("-m discovery"), format!("localhost:{port} via sendtargets\n"));
    let record = tool.ok(&format!("-m node -p 127.0.0.1:{port}"));
    assert_eq!(printed(&record, "node.conn[0].address"), Some("localhost"));
    assert_eq!(printed(&record, "node.discovery_address"), Some("localhost"));
}

#[test]
fn settings_that_a_person_made_survive_another_discovery() {
    let portal = Portal::with(&(target("a", &[]) + &target("b", &[])));
    let tool = Tool::new();
    let discover = format!("-m discovery -t st -p {}", portal.addr);
    tool.ok(&discover);
    tool.ok(&format!("-m node -T {X}:a -o update -n node.startup -v automatic"));
    portal.answer(&target("a", &[]));
    tool.ok(&discover);
    assert_eq!(printed(&tool.ok(&format!("-m node -T {X}:a")), "node.startup"), Some("automatic"));
    tool.fails(&format!("-m node -T {X}:b"), 21, &["No records found"]);
    tool.ok(&format!("{discover} -o new"));
    assert_eq!(printed(&tool.ok(&format!("-m node -T {X}:a")), "node.startup"), Some("automatic"));
    tool.ok(&format!("{discover} -o update"));
    assert_eq!(printed(&tool.ok(&format!("-m node -T {X}:a")), "node.startup"), Some("manual"));
}

#[test]
fn each_operation_writes_its_part_and_no_more() {
    for (op, nodes) in [
        ("-o nonpersistent", &[][..]),
        ("-o show", &[]),
        ("-o delete", &[]),
        ("-o new", &["a"]),
        ("-o update", &["a"]),
        ("-o new -o delete", &["a"]),
        ("", &["a"]),
    ] {
        let portal = Portal::with(&target("a", &[]));
        let (tool, at) = (Tool::new(), portal.addr);
        assert_eq!(tool.ok(&format!("-m discovery -t st -p {at} {op}")), format!("{at},1 {X}:a\n"), "{op}");
        let (list, _, _) = tool.run("-m node");
        let expected = nodes.iter().map(|name| format!("{at},1 {X}:{name}\n")).collect::<Vec<_>>().concat();
        assert_eq!(list, expected, "{op}");
        assert_eq!(tool.run("-m discovery").2, if op == "-o nonpersistent" { 21 } else { 0 }, "{op}");
        if op == "-o nonpersistent" {
            assert_eq!(files(&tool.db()), [""; 0], "{op}");
        }
    }
}

#[test]
fn what_is_gone_is_deleted_only_where_that_is_asked() {
    for (op, left) in [("-o new", 2), ("-o update", 2), ("-o show", 2), ("-o delete", 1), ("", 1)] {
        let portal = Portal::with(&(target("a", &[]) + &target("b", &[])));
        let tool = Tool::new();
        tool.ok(&format!("-m discovery -t st -p {}", portal.addr));
        portal.answer(&target("a", &[]));
        tool.ok(&format!("-m discovery -t st -p {} {op}", portal.addr));
        assert_eq!(tool.ok("-m node").lines().count(), left, "{op}");
    }
}

#[test]
fn records_are_bound_to_the_interfaces_that_are_named() {
    let portal = Portal::with(&target("a", &[]));
    let (tool, at) = (Tool::new(), portal.addr);
    tool.ok("-m iface -I if0 -o new");
    tool.ok("-m iface -I if1 -o new -n iface.initiatorname -v iqn.2001-04.com.example:other");
    let line = format!("{at},1 {X}:a\n");
    assert_eq!(tool.ok(&format!("-m discovery -t st -p {at}")), line);
    assert_eq!(tool.ok("-m node -P 1").matches("Iface Name: if").count(), 2);
    assert!(portal.seen().contains(&format!("InitiatorName={X}:other")));
    tool.ok("-m node -o delete");

    let (out, err, code) = tool.run(&format!("-m discovery -t st -p {at} -I nix -I default -I default"));
    assert_eq!((out, err.as_str(), code), (line.clone(), "iscsiadm: Could not read iface info for nix.\n", 0));
    assert_eq!(tool.ok("-m node -P 1"), format!("Target: {X}:a\n\tPortal: {at},1\n\t\tIface Name: default\n"));
    assert!(!portal.seen().contains(&format!("InitiatorName={X}:other")));

    let lines = ["Could not read iface info for nix.", "No interfaces found."];
    tool.fails(&format!("-m discovery -t st -p {at} -I nix"), 21, &lines);
    assert_eq!(portal.seen(), [""; 0]);
}

#[test]
fn the_initiator_has_one_name_and_keeps_it() {
    let portal = Portal::with(&target("a", &[]));
    let tool = Tool::new();
    let names = [0; 2].map(|_| {
        tool.ok(&format!("-m discovery -t st -p {}", portal.addr));
        portal.seen().into_iter().find(|pair| pair.starts_with("InitiatorName=")).unwrap()
    });
    assert_eq!(names[0], names[1]);
    tool.file("initiatorname.iscsi", "InitiatorName=iqn.2001-04.com.example:me\nInitiatorAlias=box\n");
    tool.ok(&format!("-m discovery -t st -p {}", portal.addr));
    let seen = portal.seen();
    assert!(seen.contains(&format!("InitiatorName={X}:me")) && seen.contains(&"InitiatorAlias=box".to_owned()));

    tool.file("initiatorname.iscsi", "nothing\n");
    let (out, err, code) = tool.run(&format!("-m discovery -t st -p {}", portal.addr));
    assert_eq!((out.as_str(), code), ("", 6));
    assert!(err.ends_with("\niscsiadm: Cannot perform discovery. Initiatorname required.\n"), "{err}");
    assert_eq!(err.lines().count(), 2);
}

#[test]
fn a_portal_that_knows_no_targets_is_nothing_found() {
    let portal = Portal::with("");
    let tool = Tool::new();
    tool.fails(&format!("-m discovery -t st -p {}", portal.addr), 21, &["No portals found"]);
}

#[test]
fn r302_what_no_target_can_be_called_is_named_and_left_out() {
    let bad = "TargetName=iqn.2001-04.com.example:../../x\0TargetAddress=10.0.0.9:3260,1\0";
    let portal = Portal::with(&(bad.to_owned() + &target("a", &[])));
    let tool = Tool::new();
    let (out, err, code) = tool.run(&format!("-m discovery -t st -p {}", portal.addr));
    assert_eq!((out, code), (format!("{},1 {X}:a\n", portal.addr), 0));
    assert!(err.starts_with("iscsiadm: left out the target named") && err.lines().count() == 1, "{err}");
    let found = files(&tool.db());
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|name| name.contains("example:a") || name.ends_with("/st_config")), "{found:?}");
}

#[test]
fn a_refused_connection_fails_at_once_and_leaves_nothing_behind() {
    let tool = Tool::new();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let advice =
        format!("Nothing listens on port {port} there: check address and port, and that the target is running");
    let lines = [
        "cannot make connection to 127.0.0.1: Connection refused",
        &advice,
        "Could not perform SendTargets discovery: encountered connection failure",
    ];
    tool.fails(&format!("-m discovery -t st -p 127.0.0.1:{port}"), 4, &lines);
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn a_name_without_address_fails_by_name() {
    let (out, err, code) = Tool::new().run("-m discovery -t st -p no-such-host.invalid");
    assert_eq!((out.as_str(), code), ("", 4));
    let lines: Vec<_> = err.lines().collect();
    assert!(lines[0].starts_with("iscsiadm: Cannot resolve host no-such-host.invalid. getaddrinfo error: ["), "{err}");
    assert_eq!(lines[1..], ["iscsiadm: Could not perform SendTargets discovery: encountered connection failure"]);
}

#[test]
fn a_silent_portal_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tool = Tool::new();
    let line = format!("-m discovery -t st -p {} --timeout 200ms", listener.local_addr().unwrap());
    let (out, err, code) = tool.run(&line);
    assert_eq!((out.as_str(), code), ("", 8));
    assert!(err.ends_with("\niscsiadm: Could not perform SendTargets discovery: connection timed out\n"), "{err}");
}

#[test]
fn a_refused_login_says_who_is_at_fault_and_what_to_do() {
    for (status, code, first, last) in [
        (
            LoginStatus::AUTHENTICATION_FAILURE,
            24,
            "initiator failed authorization",
            "iSCSI login failed due to authorization failure",
        ),
        (
            LoginStatus::AUTHORIZATION_FAILURE,
            24,
            "initiator failed authorization",
            "iSCSI login failed due to authorization failure",
        ),
        (LoginStatus::NOT_FOUND, 19, "initiator error (02/03)", "encountered non-retryable iSCSI login failure"),
        (LoginStatus::SESSION_TYPE, 19, "initiator error (02/09)", "encountered non-retryable iSCSI login failure"),
    ] {
        let portal = refusing(&[status; 6]);
        let tool = Tool::new();
        let (out, err, ended) = tool.run(&format!("-m discovery -t st -p {}", portal.addr));
        assert_eq!((out.as_str(), ended), ("", code), "{status}: {err}");
        let lines: Vec<_> = err.lines().collect();
        assert_eq!(lines[0], format!("iscsiadm: discovery login to 127.0.0.1 rejected: {first}"));
        assert_eq!(lines[lines.len() - 1], format!("iscsiadm: Could not perform SendTargets discovery: {last}"));
        assert!(lines.len() > 2, "no advice: {err}");
        assert_eq!(portal.seen().iter().filter(|pair| pair.starts_with("SessionType")).count(), 1, "{status}");
        assert_eq!(files(&tool.db()), [""; 0]);
    }
}

#[test]
fn only_a_portal_that_is_busy_is_asked_again() {
    let portal = refusing(&[LoginStatus::SERVICE_UNAVAILABLE]);
    let tool = Tool::new();
    assert_eq!(tool.ok(&format!("-m discovery -t st -p {}", portal.addr)), format!("{},1 {X}:a\n", portal.addr));

    let portal = refusing(&[LoginStatus::OUT_OF_RESOURCES; 2]);
    let at = portal.addr;
    tool.ok(&format!("-m discoverydb -t st -p {at} -o new -n discovery.sendtargets.reopen_max -v 1"));
    let (out, err, code) = tool.run(&format!("-m discovery -p {at} -D"));
    assert_eq!((out.as_str(), code), ("", 5));
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines[0], "iscsiadm: discovery login to 127.0.0.1 rejected: target error (03/02)");
    assert_eq!(lines[1], "iscsiadm: connection login retries (reopen_max) 1 exceeded");
    assert_eq!(lines[3..], ["iscsiadm: Could not perform SendTargets discovery: encountered iSCSI login failure"]);
    assert_eq!(tool.ok(&format!("-m discovery -p {at} -D")), format!("{at},1 {X}:a\n"));
}

#[test]
fn without_a_type_the_stored_record_is_meant() {
    let portal = Portal::with(&target("a", &[]));
    let (tool, at) = (Tool::new(), portal.addr);
    let missing = format!("Discovery record [127.0.0.1,{}] not found!", at.port());
    for line in ["", "-D", "-l", "-o delete", "-o show"] {
        tool.fails(&format!("-m discovery -p {at} {line}"), 7, &[&missing]);
    }
    tool.ok(&format!("-m discovery -t st -p {at}"));
    let record = tool.ok(&format!("-m discovery -p {at}"));
    assert!(record.starts_with("# BEGIN RECORD 2.1.11\n") && record.ends_with("# END RECORD\n"));
    assert_eq!(printed(&record, "discovery.sendtargets.address"), Some("127.0.0.1"));
    assert_eq!(tool.ok(&format!("-m discovery -p {at} -D")), format!("{at},1 {X}:a\n"));
    assert_eq!(tool.ok(&format!("-m discovery -p {at} -o delete")), "");
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn the_list_has_four_parts_even_when_it_is_empty() {
    let tool = Tool::new();
    assert_eq!(tool.run("-m discovery"), (String::new(), String::new(), 21));
    let none = "No targets found.\n";
    let empty = format!("SENDTARGETS:\n{none}iSNS:\n{none}STATIC:\n{none}FIRMWARE:\n{none}");
    assert_eq!(tool.run("-m discovery -P 1"), (empty, String::new(), 21));
    let portal = Portal::with(&target("a", &["10.0.0.1:3260,1"]));
    tool.ok(&format!("-m discovery -t st -p {}", portal.addr));
    tool.ok(&format!("-m node -o new -T {X}:s -p 10.0.0.2"));
    let tree = tool.ok("-m discoverydb -o show -P 1");
    let expected = format!(
        "SENDTARGETS:\nDiscoveryAddress: 127.0.0.1,{}\nTarget: {X}:a\n\tPortal: 10.0.0.1:3260,1\n\
         \t\tIface Name: default\niSNS:\n{none}STATIC:\nTarget: {X}:s\n\tPortal: 10.0.0.2:3260,-1\n\
         \t\tIface Name: default\nFIRMWARE:\n{none}",
        portal.addr.port()
    );
    assert_eq!(tree, expected);
}

#[test]
fn a_login_needs_records() {
    let portal = Portal::with(&target("a", &[]));
    let (tool, at) = (Tool::new(), portal.addr);
    let (out, err, code) = tool.run(&format!("-m discovery -t st -p {at} -o nonpersistent -l"));
    assert_eq!((out, code), (format!("{at},1 {X}:a\n"), 7));
    assert!(err.starts_with("iscsiadm: Cannot log in: the given operation makes no node records"), "{err}");
}
