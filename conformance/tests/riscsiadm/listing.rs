//! What `ls` of a portal makes of targets that cannot be looked at.

use std::time::Duration;

use conformance::lab::{Bundled, Riscsiadm};

use crate::checks::{CHAP, DISK};
use crate::proxy::Proxy;

const CLOSED: &[&str] = &["--target", CHAP, "--lun", "ram:1MiB", "--chap", "alice:alicesecret12"];
const OPEN: &[&str] = &["--target", DISK, "--lun", "ram:1MiB"];

#[test]
fn it_fails_if_no_target_lets_it_in_and_only_then() {
    let tool = Riscsiadm::new().unwrap().env("RISCSI_SECRET", "wrongsecret12");
    let closed = Bundled::start(CLOSED).unwrap();
    let place = format!("iscsi://alice@{}", closed.portal());
    let ran = tool.run(&["ls", &place]).unwrap();
    assert_eq!(ran.code, 24, "{ran:?}");
    assert!(ran.stdout.contains(CHAP), "{ran:?}");
    assert!(ran.stderr.starts_with("riscsiadm: no target could be looked at: "), "{ran:?}");
    assert!(ran.stderr.contains("check the user and the secret"), "{ran:?}");
    let ran = tool.run(&["ls", &place, "--json"]).unwrap();
    assert_eq!(ran.code, 24, "{ran:?}");
    assert!(ran.stdout.contains(CHAP) && ran.stderr.contains("\"error\""), "{ran:?}");

    let both = Bundled::start(&[OPEN, CLOSED].concat()).unwrap();
    let ran = tool.run(&["ls", &both.portal().to_string()]).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains(CHAP) && ran.stdout.contains("1.0 MiB"), "{ran:?}");
}

#[test]
fn portals_that_a_target_lists_are_tried_after_one_that_it_does_not() {
    let (disk, other) = (Bundled::start(OPEN).unwrap(), Bundled::start(CLOSED).unwrap());
    // Discovery goes to the one, which lists itself; the login at the same place finds another node.
    let proxy = Proxy::in_turn(vec![disk.portal(), other.portal()], Duration::ZERO);
    let ran = Riscsiadm::new().unwrap().run(&["ls", &proxy.addr.to_string()]).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains("1.0 MiB"), "{ran:?}");
}
