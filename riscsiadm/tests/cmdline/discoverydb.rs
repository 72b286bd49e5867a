//! `-m discoverydb`.

use riscsiadm::cli::request::{DiscoveryDb, RecordUse, Request, Run, Source, Writes};

use crate::{allowed, portal, refused, setting};

const ALL: Writes = Writes { record: true, add: true, update: true, delete: true, asked: false };

fn source() -> Source {
    Source::SendTargets(portal("h"))
}

fn db(request: DiscoveryDb) -> Request {
    Request::DiscoveryDb(request)
}

fn list(level: u32) -> Request {
    db(DiscoveryDb::List { level })
}

fn show(source: Source) -> Request {
    db(DiscoveryDb::Show { source, reveal: false })
}

#[test]
fn without_a_portal_and_a_type_the_records_are_listed() {
    allowed(&[
        ("-m discoverydb", list(0)),
        ("-m discoverydb -o show", list(0)),
        ("-m discoverydb -o show -P 1", list(1)),
        ("-m discoverydb -P 7", list(7)),
        ("-m discoverydb -D", list(0)),
        ("-m discoverydb -l", list(0)),
        ("-m discoverydb -n a -v b", list(0)),
    ]);
}

#[test]
fn a_record_is_shown_made_changed_and_deleted() {
    let update = |settings| db(DiscoveryDb::Update { source: source(), settings });
    let new = |settings| db(DiscoveryDb::New { source: source(), settings });
    let pair = || vec![setting("a", "b")];
    let isns = || Source::Isns(portal("h"));
    allowed(&[
        ("-m discoverydb -t st -p h", show(source())),
        ("-m discoverydb -t sendtargets -p h", show(source())),
        ("-m discoverydb -t st -p h -o show", show(source())),
        ("-m discoverydb -t st -p h -P 7", show(source())),
        ("-m discoverydb -t st -p h -l", show(source())),
        ("-m discoverydb -t st -p h -I default", show(source())),
        ("-m discoverydb -t st -p h -n a -v b", show(source())),
        ("-m discoverydb -t st -p h -S", db(DiscoveryDb::Show { source: source(), reveal: true })),
        ("-m discoverydb -t isns -p h", show(isns())),
        ("-m discoverydb -t st -p h -o new", new(vec![])),
        ("-m discoverydb -t st -p h -o new -n a", new(vec![])),
        ("-m discoverydb -t st -p h -o new -n a -v b", new(pair())),
        ("-m discoverydb -t st -p h -o new -o update", new(vec![])),
        ("-m discoverydb -t st -p h -o new,update -n a -v b", new(pair())),
        ("-m discoverydb -t isns -p h -o new", db(DiscoveryDb::New { source: isns(), settings: vec![] })),
        ("-m discoverydb -t st -p h -o update -n a -v b", update(pair())),
        ("-m discoverydb -t st -p h -o update -v b -n a", update(pair())),
        ("-m discoverydb -t st -p h -o update -n a -v ''", update(vec![setting("a", "")])),
        ("-m discoverydb -t st -p h -o update -n a -v b -n c -v d", update(vec![setting("a", "b"), setting("c", "d")])),
        ("-m discoverydb -t st -p h -o delete", db(DiscoveryDb::Delete { source: source() })),
        ("-m discoverydb -t st -p h -o delete -n a", db(DiscoveryDb::Delete { source: source() })),
    ]);
}

