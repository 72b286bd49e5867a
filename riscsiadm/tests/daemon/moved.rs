//! Targets that are elsewhere when a session is lost.

use std::thread;

use iscsi_proto::pdu::LoginStatus;

use super::isns::{IsnsServer, found};
use super::portal::{Portal, target as announced};
use super::target::{Event, Target};
use super::{NAME, Tool};

/// The daemon finds the target anew, with the session that it had at the other place.
fn follows(tool: &Tool, old: &Target, new: &Target) {
    tool.ok(&format!("-m node -T {NAME} -l"));
    let isid = old.login();
    old.refuse(LoginStatus::NOT_FOUND);
    old.drop_all();
    assert_eq!(new.login(), isid);
    tool.until_tree(&[
        &format!("Current Portal: {}", new.addr),
        &format!("Persistent Portal: {}", old.addr),
        "SID: 1\n\t\tiSCSI Connection State: LOGGED IN",
    ]);
    assert!(tool.log().contains(&format!("session 1 is at {} now, as discovery told", new.addr)), "{}", tool.log());
    assert!(tool.ok("-m node").starts_with(&old.addr.to_string()), "records are for a person to change");
    tool.ok("-m session -u");
    assert_eq!(new.event(), Event::Logout);
}

///
#[test]
fn r153_a_target_that_its_portal_says_has_moved_is_followed() {
    let (old, new) = (Target::start(&[0]), Target::start(&[0]));
    let portal = Portal::with(&announced("disk1", &[&format!("{},1", old.addr)]));
    let tool = Tool::new();
    tool.ok(&format!("-m discovery -t st -p {}", portal.addr));
    portal.answer(&announced("disk1", &[&format!("{},1", new.addr)]));
    follows(&tool, &old, &new);
}

///
#[test]
fn r153_a_target_that_the_isns_server_says_has_moved_is_followed() {
    let (old, new) = (Target::start(&[0]), Target::start(&[0]));
    let at = |target: &Target| found(&[super::isns::target(NAME, &[(&target.addr.to_string(), 1)])]);
    let server = IsnsServer::start([at(&old), at(&new)]);
    let tool = Tool::new();
    tool.ok(&format!("-m discovery -t isns -p {}", server.addr));
    follows(&tool, &old, &new);
}

#[test]
fn a_target_that_nobody_told_of_is_awaited_where_it_was() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    tool.ok(&format!("-m node -T {NAME} -l"));
    let isid = target.login();
    target.refuse(LoginStatus::NOT_FOUND);
    target.drop_all();
    assert_eq!((target.event(), target.login()), (Event::Gone, isid));
}

/// Discovery may be broken as well, or know nothing new: the place of the record is tried again all the same.
#[test]
fn a_discovery_that_does_not_help_does_no_harm() {
    let answers = [
        String::new(),
        "nonsense\0".to_owned(),
        announced("disk2", &["127.0.0.1:1,1"]),
        announced("disk1", &["127.0.0.1:1,1"]),
    ];
    thread::scope(|scope| {
        for answer in &answers {
            scope.spawn(move || comes_back(answer));
        }
    });
}

/// The session comes back where it was, although this is what the portal answers meanwhile.
fn comes_back(answer: &str) {
    let target = Target::start(&[0]);
    let portal = Portal::with(&announced("disk1", &[&format!("{},1", target.addr)]));
    let tool = Tool::new();
    tool.ok(&format!("-m discovery -t st -p {}", portal.addr));
    portal.answer(answer);
    tool.ok(&format!("-m node -T {NAME} -l"));
    let isid = target.login();
    target.refuse(LoginStatus::NOT_FOUND);
    target.drop_all();
    assert_eq!((target.event(), target.login()), (Event::Gone, isid), "{answer:?}");
}
