//! `-m iface`.

use riscsiadm::cli::args::{Extras, HostRef};
use riscsiadm::cli::request::{Iface, Ping, Request};
use riscsiadm::cli::{Action, Invocation};

use crate::{allowed, iscsiadm, program, refused, setting};

fn iface(request: Iface) -> Request {
    Request::Iface(request)
}

fn list(name: Option<&str>, tree: bool) -> Request {
    iface(Iface::List { name: name.map(str::to_owned), tree })
}

fn show(name: &str) -> Request {
    iface(Iface::Show { name: name.to_owned() })
}

fn new(name: &str, pairs: &[(&str, &str)]) -> Request {
    let settings = pairs.iter().map(|(name, value)| setting(name, value)).collect();
    iface(Iface::New { name: name.to_owned(), settings })
}

fn update(name: &str, pairs: &[(&str, &str)]) -> Request {
    let settings = pairs.iter().map(|(name, value)| setting(name, value)).collect();
    iface(Iface::Update { name: name.to_owned(), settings })
}

#[test]
fn interfaces_are_listed_and_shown() {
    allowed(&[
        ("-m iface", list(None, false)),
        ("--mode iface", list(None, false)),
        ("-m iface -o show", list(None, false)),
        ("-m iface -P 1", list(None, true)),
        ("-m iface -o show -P 1", list(None, true)),
        ("-m iface -P abc", list(None, false)),
        ("-m iface -P -1", list(None, false)),
        ("-m iface -H 1", list(None, false)),
        ("-m iface -a 10.0.0.1", list(None, false)),
        ("-m iface -n iface.mtu -v 3", list(None, false)),
        ("-m iface -I default", show("default")),
        ("-m iface -I iser", show("iser")),
        ("-m iface --interface x -o show", show("x")),
        ("-m iface -o show -I x", show("x")),
        ("-m iface -I 10.0.0.1:3260:vol", show("10.0.0.1:3260:vol")),
        ("-m iface -I x -n iface.mtu -v 3", show("x")),
        ("-m iface -I x -H 1", show("x")),
        ("-m iface -I x -P 1", list(Some("x"), true)),
        ("-m iface -I x -P 1 -o show", list(Some("x"), true)),
    ]);
}

#[test]
fn interfaces_are_made_changed_deleted_and_applied() {
    allowed(&[
        ("-m iface -I x -o new", new("x", &[])),
        ("-m iface -I x --op=new", new("x", &[])),
        ("-m iface -I x -P 2 -o new", new("x", &[])),
        ("-m iface -I x -o new -n iface.mtu -v 3", new("x", &[("iface.mtu", "3")])),
        ("-m iface -I x -o update -n iface.mtu -v 3", update("x", &[("iface.mtu", "3")])),
        (
            "-m iface -I x --op=update -n iface.net_ifacename -v eth0 -n a -v b",
            update("x", &[("iface.net_ifacename", "eth0"), ("a", "b")]),
        ),
        ("-m iface -I x -o delete", iface(Iface::Delete { name: "x".into() })),
        ("-m iface -I x -o delete -n iface.mtu -v 4", iface(Iface::Delete { name: "x".into() })),
        ("-m iface -I x -o apply", iface(Iface::Apply { name: "x".into() })),
        ("-m iface -I default -o apply", iface(Iface::Apply { name: "default".into() })),
        ("-m iface -o applyall -H 0", iface(Iface::ApplyAll { host: HostRef::Number(0) })),
        ("-m iface -I x -o applyall -H 3", iface(Iface::ApplyAll { host: HostRef::Number(3) })),
        ("-m iface -o applyall -H a:b", iface(Iface::ApplyAll { host: HostRef::Mac("a:b".into()) })),
    ]);
}

#[test]
fn a_ping_has_its_bounds() {
    let base = || Ping { name: "x".into(), address: "10.0.0.1".into(), size: 32, count: 1, interval: 0 };
    let ping = |ping| iface(Iface::Ping(ping));
    let line = |rest: &str| format!("-m iface -I x -C ping -a 10.0.0.1 {rest}");
    allowed(&[
        (&line(""), ping(base())),
        (&line("-o delete"), ping(base())),
        (&line("-b 1 -c 2 -i 3"), ping(Ping { size: 1, count: 2, interval: 3, ..base() })),
        (&line("-b 64x -i abc"), ping(Ping { size: 64, ..base() })),
        ("-m iface -I x --submode ping --ip h", ping(Ping { address: "h".into(), ..base() })),
        (&line("--packetsize 70000 --count 70000"), ping(Ping { size: 70000, count: 70000, ..base() })),
    ]);
    refused(&[
        ("-m iface -C ping", &["Ping requires iface."], 7),
        ("-m iface -C ping -a h", &["Ping requires iface."], 7),
        ("-m iface -C ping -o new", &["Ping requires iface."], 7),
        ("-m iface -C ping -I x", &["Ping requires destination ipaddress."], 7),
        ("-m iface -C ping -I x -a ''", &["Ping requires destination ipaddress."], 7),
        (&line("-b 0"), &["Invalid packet size: 0."], 7),
        (&line("-b -1"), &["Invalid packet size: -1."], 7),
        (&line("-b abc"), &["Invalid packet size: 0."], 7),
        (&line("-c 0"), &["Invalid number of packets to transmit: 0."], 7),
        (&line("-c -1"), &["Invalid number of packets to transmit: -1."], 7),
        (&line("-i -1"), &["Invalid timing interval: -1."], 7),
        (&line("-c 4294967296"), &["Invalid number of packets to transmit: 4294967296."], 7),
    ]);
}

