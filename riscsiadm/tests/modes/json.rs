//! `--json`: one document on standard output, failures on standard error.

use serde_json::{Value, json};

use crate::Tool;
use crate::portal::{Portal, target};

const X: &str = "iqn.2001-04.com.example";

/// Both streams, each as a document or null, and the exit code.
fn run(tool: &Tool, line: &str) -> (Value, Value, i32) {
    let (out, err, code) = tool.run(&format!("{line} --json"));
    let document = |text: &str| if text.is_empty() { Value::Null } else { serde_json::from_str(text).unwrap() };
    (document(&out), document(&err), code)
}

fn error(code: u8, message: &str) -> Value {
    json!({ "schema": 1, "error": { "code": code, "message": message } })
}

#[test]
fn what_is_listed_is_one_document() {
    let portal = Portal::with(&target("a", &["10.0.0.1:3260,1"]));
    let tool = Tool::new();
    let node =
        json!({ "target": format!("{X}:a"), "address": "10.0.0.1", "port": 3260, "tpgt": 1, "iface": "default" });
    let nodes = json!({ "schema": 1, "nodes": [node] });
    for line in [&format!("-m discovery -t st -p {}", portal.addr), "-m node", "-m node -P 1"] {
        assert_eq!(run(&tool, line), (nodes.clone(), Value::Null, 0), "{line}");
    }
    let (out, err, code) = run(&tool, "-m discovery");
    assert_eq!((&out["discoveries"][0]["nodes"], err, code), (&json!([node]), Value::Null, 0));
    for (line, kind) in [
        ("-m node -o show", "node"),
        ("-m iface -I default", "iface"),
        (&format!("-m discovery -p {}", portal.addr), "sendtargets"),
    ] {
        let (out, err, code) = run(&tool, line);
        assert_eq!((&out["records"][0]["type"], err, code), (&json!(kind), Value::Null, 0), "{line}");
    }
    let (out, _, code) = run(&tool, "-m iface");
    assert_eq!((&out["ifaces"][0]["name"], code), (&json!("default"), 0));
}

#[test]
fn nothing_is_an_empty_list_and_an_error() {
    for (line, member, text) in [
        ("-m node", "nodes", "No records found"),
        ("-m node -o show", "records", "No records found"),
        ("-m node -T iqn.2001-04.com.example:a", "records", "No records found"),
        ("-m discovery", "discoveries", "no objects found"),
        ("-m host -P 2", "hosts", "No iSCSI hosts."),
    ] {
        let empty = json!({ "schema": 1, member: [] });
        assert_eq!(run(&Tool::new(), line), (empty, error(21, text), 21), "{line}");
    }
    let portal = Portal::with("");
    let (out, err, code) = run(&Tool::new(), &format!("-m discovery -t st -p {}", portal.addr));
    assert_eq!((out, err, code), (json!({ "schema": 1, "nodes": [] }), error(21, "No portals found"), 21));
}

#[test]
fn what_was_done_is_not_told() {
    let tool = Tool::new();
    for line in [
        "-m node -o new -T iqn.2001-04.com.example:a -p 10.0.0.1",
        "-m node -o update -n node.startup -v automatic",
        "-m discoverydb -t st -p 10.0.0.1 -o new",
        "-m iface -I if0 -o new -n iface.mtu -v 1",
        "-m iface -I if0 -o delete",
    ] {
        assert_eq!(run(&tool, line), (Value::Null, Value::Null, 0), "{line}");
    }
}

#[test]
fn all_lines_of_a_failure_are_one_document() {
    let tool = Tool::new();
    tool.ok("-m node -o new -T iqn.2001-04.com.example:a -p 10.0.0.1");
    let text = "unknown value format 'x' for parameter name 'node.startup'\nThe value has to be one of: manual automatic \
                onboot\nCould not execute operation on all records: invalid parameter";
    let line = "-m node -o update -n node.startup -v x";
    assert_eq!(run(&tool, line), (Value::Null, error(7, text), 7));
}
