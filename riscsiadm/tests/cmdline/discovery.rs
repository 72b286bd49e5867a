//! `-m discovery`.

use riscsiadm::cli::request::{Discovery, RecordUse, Request, Run, Source, Writes};

use crate::{allowed, portal, refused};

const NOTHING: Writes = Writes { record: false, add: false, update: false, delete: false, asked: true };
const RECORD: Writes = Writes { record: true, ..NOTHING };
const ALL: Writes = Writes { record: true, add: true, update: true, delete: true, asked: false };

fn source(text: &str) -> Source {
    Source::SendTargets(portal(text))
}

/// A discovery from a record made anew, with everything at its default.
fn fresh(source: Source) -> Run {
    Run { source, record: RecordUse::Fresh, writes: ALL, ifaces: Vec::new(), login: false, level: 0 }
}

fn run(run: Run) -> Request {
    Request::Discovery(Discovery::Run(run))
}

fn list(level: u32) -> Request {
    Request::Discovery(Discovery::List { level })
}

fn show(text: &str) -> Request {
    Request::Discovery(Discovery::Show { portal: portal(text), reveal: false })
}

#[test]
fn without_a_portal_and_a_type_the_records_are_listed() {
    allowed(&[
        ("-m discovery", list(0)),
        ("-m discovery -o show", list(0)),
        ("-m discovery -P 1", list(1)),
        ("-m discovery -o show -P 1", list(1)),
        ("-m discovery -P 9", list(9)),
        ("-m discovery -P abc", list(0)),
        ("-m discovery -P -1", list(0)),
        ("-m discovery -P 1x", list(1)),
        ("-m discovery -S", list(0)),
        ("-m discovery -l", list(0)),
        ("-m discovery -D", list(0)),
        ("-m discovery -n a", list(0)),
        ("-m discovery -n a -v b", list(0)),
        ("-m discovery -I default", list(0)),
        ("--mode discovery", list(0)),
        ("--mode=discovery --print=2", list(2)),
    ]);
}

#[test]
fn a_type_and_a_portal_discover_anew() {
    let a = || fresh(source("10.0.0.1"));
    allowed(&[
        ("-m discovery -t st -p 10.0.0.1", run(a())),
        ("-m discovery -t sendtargets -p 10.0.0.1", run(a())),
        ("-p 10.0.0.1 -t st -m discovery", run(a())),
        ("--mode discovery --type sendtargets --portal 10.0.0.1", run(a())),
        ("--mode=discovery --type=st --portal=10.0.0.1", run(a())),
        ("--mod discovery --ty st --portal 10.0.0.1", run(a())),
        ("-m discovery -tst -p10.0.0.1", run(a())),
        ("-m discovery -t st -p 10.0.0.1 -D", run(a())),
        ("-m discovery -t isns -t st -p 10.0.0.2 -p 10.0.0.1", run(a())),
        ("-m discovery -t st -p 10.0.0.1 -l", run(Run { login: true, ..a() })),
        ("-m discovery -lt st -p 10.0.0.1", run(Run { login: true, ..a() })),
        ("-m discovery -t st -p 10.0.0.1 -P 1", run(Run { level: 1, ..a() })),
        ("-m discovery -t st -p 10.0.0.1 -I a", run(Run { ifaces: vec!["a".into()], ..a() })),
        ("-m discovery -t st -p 10.0.0.1 -I a -I b", run(Run { ifaces: vec!["a".into(), "b".into()], ..a() })),
        ("-m discovery -t st -p 10.0.0.1 -S -n a -v b -d 8", run(a())),
        ("-m discovery -t st -p 10.0.0.1:860", run(fresh(source("10.0.0.1:860")))),
        ("-m discovery -t st -p 10.0.0.1:860,1", run(fresh(source("10.0.0.1:860,1")))),
        ("-m discovery -t st -p [fd00::1]:860", run(fresh(source("[fd00::1]:860")))),
        ("-m discovery -t st -p fd00::1", run(fresh(source("fd00::1")))),
        ("-m discovery -t st -p array.example.com", run(fresh(source("array.example.com")))),
        ("-m discovery -t isns -p 10.0.0.1", run(fresh(Source::Isns(portal("10.0.0.1"))))),
        ("-m discovery -t isns -p 10.0.0.1:1", run(fresh(Source::Isns(portal("10.0.0.1:1"))))),
        ("-m discovery -t fw", run(fresh(Source::Firmware))),
        ("-m discovery -t fw -p 10.0.0.1", run(fresh(Source::Firmware))),
        ("-m discovery -t fw -l", run(Run { login: true, ..fresh(Source::Firmware) })),
    ]);
}

