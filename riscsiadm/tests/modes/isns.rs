//! `-t isns`, in discovery and discoverydb mode.

use std::fs;

use iscsi_proto::isns::{Attribute, Function, Status, Tag};

use crate::isns::{IsnsServer, found, status, target};
use crate::{Tool, files, printed};

const X: &str = "iqn.2001-04.com.example";

fn two() -> Vec<Vec<Attribute>> {
    vec![
        target(&format!("{X}:b"), &[("10.0.0.2:3260", 2), ("[fd00::5]:3261", 3)]),
        target(&format!("{X}:a"), &[("10.0.0.1:3260", 1)]),
    ]
}

#[test]
fn what_the_server_knows_is_printed_and_written_down() {
    let server = IsnsServer::with(&two());
    let (tool, at) = (Tool::new(), server.addr);
    tool.file("initiatorname.iscsi", &format!("InitiatorName={X}:me\n"));
    let expected = format!("10.0.0.2:3260,2 {X}:b\n[fd00::5]:3261,3 {X}:b\n10.0.0.1:3260,1 {X}:a\n");
    assert_eq!(tool.ok(&format!("-m discovery -t isns -p {at}")), expected);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0, &seen[0].1[0]), (Function::QUERY, &Attribute::text(Tag::NAME, &format!("{X}:me"))));

    let comma = at.to_string().replace(':', ",");
    let links = ["a,10.0.0.1,3260,1", "b,10.0.0.2,3260,2", "b,fd00::5,3261,3"];
    let mut expected: Vec<String> = links.map(|link| format!("isns/{comma}/{X}:{link},default")).into();
    expected.push(format!("isns/{comma}/isns_config"));
    expected.extend(
        ["a/10.0.0.1,3260,1", "b/10.0.0.2,3260,2", "b/fd00::5,3261,3"].map(|node| format!("nodes/{X}:{node}/default")),
    );
    expected.sort();
    assert_eq!(files(&tool.db()), expected);
    let record = tool.ok(&format!("-m node -T {X}:a"));
    for (key, value) in [
        ("node.discovery_type", "isns"),
        ("node.discovery_address", "127.0.0.1"),
        ("node.discovery_port", &at.port().to_string()),
        ("node.startup", "manual"),
        ("node.tpgt", "1"),
    ] {
        assert_eq!(printed(&record, key), Some(value), "{key}");
    }
    assert_eq!(tool.ok("-m discovery"), format!("{at} via isns\n"));
    let tree = tool.ok("-m discoverydb -P 1");
    let isns = tree.split_once("iSNS:\n").unwrap().1.split_once("STATIC:\n").unwrap().0;
    assert!(isns.starts_with(&format!("DiscoveryAddress: {comma}\nTarget: {X}:")), "{tree}");
    assert!(tree.starts_with("SENDTARGETS:\nNo targets found.\niSNS:\n"), "{tree}");
}

