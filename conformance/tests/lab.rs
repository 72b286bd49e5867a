//! The labs themselves: that a started target serves what was asked for, and leaves nothing behind.
//!
//! The witness is libiscsi's tools (Debian package libiscsi-bin), so that a fault of ours is not taken for one of the lab.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use conformance::lab::{self, Leash, Lun, Target, Tgt, stamp};
use tempfile::TempDir;

const DISK: &str = "iqn.2026-01.org.example:disk";
const CHAP: &str = "iqn.2026-01.org.example:chap";
const HOST: &str = "iqn.2026-01.org.example:host";

/// A directory with a stamped disk of 1 MiB.
fn disk() -> (TempDir, Lun) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    stamp::file(&path, 1 << 20, 1).unwrap();
    (dir, Lun::file(path))
}

/// Runs a tool of libiscsi and gives its success and both streams; `None` where it is not installed.
fn libiscsi(tool: &str, args: &[&str]) -> Option<(bool, String)> {
    let program = lab::require(lab::tool(tool, "libiscsi-bin"))?;
    let done = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    Some((done.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// The URL of a portal, with user and secret if there are any.
fn portal(tgt: &Tgt, user: &str) -> String {
    format!("iscsi://{user}{}", tgt.portal())
}

#[test]
fn a_started_target_listens_and_shows_what_it_serves() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let (_dir, lun) = disk();
    let target = Target::new(DISK).lun(lun.clone().block(4096).read_only()).lun(lun.at(300).param("vendor_id=ACME"));
    let tgt = setup.target(target.param("HeaderDigest", "CRC32C,None")).start().unwrap();

    assert!(tgt.portal().ip().is_loopback());
    TcpStream::connect(tgt.portal()).unwrap();
    let shown = tgt.show().unwrap();
    for line in [&format!("Target 1: {DISK}"), "LUN: 1", "LUN: 300", "Block size: 4096", "Readonly: Yes", "ALL"] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let params = tgt.tgtadm(&["--mode", "target", "--op", "show", "--tid", "1"]).unwrap();
    assert!(params.contains("HeaderDigest=CRC32C"), "{params}");
    assert_eq!(tgt.url(DISK, 300), format!("iscsi://{}/{DISK}/300", tgt.portal()));
    assert_eq!(tgt.connections(DISK).unwrap(), []);
    assert_eq!(tgt.kick(DISK).unwrap(), 0);
}

#[test]
fn a_stopped_target_leaves_no_process_and_no_file() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let tgt = setup.target(Target::new(DISK)).start().unwrap();
    let (process, dir) = (format!("/proc/{}", tgt.pid()), tgt.dir().to_path_buf());
    assert!(Path::new(&process).exists());
    assert!(dir.join("s.1").exists());

    drop(tgt);
    assert!(!Path::new(&process).exists());
    assert!(!dir.exists());
}

#[test]
fn labs_run_side_by_side() {
    let Some(first) = lab::require(lab::tgt()) else { return };
    let Some(second) = lab::require(lab::tgt()) else { return };
    let first = first.target(Target::new(DISK)).start().unwrap();
    let second = second.target(Target::new(CHAP)).listen("127.0.0.2".parse().unwrap()).start().unwrap();

    assert_eq!(second.portal().ip().to_string(), "127.0.0.2");
    assert!(first.show().unwrap().contains(DISK));
    assert!(second.show().unwrap().contains(CHAP));
    assert!(!second.show().unwrap().contains(DISK));
}

#[test]
fn a_fault_in_the_setup_is_an_error_that_hides_secrets() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let error = setup.target(Target::new(DISK).lun(Lun::file("/no/such/file"))).start().err().unwrap();
    assert!(error.to_string().starts_with("tgtadm --mode logicalunit --op new"), "{error}");

    let Some(setup) = lab::require(lab::tgt()) else { return };
    let tgt = setup.discovery_chap("user", "first secret").start().unwrap();
    let again = ["--mode", "account", "--op", "new", "--user", "user", "--password", "other secret"];
    let error = tgt.tgtadm(&again).err().unwrap().to_string();
    assert!(error.contains("already exists") && !error.contains("other secret"), "{error}");
    assert!(tgt.kick(DISK).is_err(), "a target that is not there cannot be kicked");
}