#[test]
fn an_operation_narrows_what_a_discovery_writes() {
    let with = |writes| run(Run { writes, ..fresh(source("h")) });
    let new = Writes { add: true, ..RECORD };
    let update = Writes { update: true, ..new };
    let delete = Writes { delete: true, ..RECORD };
    let every = Writes { asked: true, ..ALL };
    allowed(&[
        ("-m discovery -t st -p h", with(ALL)),
        ("-m discovery -t st -p h -o new", with(new)),
        ("-m discovery -t st -p h -o update", with(update)),
        ("-m discovery -t st -p h -o delete", with(delete)),
        ("-m discovery -t st -p h -o new -o delete", with(Writes { delete: true, ..new })),
        ("-m discovery -t st -p h -o new,delete", with(Writes { delete: true, ..new })),
        ("-m discovery -t st -p h -o new -o update -o delete", with(every)),
        ("-m discovery -t st -p h -o new,update,delete", with(every)),
        ("-m discovery -t st -p h -o nonpersistent", with(NOTHING)),
        ("-m discovery -t st -p h -o nonpersistent -o new", with(NOTHING)),
        ("-m discovery -t st -p h -o show", with(RECORD)),
        ("-m discovery -t st -p h -o apply", with(RECORD)),
        ("-m discovery -t st -p h -o login", with(RECORD)),
        ("-m discovery -t st -p h --op new", with(new)),
        ("-m discovery -t st -p h --op=new", with(new)),
    ]);
}

#[test]
fn a_portal_alone_means_its_stored_record() {
    let stored = || Run { record: RecordUse::Stored, ..fresh(source("h")) };
    let delete = Request::Discovery(Discovery::Delete { portal: portal("h") });
    allowed(&[
        ("-m discovery -p h", show("h")),
        ("-m discovery -p h:1", show("h:1")),
        ("-m discovery -p h -o show", show("h")),
        ("-m discovery -p h -P 1", show("h")),
        ("-m discovery -p h -I default", show("h")),
        ("-m discovery -p h -S", Request::Discovery(Discovery::Show { portal: portal("h"), reveal: true })),
        ("-m discovery -p h -o delete", delete),
        ("-m discovery -p h -D", run(stored())),
        ("-m discovery -p h -l", run(Run { login: true, ..stored() })),
        ("-m discovery -p h -Dl", run(Run { login: true, ..stored() })),
        ("-m discovery -p h -D -o nonpersistent", run(Run { writes: NOTHING, ..stored() })),
        ("-m discovery -p h -D -o apply", run(Run { writes: RECORD, ..stored() })),
    ]);
}

#[test]
fn what_discovery_mode_refuses() {
    let portal = &["Please specify portal as <ipaddr>[:<ipport>]"][..];
    let isns = &["Please specify portal as <ipaddr>:[<ipport>]"][..];
    let operation = &["Invalid operation."][..];
    let other_mode = &["Operations new and update for discovery mode is not supported. Use discoverydb mode."][..];
    refused(&[
        ("-m discovery -t st", portal, 7),
        ("-m discovery -t sendtargets -o new", portal, 7),
        ("-m discovery -t st -o show", portal, 7),
        ("-m discovery -t st -l", portal, 7),
        ("-m discovery -t isns", isns, 7),
        ("-m discovery -o new", operation, 7),
        ("-m discovery -o update", operation, 7),
        ("-m discovery -o delete", operation, 7),
        ("-m discovery -o nonpersistent", operation, 7),
        ("-m discovery -o apply", operation, 7),
        ("-m discovery -o login", operation, 7),
        ("-m discovery -o show -o new", operation, 7),
        ("-m discovery -D -o new", operation, 7),
        ("-m discovery -p h -o new", other_mode, 7),
        ("-m discovery -p h -o update", other_mode, 7),
        ("-m discovery -p h -o update -n a -v b", other_mode, 7),
        ("-m discovery -p h -o apply", operation, 7),
        ("-m discovery -p h -o nonpersistent", operation, 7),
        ("-m discovery -p h -o delete -o new", operation, 7),
        ("-m discovery -p h -o delete,show", operation, 7),
    ]);
}

#[test]
fn a_discovery_type_is_known_or_refused() {
    for word in ["slp", "send_targets", "sendtarget", "ST", "firmware", "''"] {
        let typed = if word == "''" { "" } else { word };
        let message = format!("can not recognize discovery type: '{typed}'. Use sendtargets, st, isns or fw.");
        refused(&[(&format!("-m discovery -t {word} -p h"), &[&message], 7)]);
        refused(&[(&format!("-m discoverydb -p h -t {word}"), &[&message], 7)]);
    }
}