#[test]
fn the_record_of_a_server_has_its_own_keys() {
    let server = IsnsServer::start([]);
    let (tool, at) = (Tool::new(), server.addr);
    let db = format!("-m discoverydb -t isns -p {at}");
    let comma = at.to_string().replace(':', ",");
    assert_eq!(tool.ok(&format!("{db} -o new")), format!("New discovery record for [{comma}] added.\n"));
    tool.ok(&format!("{db} -o update -n discovery.isns.use_discoveryd -v Yes"));
    let port = at.port();
    let record = format!(
        "# BEGIN RECORD 2.1.11\ndiscovery.startup = manual\ndiscovery.type = isns\n\
         discovery.sendtargets.address = 127.0.0.1\ndiscovery.sendtargets.port = {port}\n\
         discovery.isns.use_discoveryd = Yes\ndiscovery.isns.discoveryd_poll_inval = -1\n# END RECORD\n"
    );
    assert_eq!(tool.ok(&db), record);

    server.answer(found(&two()));
    assert_eq!(tool.ok(&format!("{db} -D")).lines().count(), 3);
    assert_eq!(tool.ok(&db), record);
    server.answer(found(&two()[1..]));
    assert_eq!(tool.ok(&format!("{db} -D -P 1")), {
        format!("Target: {X}:a\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n")
    });
    assert_eq!(tool.ok("-m node"), format!("10.0.0.1:3260,1 {X}:a\n"));
    assert_eq!(tool.ok(&format!("{db} -o delete")), "");
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn operations_write_their_part_and_no_more() {
    for (op, nodes, records) in [("-o nonpersistent", 0, 0), ("-o show", 0, 1), ("-o new", 3, 1), ("", 3, 1)] {
        let server = IsnsServer::with(&two());
        let tool = Tool::new();
        assert_eq!(tool.ok(&format!("-m discovery -t isns -p {} {op}", server.addr)).lines().count(), 3);
        assert_eq!(tool.run("-m node").0.lines().count(), nodes, "{op}");
        assert_eq!(tool.run("-m discovery").0.lines().count(), records, "{op}");
    }
}

#[test]
fn json_has_the_nodes_and_where_they_came_from() {
    let server = IsnsServer::with(&two()[1..]);
    let (tool, at) = (Tool::new(), server.addr);
    let node = serde_json::json!({
        "target": format!("{X}:a"), "address": "10.0.0.1", "port": 3260, "tpgt": 1, "iface": "default",
    });
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let nodes = serde_json::json!({ "schema": 1, "nodes": [node] });
    assert_eq!(parse(&tool.ok(&format!("-m discovery -t isns -p {at} --json"))), nodes);
    let known = &parse(&tool.ok("-m discovery --json"))["discoveries"][0];
    assert_eq!((known["type"].as_str(), known["port"].as_u64()), (Some("isns"), Some(at.port().into())));
    assert_eq!(known["nodes"], nodes["nodes"]);
}

#[test]
fn a_server_that_does_not_know_the_initiator_registers_it_for_the_time() {
    let server = IsnsServer::start([
        status(Status::SOURCE_UNKNOWN),
        status(Status::SUCCESS),
        found(&two()[1..]),
        status(Status::SUCCESS),
    ]);
    let tool = Tool::new();
    assert_eq!(tool.ok(&format!("-m discovery -t isns -p {}", server.addr)), format!("10.0.0.1:3260,1 {X}:a\n"));
    let functions: Vec<_> = server.seen().into_iter().map(|(function, _)| function).collect();
    assert_eq!(functions, [Function::QUERY, Function::REGISTER, Function::QUERY, Function::DEREGISTER]);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let server = IsnsServer::start([status(Status::BUSY), status(Status::BUSY), found(&two())]);
    assert_eq!(Tool::new().ok(&format!("-m discovery -t isns -p {}", server.addr)).lines().count(), 3);
}

#[test]
fn what_the_server_refuses_is_told_by_code_and_word() {
    for (answers, code, line) in [
        (
            vec![status(Status::SOURCE_UNAUTHORIZED)],
            25,
            "The iSNS server refused the query: source unauthorized (status 8)",
        ),
        (
            vec![status(Status::SOURCE_UNKNOWN), status(Status::INVALID_REGISTRATION)],
            26,
            "The iSNS server refused to register this initiator: invalid registration (status 3)",
        ),
        (vec![], 25, "The iSNS server closed the connection instead of answering"),
    ] {
        let server = IsnsServer::start(answers);
        let word = if code == 25 { "query" } else { "registration" };
        let last = format!("Could not perform iSNS discovery: iSNS {word} failed");
        let tool = Tool::new();
        tool.fails(&format!("-m discovery -t isns -p {}", server.addr), code, &[line, &last]);
        assert_eq!(files(&tool.db()), [""; 0]);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines = [
        "cannot make connection to 127.0.0.1: Connection refused".to_owned(),
        format!(
            "Nothing listens on port {} there: check address and port, and that the iSNS server is running",
            free.port()
        ),
        "Could not perform iSNS discovery: encountered connection failure".to_owned(),
    ];
    let lines = lines.each_ref().map(String::as_str);
    Tool::new().fails(&format!("-m discovery -t isns -p {free}"), 4, &lines);
}

#[test]
fn nothing_found_is_code_21() {
    let server = IsnsServer::with(&[]);
    Tool::new().fails(&format!("-m discovery -t isns -p {}", server.addr), 21, &["No portals found"]);
}

#[test]
fn what_cannot_be_a_target_is_named_and_left_out() {
    let bad = [target("../../etc", &[("10.0.0.9:3260", 1)]), two()[1].clone(), target(&format!("{X}:c"), &[])];
    let server = IsnsServer::with(&bad);
    let (out, err, code) = Tool::new().run(&format!("-m discovery -t isns -p {}", server.addr));
    assert_eq!((out, code), (format!("10.0.0.1:3260,1 {X}:a\n"), 0));
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(lines[0].starts_with("iscsiadm: left out the target named \"../../etc\""), "{err}");
    assert_eq!(lines[1], format!("iscsiadm: left out {X}:c: the iSNS server knows no portal of it"));
}

#[test]
fn a_trace_shows_the_conversation() {
    let server = IsnsServer::with(&two());
    let tool = Tool::new();
    let file = tool.file("trace.pcapng", "");
    tool.ok(&format!("-m discovery -t isns -p {} --trace {file}", server.addr));
    let bytes = fs::read(file).unwrap();
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    // The header of the query, and a name of the answer.
    assert!(holds(b"\0\x01\0\x02\0"));
    assert!(holds(b"\x8c\0\0\x01\0\0"));
    assert!(holds(b":b"));
}
