//! Connections, daemons and clients that die.

use iscsi_proto::pdu::LoginStatus;
use rustix::process::Signal;

use super::target::{Event, Target};
use super::{NAME, Tool, counter, ended, logged_in};

#[test]
fn a_lost_session_comes_back_as_the_same() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    let isid = target.login();
    target.hold(true);
    target.drop_all();
    assert_eq!(target.event(), Event::Gone);
    tool.until_tree(&["iSCSI Session State: FAILED", "Internal iscsid Session State: REOPEN"]);
    assert!(tool.ok("-m session").starts_with("tcp: [1] "), "it is still held");
    assert_eq!(tool.login().2, 15, "and not made a second time");
    let (_, err, code) = tool.run("-m session -R");
    assert_eq!(code, 32, "{err}");
    target.hold(false);
    assert_eq!(target.login(), isid);
    tool.until_tree(&["SID: 1\n\t\tiSCSI Connection State: LOGGED IN", "LOGGED_IN", "NO CHANGE"]);
    tool.ok("-m session -R");
}

#[test]
fn counts_go_on_over_the_connections_of_a_session() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    target.login();
    tool.ok("-m session -R");
    let first = tool.ok("-m session -s");
    target.hold(true);
    target.drop_all();
    tool.until_tree(&["FAILED"]);
    target.await_waiting();
    assert_eq!(tool.ok("-m session -s"), first, "they are there while there is no connection");
    target.hold(false);
    tool.until_tree(&["SID: 1\n\t\tiSCSI Connection State: LOGGED IN"]);
    let second = tool.ok("-m session -s");
    let both = |name| (counter(&first, name), counter(&second, name));
    assert_eq!((both("login_pdus"), both("scsicmd_pdus")), ((2, 4), (2, 2)));
    assert!(counter(&second, "txdata_octets") > counter(&first, "txdata_octets"), "{second}");
}

#[test]
fn a_digest_error_is_counted_although_it_ends_the_connection() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    // This target agrees to anything, and sends no digest all the same.
    for (key, value) in [("conn[0].iscsi.HeaderDigest", "CRC32C"), ("session.scan", "manual")] {
        tool.set(&format!("node.{key}"), value);
    }
    tool.ok(&format!("-m node -T {NAME} -l"));
    assert_eq!(counter(&tool.ok("-m session -s"), "digest_err"), 0);
    assert_ne!(tool.run("-m session -R").2, 0);
    tool.until_tree(&["iSCSI Session State: FAILED"]);
    assert_eq!(counter(&tool.ok("-m session -s"), "digest_err"), 1);
    tool.ok("-m session -u");
}

#[test]
fn a_session_that_is_lost_can_be_logged_out() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    let isid = target.login();
    target.hold(true);
    target.drop_all();
    assert_eq!(target.event(), Event::Gone);
    tool.until_tree(&["FAILED"]);
    target.await_waiting();
    tool.ok("-m session -u");
    tool.fails("-m session", 21, &["No active sessions."]);
    target.hold(false);
    assert_eq!(tool.login(), (logged_in(&target), String::new(), 0));
    // The login that was under way has led nowhere.
    assert_ne!(target.login(), isid);
    assert_eq!(target.sessions(), 1);
}

#[test]
fn a_record_can_limit_how_often_a_session_is_looked_for() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.set("node.session.reopen_max", "1");
    tool.ok(&format!("-m node -T {NAME} -l"));
    target.refuse(LoginStatus::NOT_FOUND);
    target.drop_all();
    tool.until(|| tool.run("-m session").2 == 21);
    assert!(tool.log().contains("session 1 is given up after 1 attempts (reopen_max)"), "{}", tool.log());
    assert_eq!(tool.login(), (logged_in(&target), String::new(), 0));
}

