//! Logins that do not come about.

use std::fs;
use std::net::TcpListener;

use iscsi_proto::pdu::LoginStatus;

use super::target::Target;
use super::{NAME, Tool, logged_in, place};

/// The lines about a login that failed.
fn refused(target: &Target, code: u8, text: &str, why: &str) -> [String; 4] {
    [
        format!("Could not login to [iface: default, target: {NAME}, portal: {}].", place(target)),
        format!("initiator reported error ({code} - {text})"),
        why.to_owned(),
        "Could not log into all portals".to_owned(),
    ]
}

#[track_caller]
fn check(tool: &Tool, code: u8, lines: &[String]) {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    tool.fails(&format!("-m node -T {NAME} -l"), code.into(), &lines);
    tool.fails("-m session", 21, &["No active sessions."]);
}

#[test]
fn a_wrong_secret_and_a_missing_one_are_24() {
    let target = Target::start(&[0]);
    target.demand("alicesecret12");
    let tool = Tool::with(&target);
    let text = "iSCSI login failed due to authorization failure";
    let why = "the target refused the login: authentication failure (02/01); it demands authentication: give a user and \
               a secret";
    check(&tool, 24, &refused(&target, 24, text, why));
    tool.set("node.session.auth.username", "alice");
    tool.set("node.session.auth.password", "notthesecret");
    let (out, err, code) = tool.login();
    assert_eq!((out.as_str(), code), ("", 24), "{err}");
    assert!(err.contains("initiator reported error (24 - "), "{err}");
    tool.set("node.session.auth.password", "alicesecret12");
    assert_eq!(tool.login(), (logged_in(&target), String::new(), 0));
    let shown = tool.ok("-m session -P 2 -S");
    assert!(shown.contains("\t\tusername: alice\n\t\tpassword: alicesecret12\n"), "{shown}");
    assert!(!tool.ok("-m session -P 2").contains("alicesecret12"));
    for file in [tool.path("run/riscsid.log"), tool.state()] {
        assert!(!fs::read_to_string(&file).unwrap().contains("secret12"), "{}", file.display());
    }
}

#[test]
fn a_secret_need_not_be_in_a_record() {
    let target = Target::start(&[0]);
    target.demand("alicesecret12");
    let mut tool = Tool::with(&target);
    tool.set("node.session.auth.username", "alice");
    assert_eq!(tool.login().2, 7, "there is none");
    fs::write(tool.path("secret"), "alicesecret12\n").unwrap();
    let file = tool.path("secret").display().to_string();
    tool.ok(&format!("-m node -T {NAME} -l --secret-file {file}"));
    tool.ok(&format!("-m node -T {NAME} -u"));
    tool.secret = Some("alicesecret12".to_owned());
    tool.ok(&format!("-m node -T {NAME} -l"));
    // The daemon needs it again after a loss.
    let isid = target.login();
    target.event();
    assert_ne!(target.login(), isid);
    target.drop_all();
    target.event();
    target.login();
    tool.until_tree(&["LOGGED_IN"]);
}

#[test]
fn what_the_target_says_for_good_is_not_tried_again() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    target.refuse(LoginStatus::NOT_FOUND);
    let (out, err, code) = tool.login();
    assert_eq!((out.as_str(), code), ("", 19), "{err}");
    assert!(err.contains("(19 - encountered non-retryable iSCSI login failure)\n") && err.contains("02/03"), "{err}");
    // The refusal is used up: the next attempt is the first that works.
    assert_eq!(tool.login().2, 0);
}

#[test]
fn what_may_pass_is_tried_as_often_as_the_record_says() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.set("node.session.initial_login_retry_max", "0");
    target.refuse(LoginStatus::SERVICE_UNAVAILABLE);
    let (_, err, code) = tool.login();
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("(5 - encountered iSCSI login failure)\n") && err.contains("03/01"), "{err}");
    tool.set("node.session.initial_login_retry_max", "1");
    target.refuse(LoginStatus::SERVICE_UNAVAILABLE);
    assert_eq!(tool.login(), (logged_in(&target), String::new(), 0));
}

#[test]
fn a_port_where_nobody_listens_is_4() {
    let target = Target::start(&[]);
    let tool = Tool::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    tool.ok(&format!("-m node -o new -T {NAME} -p {free},1"));
    tool.set("node.session.initial_login_retry_max", "0");
    let (out, err, code) = tool.login();
    assert_eq!((out.as_str(), code), ("", 4), "{err}");
    assert!(err.contains("(4 - encountered connection failure)\n") && err.contains("Connection refused"), "{err}");
    // Of several records those that work do, and the code is that of the first that does not.
    tool.add("iqn.2001-04.com.example:disk2", &target);
    let (out, _, code) = tool.run("-m node -l");
    assert_eq!((out.lines().count(), code), (1, 4), "{out}");
}

#[test]
fn a_transport_that_is_not_there_is_12() {
    let target = Target::start(&[]);
    let tool = Tool::with(&target);
    tool.set("iface.transport_name", "iser");
    let (_, err, code) = tool.login();
    assert_eq!(code, 12, "{err}");
}

#[test]
fn a_target_that_says_nothing_is_11_in_time() {
    let target = Target::start(&[]);
    let tool = Tool::with(&target);
    tool.set("node.session.initial_login_retry_max", "0");
    target.hold(true);
    let (_, err, code) = tool.run(&format!("-m node -T {NAME} -l --timeout 300ms"));
    target.hold(false);
    assert_eq!(code, 11, "{err}");
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let target = Target::start(&[]);
    let tool = Tool::with(&target);
    fs::write(tool.path("run"), "").unwrap();
    let (_, err, code) = tool.login();
    assert_eq!(code, 20, "{err}");
    assert!(err.starts_with("iscsiadm: cannot start the daemon: "), "{err}");
    fs::remove_file(tool.path("run")).unwrap();
    // Its socket cannot be made here.
    fs::create_dir_all(tool.path("run/riscsid.sock")).unwrap();
    let (_, err, code) = tool.login();
    assert_eq!(code, 20, "{err}");
    assert!(err.contains("cannot start the daemon: ") && err.contains("riscsid.sock"), "{err}");
}
