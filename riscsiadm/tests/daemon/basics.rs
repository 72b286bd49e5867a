//! What one session is from login to logout.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::target::{Event, Target};
use super::{NAME, Tool, counter, logged_in, title};

#[test]
fn without_a_daemon_there_are_no_sessions_and_looking_starts_none() {
    let tool = Tool::new();
    tool.fails("-m session", 21, &["No active sessions."]);
    tool.fails("-m session -P 3", 21, &["No active sessions."]);
    tool.fails("-m session -u", 21, &["No matching sessions found"]);
    tool.fails("-m session -s", 21, &["No session found."]);
    tool.fails("-m node -R", 21, &["No session found."]);
    tool.fails("-m node -u", 21, &["No matching sessions found"]);
    tool.fails("-k 0", 20, &["can not connect to iSCSI daemon (111)!"]);
    assert!(!tool.path("run").exists());
}

#[test]
fn a_login_starts_the_daemon_and_a_session_outlives_the_call() {
    let target = Target::start(&[0, 1]);
    let tool = Tool::with(&target);
    let portal = target.addr;
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -p {portal} -l")), logged_in(&target));
    assert_eq!(tool.ok("-m session"), format!("tcp: [1] {portal},1 {NAME} (non-flash)\n"));
    target.login();
    let mode = |name: &str| fs::metadata(tool.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run"), mode("run/riscsid.sock"), mode("run/riscsid.log")), (0o700, 0o600, 0o600));
    assert_eq!(fs::metadata(tool.state()).unwrap().permissions().mode() & 0o777, 0o600);
    let out = tool.ok(&format!("-m node -T {NAME} -u"));
    let title = title(1, &target);
    assert_eq!(out, format!("Logging out of session {title}\nLogout of {title} successful.\n"));
    assert_eq!(target.event(), Event::Logout);
    tool.fails("-m session", 21, &["No active sessions."]);
    // The daemon stays, and numbers are not used again.
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -l")), logged_in(&target));
    assert!(tool.ok("-m session").starts_with("tcp: [2] "));
}

#[test]
fn a_session_of_a_record_is_not_made_twice() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    let exists = ["default: 1 session requested, but 1 already present.", "Could not log into all portals"];
    tool.fails(&format!("-m node -T {NAME} -l"), 15, &exists);
    tool.set("node.session.nr_sessions", "3");
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -l")), logged_in(&target).repeat(2), "those that are missing");
    let exists = ["default: 3 sessions requested, but 3 already present.", "Could not log into all portals"];
    tool.fails(&format!("-m node -T {NAME} -l"), 15, &exists);
    assert_eq!(tool.ok("-m session -r 1 -o new"), logged_in(&target), "one more was asked for");
    assert_eq!(tool.ok("-m session").lines().count(), 4);
    let isids: std::collections::BTreeSet<String> = (0..4).map(|_| target.login()).collect();
    assert_eq!(isids.len(), 4, "sessions of one initiator differ in their ISID");
    tool.fails(
        &format!("-m node -T {NAME} -o delete"),
        15,
        &[
            &format!(
                "This command will remove the record [iface: default, target: {NAME}, portal: {}], but a session is \
                 using it. Logout session then rerun command to remove record.",
                super::place(&target)
            ),
            "Could not execute operation on all records: session exists",
        ],
    );
}

#[test]
fn one_session_is_meant_by_its_number() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    tool.ok("-m session -r 1 -o new");
    let unknown = ["could not read session targetname: 5", "Could not get session info for sid 9"];
    for line in ["-u", "-R", "-s", "-P 1", "", "-o new", "-o delete", "-o update -n node.startup -v automatic"] {
        tool.fails(&format!("-m session -r 9 {line}"), 22, &unknown);
    }
    tool.ok("-m session -r 2 -o update -n node.startup -v automatic");
    assert!(tool.ok("-m session -r 2").contains("\nnode.startup = automatic\n"));
    tool.ok("-m session -r 1 -u");
    assert!(tool.ok("-m session").starts_with("tcp: [2] "));
    assert!(tool.ok("-m session -r 2 -P 1").contains("\t\tSID: 2\n"));
}