#[test]
fn what_a_killed_daemon_held_is_set_up_again() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    tool.ok("-m session -r 1 -o new");
    tool.ok("-m session -r 1 -u");
    let isids = [target.login(), target.login()];
    assert_eq!(target.event(), Event::Logout);
    tool.kill(Signal::KILL);
    assert_eq!(target.event(), Event::Gone);
    tool.until(|| tool.pid().is_none());
    tool.fails("-m session", 21, &["No active sessions."]);
    assert!(tool.path("run/riscsid.sock").exists(), "it had no time to clean up");
    let mut daemon = tool.daemon();
    assert_eq!(target.login(), isids[1], "by the same name, so that the target ends what is left of it");
    tool.until_tree(&["SID: 2\n\t\tiSCSI Connection State: LOGGED IN"]);
    assert_eq!(tool.ok("-m session").lines().count(), 1, "what was logged out stays out");
    tool.ok("-m session -r 2 -o new");
    assert!(tool.ok("-m session").contains("tcp: [3] "));
    tool.kill(Signal::KILL);
    daemon.wait().unwrap();
}

#[test]
fn two_daemons_that_share_records_take_up_their_own_sessions() {
    let target = Target::start(&[0]);
    let tools = [Tool::with(&target)];
    let tools = [&tools[0], &tools[0].beside()];
    for tool in tools {
        assert_eq!(tool.login(), (logged_in(&target), String::new(), 0));
    }
    let isids = [target.login(), target.login()];
    assert_ne!(isids[0], isids[1]);
    for tool in tools {
        tool.kill(Signal::KILL);
        tool.until(|| tool.pid().is_none());
        assert_eq!(target.event(), Event::Gone);
    }
    let mut daemons = Vec::new();
    for (tool, isid) in tools.iter().zip(isids) {
        daemons.push(tool.daemon());
        assert_eq!(target.login(), isid);
        tool.until_tree(&["SID: 1\n\t\tiSCSI Connection State: LOGGED IN"]);
        assert_eq!(tool.ok("-m session").lines().count(), 1);
    }
    for (tool, mut daemon) in tools.iter().zip(daemons) {
        tool.kill(Signal::KILL);
        daemon.wait().unwrap();
    }
}

#[test]
fn a_daemon_that_is_terminated_logs_out_and_the_next_one_logs_in_again() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    let mut daemon = tool.daemon();
    tool.ok(&format!("-m node -T {NAME} -l"));
    tool.ok("-m session -r 1 -o new");
    let isids = [target.login(), target.login()];
    tool.kill(Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    assert_eq!([target.event(), target.event()], [Event::Logout, Event::Logout]);
    assert!(!tool.path("run/riscsid.sock").exists());
    let mut daemon = tool.daemon();
    let mut again = [target.login(), target.login()];
    again.sort();
    assert_eq!(again, isids);
    tool.until(|| target.sessions() == 2);
    tool.until_tree(&[
        "SID: 1\n\t\tiSCSI Connection State: LOGGED IN",
        "SID: 2\n\t\tiSCSI Connection State: LOGGED IN",
    ]);
    // A person who ends the daemon wants it to be over.
    tool.ok("-k 0");
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    assert_eq!([target.event(), target.event()], [Event::Logout, Event::Logout]);
    let mut daemon = tool.daemon();
    tool.fails("-m session", 21, &["No active sessions."]);
    tool.ok("-k 0");
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_ends_in_time_while_a_login_is_under_way() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    let mut daemon = tool.daemon();
    target.hold(true);
    let client = tool.spawn(&format!("-m node -T {NAME} -l"));
    target.await_waiting();
    tool.kill(Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    let (out, err, code) = ended(&client.wait_with_output().unwrap());
    assert_eq!((out.as_str(), code), ("", 18), "{err}");
    target.hold(false);
}

#[test]
fn a_client_that_is_killed_in_the_middle_harms_nothing() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    target.hold(true);
    let mut client = tool.spawn(&format!("-m node -T {NAME} -l"));
    target.await_waiting();
    client.kill().unwrap();
    client.wait().unwrap();
    target.hold(false);
    target.login();
    tool.until(|| tool.run("-m session").0.starts_with("tcp: [1] "));
    assert_eq!(tool.login().2, 15);
    tool.ok("-m session -u");
    assert_eq!(target.event(), Event::Logout);
}

#[test]
fn a_client_that_does_not_wait_says_nothing_and_gets_its_session() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    target.hold(true);
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -l -W")), "");
    tool.fails("-m session", 21, &["No active sessions."]);
    target.hold(false);
    target.login();
    tool.until_tree(&["LOGGED_IN"]);
}