#[test]
fn discover_uses_the_stored_record_or_makes_one() {
    let base = || Run {
        source: source(),
        record: RecordUse::StoredOrNew,
        writes: ALL,
        ifaces: Vec::new(),
        login: false,
        level: 0,
    };
    let run = |run| db(DiscoveryDb::Run(run));
    let writes = Writes { record: true, add: false, update: false, delete: false, asked: true };
    allowed(&[
        ("-m discoverydb -t st -p h -D", run(base())),
        ("-m discoverydb -t st -p h --discover", run(base())),
        ("-D -m discoverydb -p h -t st", run(base())),
        ("-m discoverydb -t st -p h -Dl", run(Run { login: true, ..base() })),
        ("-m discoverydb -t st -p h -D -P 1", run(Run { level: 1, ..base() })),
        ("-m discoverydb -t st -p h -D -I i", run(Run { ifaces: vec!["i".into()], ..base() })),
        ("-m discoverydb -t st -p h -D -o apply", run(Run { writes, ..base() })),
        ("-m discoverydb -t st -p h -D -o new", run(Run { writes: Writes { add: true, ..writes }, ..base() })),
        (
            "-m discoverydb -t st -p h -D -o nonpersistent",
            run(Run { writes: Writes { record: false, ..writes }, ..base() }),
        ),
        ("-m discoverydb -t isns -p h -D", run(Run { source: Source::Isns(portal("h")), ..base() })),
        ("-m discoverydb -t fw -D", run(Run { source: Source::Firmware, ..base() })),
        ("-m discoverydb -t fw -D -l", run(Run { source: Source::Firmware, login: true, ..base() })),
    ]);
}

#[test]
fn what_discoverydb_mode_refuses() {
    let portal = &["Please specify portal as <ipaddr>[:<ipport>]"][..];
    let both = &["Invalid command. Portal not needed or Possibly missing discovery --type."][..];
    let kind = &["Invalid command. Possibly missing discovery --type."][..];
    let firmware = &["Invalid command. Possibly missing --discover argument."][..];
    let alone = &["Invalid operation. Operation not supported."][..];
    let update = &["Update requires name and value."][..];
    let operation = &["Operation is not supported."][..];
    refused(&[
        ("-m discoverydb -t st", portal, 7),
        ("-m discoverydb -t st -D", portal, 7),
        ("-m discoverydb -t st -o new", portal, 7),
        ("-m discoverydb -t st -o show", portal, 7),
        ("-m discoverydb -t isns", portal, 7),
        ("-m discoverydb -p h", both, 7),
        ("-m discoverydb -p h -D", both, 7),
        ("-m discoverydb -p h -l", both, 7),
        ("-m discoverydb -p h -I default", both, 7),
        ("-m discoverydb -p h -n a -v b", both, 7),
        ("-m discoverydb -p h -o new", kind, 7),
        ("-m discoverydb -p h -o show", kind, 7),
        ("-m discoverydb -p h -o update", kind, 7),
        ("-m discoverydb -p h -o delete", kind, 7),
        ("-m discoverydb -p h -o apply", kind, 7),
        ("-m discoverydb -p h -D -o new", kind, 7),
        ("-m discoverydb -t fw", firmware, 7),
        ("-m discoverydb -t fw -p h", firmware, 7),
        ("-m discoverydb -t fw -l", firmware, 7),
        ("-m discoverydb -t fw -o new", firmware, 7),
        ("-m discoverydb -o new", alone, 7),
        ("-m discoverydb -o update -n a -v b", alone, 7),
        ("-m discoverydb -o delete", alone, 7),
        ("-m discoverydb -o nonpersistent", alone, 7),
        ("-m discoverydb -o apply", alone, 7),
        ("-m discoverydb -D -o new", alone, 7),
        ("-m discoverydb -t st -p h -o update", update, 7),
        ("-m discoverydb -t st -p h -o update -n a", update, 7),
        ("-m discoverydb -t st -p h -o update -v a", update, 7),
        ("-m discoverydb -t st -p h -o apply", operation, 7),
        ("-m discoverydb -t st -p h -o nonpersistent", operation, 7),
        ("-m discoverydb -t st -p h -o login", operation, 7),
        ("-m discoverydb -t st -p h -o show -o delete", operation, 7),
        ("-m discoverydb -t st -p h -o update,delete -n a -v b", operation, 7),
    ]);
}