#[test]
fn discovery_finds_targets_and_their_luns() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let (_dir, lun) = disk();
    let tgt = setup.target(Target::new(DISK).lun(lun)).start().unwrap();
    let Some((success, text)) = libiscsi("iscsi-ls", &["-s", &portal(&tgt, "")]) else { return };
    assert!(success, "{text}");
    assert!(text.contains(&format!("Target:{DISK} Portal:{},1", tgt.portal())), "{text}");
    assert!(text.contains("Lun:1    Type:DIRECT_ACCESS"), "{text}");
}

#[test]
fn chap_lets_only_the_right_secret_in() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let (_dir, lun) = disk();
    let target = Target::new(CHAP).lun(lun).chap("alice", "alicesecret12").mutual_chap("server", "serversecret12");
    let tgt = setup.target(target).start().unwrap();
    let host = tgt.portal();
    let mutual = |secret| format!("?target_user=server&target_password={secret}");
    let cases = [
        (String::new(), String::new(), false),
        ("alice%wrongsecret1".into(), String::new(), false),
        ("alice%alicesecret12".into(), String::new(), true),
        ("alice%alicesecret12".into(), mutual("serversecret12"), true),
        ("alice%alicesecret12".into(), mutual("wrongsecret12"), false),
    ];
    for (user, query, welcome) in cases {
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("iscsi://{user}{at}{host}/{CHAP}/1{query}");
        let Some((success, text)) = libiscsi("iscsi-inq", &[&url]) else { return };
        assert_eq!(success, welcome, "{url}: {text}");
    }
}

#[test]
fn discovery_can_ask_for_chap_too() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let setup = setup.target(Target::new(DISK)).discovery_chap("alice", "alicesecret12");
    let tgt = setup.discovery_mutual_chap("server", "serversecret12").start().unwrap();
    for (user, welcome) in [("", false), ("alice%wrongsecret1@", false), ("alice%alicesecret12@", true)] {
        let Some((_, text)) = libiscsi("iscsi-ls", &[&portal(&tgt, user)]) else { return };
        assert_eq!(text.contains(DISK), welcome, "{user}: {text}");
    }
}

#[test]
fn only_admitted_initiators_see_a_closed_target() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let (_dir, lun) = disk();
    let tgt = setup.target(Target::new(DISK).lun(lun).admit(HOST)).start().unwrap();
    for (name, welcome) in [(HOST, true), ("iqn.2026-01.org.example:stranger", false)] {
        let Some((success, text)) = libiscsi("iscsi-inq", &["-i", name, &tgt.url(DISK, 1)]) else { return };
        assert_eq!(success, welcome, "{name}: {text}");
    }
}

#[test]
fn a_kicked_connection_is_gone() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let Some(perf) = lab::require(lab::tool("iscsi-perf", "libiscsi-bin")) else { return };
    let (dir, lun) = disk();
    let tgt = setup.target(Target::new(DISK).lun(lun)).start().unwrap();
    let log = std::fs::File::create(dir.path().join("perf.log")).unwrap();
    let client = Leash::start(Command::new(perf).args(["-t", "60", &tgt.url(DISK, 1)]), log).unwrap();

    let first = wait_for_connection(&tgt).session;
    assert!(tgt.kick(DISK).unwrap() >= 1);
    drop(client);
    assert!(tgt.connections(DISK).unwrap().iter().all(|nexus| nexus.session != first));
}

#[test]
fn an_offline_target_turns_initiators_away_until_it_is_ready_again() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let (_dir, lun) = disk();
    let tgt = setup.target(Target::new(DISK).lun(lun)).start().unwrap();
    for (state, welcome) in [("offline", false), ("ready", true)] {
        tgt.update(DISK, "state", state).unwrap();
        let Some((success, text)) = libiscsi("iscsi-inq", &[&tgt.url(DISK, 1)]) else { return };
        assert_eq!(success, welcome, "{state}: {text}");
    }
    tgt.update_lun(DISK, 1, "online=0").unwrap();
    assert!(tgt.show().unwrap().contains("Online: No"));
}

/// Polls for 10 s at most.
fn wait_for_connection(tgt: &Tgt) -> lab::Nexus {
    for _ in 0..1000 {
        if let Some(nexus) = tgt.connections(DISK).unwrap().into_iter().next() {
            return nexus;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("nobody connected within 10 s");
}
