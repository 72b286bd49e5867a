//! `-m host`.

use riscsiadm::cli::args::HostRef;
use riscsiadm::cli::request::{Chap, Family, Flashnode, Host, Request};

use crate::{allowed, refused, setting};

fn host(request: Host) -> Request {
    Request::Host(request)
}

fn list(level: u32) -> Request {
    host(Host::List { level })
}

fn chap(action: Chap) -> Request {
    host(Host::Chap { host: HostRef::Number(1), action })
}

fn flashnode(action: Flashnode) -> Request {
    host(Host::Flashnode { host: HostRef::Number(1), action })
}

#[test]
fn host_adapters_are_listed() {
    allowed(&[
        ("-m host", list(0)),
        ("-m host -P 1", list(1)),
        ("-m host -P 4", list(4)),
        ("-m host -P abc", list(0)),
        ("-m host -P -1", list(0)),
        ("-m host -H 7", list(0)),
        ("-m host -H a:b -P 2", list(2)),
        ("-m host -o show -P 2", list(2)),
        ("-m host -o new", list(0)),
        ("-m host -x 1 -A bogus -t st -n a -v b", list(0)),
    ]);
    refused(&[
        ("-m host -P 5", &["Invalid info level 5. Try 0 - 4."], 7),
        ("-m host -H 1 -P 5", &["Invalid info level 5. Try 0 - 4."], 7),
    ]);
}

#[test]
fn a_host_adapter_is_a_number_or_a_mac_address() {
    let stats = |host_ref| host(Host::Stats { host: host_ref });
    allowed(&[
        ("-m host -C stats -H 0", stats(HostRef::Number(0))),
        ("-m host -C stats -H 4294967295", stats(HostRef::Number(u32::MAX))),
        ("-m host -C stats -H 007", stats(HostRef::Number(7))),
        ("-m host -C stats --host 00:11:22:33:44:55", stats(HostRef::Mac("00:11:22:33:44:55".into()))),
        ("-m host -C stats -H 1 -o new -P 9", stats(HostRef::Number(1))),
    ]);
    let range = |text: &str| format!("Invalid host no {text}. Numerical result out of range.");
    let number = |text: &str| format!("Invalid host no {text}. It is a number or a MAC address.");
    refused(&[
        ("-m host -H 4294967296", &[&range("4294967296")], 7),
        ("-m host -H -1", &[&range("-1")], 7),
        ("-H 4294967296 -m session", &[&range("4294967296")], 7),
        ("-m host -H abc", &[&number("abc")], 7),
        ("-m host -H 1x", &[&number("1x")], 7),
        ("-m host -H ''", &[&number("")], 7),
        ("-m host -H -", &[&number("-")], 7),
    ]);
}

#[test]
fn the_chap_table_needs_a_host_and_an_operation() {
    let user = || vec![setting("username", "u")];
    allowed(&[
        ("-m host -C chap -H 1 -o show", chap(Chap::Show)),
        ("-m host -C chap -H 1 -o show -x abc", chap(Chap::Show)),
        ("-m host -C chap -H 1 -o new -n username -v u", chap(Chap::Set { index: None, settings: user() })),
        ("-m host -C chap -H 1 -x 2 -o update -n username -v u", chap(Chap::Set { index: Some(2), settings: user() })),
        ("-m host -C chap -H 1 -o delete -x 65535", chap(Chap::Delete { index: u16::MAX })),
    ]);
    let needs = &["CHAP mode requires host no and valid operation"][..];
    let user = &["Chap username/password not provided."][..];
    let index = &["Invalid chap table index."][..];
    refused(&[
        ("-m host -C chap", needs, 7),
        ("-m host -C chap -H 1", needs, 7),
        ("-m host -C chap -o show", needs, 7),
        ("-m host -C chap -H 1 -x abc", needs, 7),
        ("-m host -C chap -H 1 -o new", user, 7),
        ("-m host -C chap -H 1 -o update -x 1", user, 7),
        ("-m host -C chap -H 1 -o delete", index, 7),
        ("-m host -C chap -H 1 -o delete -x 65536", index, 7),
        ("-m host -C chap -H 1 -o delete -x -1", index, 7),
        ("-m host -C chap -H 1 -o new -x abc -n a -v b", index, 7),
        ("-m host -C chap -H 1 -o apply", &["Invalid operation."], 7),
        ("-m host -C chap -H 1 -o new,update", &["Invalid operation."], 7),
    ]);
}

#[test]
fn a_flash_node_has_an_index() {
    let update = Flashnode::Update { index: 2, settings: vec![setting("a", "b")] };
    allowed(&[
        ("-m host -C flashnode -H 1", flashnode(Flashnode::Show { index: None })),
        ("-m host -C flashnode -H 1 -o show -x 0", flashnode(Flashnode::Show { index: Some(0) })),
        ("-m host -C flashnode -H 1 -o new -A ipv4", flashnode(Flashnode::New { family: Family::V4 })),
        ("-m host -C flashnode -H 1 -o new --portal_type=ipv6", flashnode(Flashnode::New { family: Family::V6 })),
        ("-m host -C flashnode -H 1 -o new --portal_type ipv6", flashnode(Flashnode::New { family: Family::V6 })),
        ("-m host -C flashnode -H 1 -o update -x 2 -n a -v b", flashnode(update)),
        ("-m host -C flashnode -H 1 -o delete -x 2", flashnode(Flashnode::Delete { index: 2 })),
        ("-m host -C flashnode -H 1 -o login -x 2", flashnode(Flashnode::Login { index: 2 })),
        ("-m host -C flashnode -H 1 -o logout -x 2", flashnode(Flashnode::Logout { index: 2 })),
    ]);
    let index = &["Invalid flashnode index"][..];
    let family = &["Invalid type mentioned for flashnode"][..];
    refused(&[
        ("-m host -C flashnode", &["Flashnode mode requires host no"], 7),
        ("-m host -C flashnode -H 1 -x abc", index, 7),
        ("-m host -C flashnode -H 1 -o delete", index, 7),
        ("-m host -C flashnode -H 1 -o login", index, 7),
        ("-m host -C flashnode -H 1 -o nonpersistent", index, 7),
        ("-m host -C flashnode -H 1 -o new", family, 7),
        ("-m host -C flashnode -H 1 -o new -A ipv5", family, 7),
        ("-m host -C flashnode -H 1 -o update -x 1", &["update requires name and value"], 7),
        ("-m host -C flashnode -H 1 -o apply -x 1", &["Invalid operation"], 7),
        ("-m host -C flashnode -H 1 -o applyall -x 1", &["Invalid operation"], 7),
        ("-m host -C flashnode -H 1 -o new,delete -x 1", &["Invalid operation"], 7),
    ]);
}

#[test]
fn an_unknown_submode_is_refused() {
    refused(&[
        ("-m host -C ping", &["Invalid Sub Mode"], 7),
        ("-m host -C ping -H 1", &["Invalid Sub Mode"], 7),
        ("-m host -C bogus", &["Invalid Sub Mode"], 7),
        ("-m host -C ''", &["Invalid Sub Mode"], 7),
        ("-m host -C stats", &["Stats mode requires host no"], 7),
    ]);
}