#[test]
fn what_iface_mode_refuses() {
    let update = &["Update requires name, value, and iface."][..];
    let operation = &["operation is not supported."][..];
    refused(&[
        ("-m iface -P 2", &["Invalid info level 2. Try 0 - 1."], 7),
        ("-m iface -I x -P 2", &["Invalid info level 2. Try 0 - 1."], 7),
        ("-m iface -I x -P 2 -o show", &["Invalid info level 2. Try 0 - 1."], 7),
        ("-m iface -o new", &["Could not add interface. No interface passed in."], 22),
        ("-m iface -o delete", &["Could not delete interface. No interface passed in."], 7),
        ("-m iface -o update", update, 7),
        ("-m iface -o update -n a -v b", update, 7),
        ("-m iface -I x -o update", update, 7),
        ("-m iface -I x -o update -n a", update, 7),
        ("-m iface -I x -o update -H 1", update, 7),
        ("-m iface -o apply", &["Apply requires iface."], 7),
        ("-m iface -H 1 -o apply", &["Apply requires iface."], 7),
        ("-m iface -o applyall", &["Applyall requires host no."], 7),
        ("-m iface -o nonpersistent", operation, 7),
        ("-m iface -I x -o login", operation, 7),
        ("-m iface -I x -o new -o update -n a -v b", operation, 7),
        ("-m iface -o show,new -I x", operation, 7),
        ("-m iface -C chap", &["Invalid Sub Mode"], 7),
        ("-m iface -C bogus -I x", &["Invalid Sub Mode"], 7),
    ]);
}

#[test]
fn interfaces_that_always_exist_are_left_alone() {
    for name in ["default", "iser"] {
        let special = |what: &str| format!("iface {name} is a special interface and {what}.");
        let line = |op: &str| format!("-m iface -I {name} -o {op}");
        let new = format!("Could not create new interface {name}.");
        let update = format!("Could not update iface {name}: invalid parameter");
        let delete = format!("Could not delete iface {name}: invalid parameter");
        refused(&[
            (&line("new"), &[&special("is not stored"), &new], 7),
            (&line("update -n iface.mtu -v 3"), &[&special("cannot be modified"), &update], 7),
            (&line("delete"), &[&special("cannot be deleted"), &delete], 7),
        ]);
    }
}

#[test]
fn the_name_of_an_interface_has_1_to_64_characters() {
    for (name, typed) in [("a".repeat(65), "a".repeat(65)), (String::new(), "''".to_owned())] {
        for line in [format!("-m iface -I {typed} -o new"), format!("-I {typed} -m session")] {
            let refusal = iscsiadm(&line).unwrap_err();
            let text = format!("Invalid iface name {name}. Must be from 1 to 64 characters.\n");
            assert_eq!((refusal.stdout(), refusal.stderr(&program("iscsiadm"))), (text, String::new()));
            assert_eq!(refusal.exit.code(), 7);
        }
    }
    let longest = "a".repeat(64);
    allowed(&[(&format!("-m iface -I {longest}"), show(&longest))]);
}

#[test]
fn the_name_of_an_interface_is_a_file_name() {
    for (typed, printed) in
        [("a/b", "a/b"), ("..", ".."), (".", "."), (".a", ".a"), ("../a", "../a"), ("a\u{1b}", "a\\u{1b}")]
    {
        let message =
            format!("Invalid iface name \"{printed}\". It names a file: no '/', no control character, no '.' first.");
        refused(&[(&format!("-m iface -o new -I {typed}"), &[&message], 7)]);
    }
}

#[test]
fn of_several_interfaces_the_first_counts_and_a_warning_says_so() {
    let expected = Invocation {
        action: Action::Request(show("a"), Extras::default()),
        warnings: vec!["iface mode only accepts one interface. Using the first one a.".into()],
    };
    assert_eq!(iscsiadm("-m iface -I a -I b"), Ok(expected));
}
