//! os-brick and Ansible.

use conformance::lab::{self, Ran};
use serde_json::{Value, json};

use super::{Bench, CHAP, PLAIN, USER};

/// Where the scripts of this crate lie.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

#[test]
fn os_brick_connects_lists_and_disconnects() {
    let Some(bin) = lab::require(lab::python("privsep-helper")) else { return };
    let Some(bench) = Bench::start() else { return };
    let (portal, locks) = (bench.portal(), tempfile::tempdir().unwrap());
    let (user, secret) = USER;
    let mut command = bench.command(&bin.join("python"));
    command.arg(format!("{SCRIPTS}/osbrick.py")).args([&portal, CHAP, user, secret]).arg(locks.path());
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(
        report,
        json!({
            "sessions_before": [],
            "discovered": [[portal, CHAP, 1], [portal, PLAIN, 1]],
            "nodes": [[portal, CHAP], [portal, PLAIN]],
            "transport": "default",
            "sid": "1",
            "manual_scan": true,
            "sessions": [["tcp:", "1", portal, "1", CHAP]],
            "again": "1",
            "db_portals": [[portal, CHAP, 1], [portal, PLAIN, 1]],
            "wrong": [null, null],
            "sessions_after": [],
        })
    );
    assert_eq!(bench.tgt.connections(CHAP).unwrap(), []);
}

#[test]
fn ansible_logs_in_once_and_finds_nothing_to_do_the_second_time() {
    let Some(bin) = lab::require(lab::python("ansible-playbook")) else { return };
    let Some(bench) = Bench::start() else { return };
    let portal = bench.tgt.portal();
    let (user, secret) = USER;
    let home = tempfile::tempdir().unwrap();
    let mut command = bench.command(&bin.join("ansible-playbook"));
    command.arg(format!("{SCRIPTS}/playbook.yml")).env("ANSIBLE_HOME", home.path()).env("ANSIBLE_NOCOLOR", "1");
    for (name, value) in [
        ("portal", portal.ip().to_string()),
        ("tcp_port", portal.port().to_string()),
        ("target", CHAP.to_owned()),
        ("user", user.to_owned()),
        ("secret", secret.to_owned()),
    ] {
        command.args(["-e", &format!("{name}={value}")]);
    }
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("All assertions passed"), "{ran:?}");
    assert_eq!(bench.tgt.connections(CHAP).unwrap(), []);
}
