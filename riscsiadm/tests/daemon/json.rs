//! The same for programs.

use serde_json::{Value, from_str, json};

use super::target::Target;
use super::{NAME, Tool};

fn run(tool: &Tool, line: &str) -> Value {
    from_str(&tool.ok(&format!("{line} --json"))).unwrap()
}

#[test]
fn every_operation_on_sessions_prints_one_document() {
    let target = Target::start(&[0, 4]);
    let tool = Tool::with(&target);
    let made = run(&tool, &format!("-m node -T {NAME} -l"));
    assert_eq!((&made["sessions"][0]["sid"], &made["sessions"][0]["target"]), (&json!(1), &json!(NAME)));
    let list = run(&tool, "-m session");
    let session = &list["sessions"][0];
    assert_eq!(session["session_state"], "LOGGED_IN");
    assert_eq!(session["problem"], Value::Null);
    assert_eq!(session["current_portal"]["port"], target.addr.port());
    let unit = |lun| json!({ "lun": lun, "disk": null, "state": "running" });
    assert_eq!(session["luns"], json!([unit(0), unit(4)]));
    target.set_luns(&[0, 5]);
    assert_eq!(run(&tool, "-m session -R")["scans"], json!([{ "sid": 1, "found": [5], "lost": [4] }]));
    assert_eq!(run(&tool, "-m session -s")["stats"][0]["counters"]["tmfcmd_pdus"], 0);
    let (out, err, code) = tool.run(&format!("-m node -T {NAME} -l --json"));
    assert_eq!((from_str::<Value>(&out).unwrap(), code), (json!({ "schema": 1, "sessions": [] }), 15));
    assert_eq!(from_str::<Value>(&err).unwrap()["error"]["code"], 15);
    assert_eq!(run(&tool, "-m session -u"), json!({ "schema": 1, "sessions": [] }));
    let (out, err, code) = tool.run("-m session --json");
    assert_eq!((from_str::<Value>(&out).unwrap(), code), (json!({ "schema": 1, "sessions": [] }), 21));
    let error = json!({ "schema": 1, "error": { "code": 21, "message": "No active sessions." } });
    assert_eq!(from_str::<Value>(&err).unwrap(), error);
}

#[test]
fn why_a_session_is_lost_can_be_read() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    target.hold(true);
    target.drop_all();
    tool.until_tree(&["FAILED"]);
    let problem = run(&tool, "-m session")["sessions"][0]["problem"].clone();
    assert_eq!(problem, "the target closed the connection");
    target.hold(false);
}