#[test]
fn the_tree_has_what_was_negotiated_and_the_units() {
    let target = Target::start(&[0, 5]);
    let tool = Tool::with(&target);
    tool.set("node.session.iscsi.FirstBurstLength", "4096");
    tool.ok(&format!("-m node -T {NAME} -l"));
    let first = tool.ok("-m session -P 1");
    let portal = target.addr;
    assert!(first.starts_with(&format!("Target: {NAME} (non-flash)\n\tCurrent Portal: {portal},1\n")), "{first}");
    assert!(first.contains("\t\tIface IPaddress: 127.0.0.1\n"), "{first}");
    let states = "\t\tSID: 1\n\t\tiSCSI Connection State: LOGGED IN\n\t\tiSCSI Session State: LOGGED_IN\n\
                  \t\tInternal iscsid Session State: NO CHANGE\n";
    assert!(first.ends_with(states), "{first}");
    let second = tool.ok("-m session -P 2");
    assert!(second.starts_with(&first));
    assert!(second.contains("\t\tMaxXmitDataSegmentLength: 8192\n\t\tFirstBurstLength: 4096\n"), "{second}");
    let third = tool.ok("-m session -P 3");
    let units = "\t\tHost Number: 1\tState: running\n\
                 \t\tscsi1 Channel 00 Id 0 Lun: 0\n\t\tscsi1 Channel 00 Id 0 Lun: 5\n";
    assert!(third.starts_with("version 2.1.11\n") && third.ends_with(units), "{third}");
}

#[test]
fn a_rescan_tells_what_came_and_went() {
    let target = Target::start(&[0, 1]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    let head = format!("Rescanning session {}\n", title(1, &target));
    assert_eq!(tool.ok("-m session -R"), head, "login has looked");
    target.set_luns(&[1, 2, 300]);
    let changes = "LUN 2 found\nLUN 300 found\nLUN 0 lost\n";
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -R")), format!("{head}{changes}"));
    assert_eq!(tool.ok("-m session -r 1 -R"), head);
}

#[test]
fn a_record_can_leave_looking_for_units_to_a_person() {
    let target = Target::start(&[7]);
    let tool = Tool::with(&target);
    tool.set("node.session.scan", "manual");
    tool.ok(&format!("-m node -T {NAME} -l"));
    assert!(tool.ok("-m session -R").ends_with("]\nLUN 7 found\n"));
}

#[test]
fn statistics_are_counted_on_the_wire() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.set("node.session.scan", "manual");
    tool.ok(&format!("-m node -T {NAME} -l"));
    let before = tool.ok("-m session -s");
    let head = format!("Stats for session {}\niSCSI SNMP:\n\ttxdata_octets: ", title(1, &target));
    assert!(before.starts_with(&head), "{before}");
    assert_eq!((counter(&before, "login_pdus"), counter(&before, "scsicmd_pdus")), (2, 0), "one for each stage");
    assert!(counter(&before, "txdata_octets") > 96 && counter(&before, "rxdata_octets") > 96, "{before}");
    tool.ok("-m session -R");
    tool.ok("-m session -R");
    let stats = tool.ok("-m session -s");
    let grown = |name| counter(&stats, name) - counter(&before, name);
    // Two REPORT LUNS of 48 bytes; two Data-Ins of 48 bytes and 16 of data.
    assert_eq!((grown("txdata_octets"), grown("rxdata_octets")), (96, 128));
    assert_eq!((grown("login_pdus"), grown("scsicmd_pdus"), grown("datain_pdus")), (0, 2, 2));
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -s")), stats);
}

#[test]
fn a_session_without_its_record_can_still_be_logged_out() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    fs::remove_dir_all(tool.path("db/nodes")).unwrap();
    tool.fails("-m session -r 1", 21, &["No records found"]);
    tool.ok("-m node -U all");
    target.login();
    assert_eq!(target.event(), Event::Logout);
}
