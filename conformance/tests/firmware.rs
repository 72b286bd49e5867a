//! Booting from the table of the firmware: the tool, from `/sys/firmware/ibft` to data of the disk.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::net::SocketAddr;

use conformance::lab::{self, Bundled, Lun, Riscsiadm, Target, stamp};
use tempfile::TempDir;

const DISK: &str = "iqn.2026-01.org.example:disk";
const BOOT: &str = "iqn.2026-01.org.example:boot";
const SIZE: u64 = 1 << 20;
const USER: (&str, &str) = ("user", "secret-of-host");
const ITSELF: (&str, &str) = ("target", "secret-of-target");

/// A table with one target that both sides prove themselves for.
fn table(portal: SocketAddr, secret_of_target: &str) -> TempDir {
    let sysfs = tempfile::tempdir().unwrap();
    let (ip, port) = (portal.ip().to_string(), portal.port().to_string());
    for (name, value) in [
        ("initiator/initiator-name", BOOT),
        ("ethernet0/flags", "3"),
        ("ethernet0/mac", "52:54:00:12:34:56"),
        ("target0/flags", "3"),
        ("target0/target-name", DISK),
        ("target0/ip-addr", &ip),
        ("target0/port", &port),
        ("target0/lun", "0000000000000000"),
        ("target0/nic-assoc", "0"),
        ("target0/chap-type", "2"),
        ("target0/chap-name", USER.0),
        ("target0/chap-secret", USER.1),
        ("target0/rev-chap-name", ITSELF.0),
        ("target0/rev-chap-name-secret", secret_of_target),
    ] {
        let path = sysfs.path().join("firmware/ibft").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value}\n")).unwrap();
    }
    sysfs
}

/// `-m fw -l` logs in with the name and the secrets of the firmware, at any target that asks for both.
fn boots(portal: SocketAddr) {
    let sysfs = table(portal, ITSELF.1);
    let tool = Riscsiadm::new().unwrap().env("RISCSI_SYSFS", sysfs.path().to_str().unwrap());
    let login = tool.run(&["-m", "fw", "-l"]).unwrap();
    assert_eq!((login.stderr.as_str(), login.code), ("", 0));
    let comma = format!("{},{}", portal.ip(), portal.port());
    let line = format!("Login to [iface: default, target: {DISK}, portal: {comma}] successful.\n");
    assert_eq!(login.stdout, line);
    let tree = tool.run(&["-m", "session", "-P", "2", "-S"]).unwrap().stdout;
    for text in [&format!("Iface Initiatorname: {BOOT}"), "username: user", "username_in: target", "LOGGED IN"] {
        assert!(tree.contains(text), "{text}: {tree}");
    }
    let record = tool.run(&["-m", "node", "-T", DISK]).unwrap().stdout;
    for text in [
        "node.startup = onboot",
        "node.discovery_type = fw",
        "node.session.initial_login_retry_max = 30",
        "node.conn[0].timeo.noop_out_interval = 0",
    ] {
        assert!(record.contains(text), "{text}: {record}");
    }

    assert_eq!(tool.run(&["-m", "fw", "-l"]).unwrap().code, 15, "it is logged in");
    assert_eq!(tool.run(&["-m", "node", "-U", "all"]).unwrap().code, 21, "what the system runs from stays");
    let logout = tool.run(&["-m", "node", "-T", DISK, "-u"]).unwrap();
    assert_eq!(logout.code, 0, "{logout:?}");
}

#[test]
fn the_bundled_target_is_booted_from() {
    let chap = format!("{}:{}", USER.0, USER.1);
    let mutual = format!("{}:{}", ITSELF.0, ITSELF.1);
    let lun = ["--lun", "ram:1M", "--chap", &chap, "--mutual-chap", &mutual];
    let target = Bundled::start(&[&["--target", DISK], &lun[..]].concat()).unwrap();
    boots(target.portal());
}

#[test]
fn an_istgt_is_booted_from() {
    let Some(setup) = lab::require(lab::istgt()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    stamp::file(&path, SIZE, 1).unwrap();
    let target = Target::new(DISK).lun(Lun::file(&path)).chap(USER.0, USER.1).mutual_chap(ITSELF.0, ITSELF.1);
    let istgt = setup.target(target).start().unwrap();
    boots(istgt.portals()[0]);
}

#[test]
fn a_target_that_cannot_prove_itself_is_not_booted_from() {
    let chap = format!("{}:{}", USER.0, USER.1);
    let mutual = format!("{}:{}", ITSELF.0, ITSELF.1);
    let lun = ["--lun", "ram:1M", "--chap", &chap, "--mutual-chap", &mutual];
    let target = Bundled::start(&[&["--target", DISK], &lun[..]].concat()).unwrap();
    let sysfs = table(target.portal(), "another-secret");
    let tool = Riscsiadm::new().unwrap().env("RISCSI_SYSFS", sysfs.path().to_str().unwrap());
    let settings = ["-n", "node.session.initial_login_retry_max", "-v", "1"];
    let login = tool.run(&[&["-m", "fw", "-l"], &settings[..]].concat()).unwrap();
    assert_eq!(login.code, 19, "{login:?}");
    assert_eq!(tool.run(&["-m", "session"]).unwrap().code, 21);
    let record = tool.run(&["-m", "node", "-T", DISK]).unwrap().stdout;
    assert!(record.contains("node.session.initial_login_retry_max = 1\n"), "what was typed counts: {record}");
}
