//! `-m session`.

use riscsiadm::cli::request::{Request, Session};

use crate::{allowed, refused, setting};

fn session(request: Session) -> Request {
    Request::Session(request)
}

fn list(sid: Option<u32>, level: u32) -> Request {
    session(Session::List { sid, level, reveal: false })
}

fn show(sid: u32) -> Request {
    session(Session::Show { sid, reveal: false })
}

#[test]
fn without_an_id_all_sessions_are_meant() {
    allowed(&[
        ("-m session", list(None, 0)),
        ("--mode session", list(None, 0)),
        ("-m node -m session", list(None, 0)),
        ("-m session -P 0", list(None, 0)),
        ("-m session -P 1", list(None, 1)),
        ("-m session -P 2", list(None, 2)),
        ("-m session -P 3", list(None, 3)),
        ("-m session -P3", list(None, 3)),
        ("-m session -P -1", list(None, 0)),
        ("-m session -P abc", list(None, 0)),
        ("-m session -S", session(Session::List { sid: None, level: 0, reveal: true })),
        ("-m session -P 2 -S", session(Session::List { sid: None, level: 2, reveal: true })),
        ("-m session -n a", list(None, 0)),
        ("-m session -n a -v b -P 1", list(None, 1)),
        ("-m session -o show", list(None, 0)),
        ("-m session -o delete", list(None, 0)),
        ("-m session -o update -n a -v b", list(None, 0)),
        ("-m session -o apply", list(None, 0)),
        ("-m session -i 3 -d 1", list(None, 0)),
        ("-m session -u", session(Session::Logout { sid: None })),
        ("-m session -u -P 1", session(Session::Logout { sid: None })),
        ("-m session -R", session(Session::Rescan { sid: None })),
        ("-m session --rescan", session(Session::Rescan { sid: None })),
        ("-m session -s", session(Session::Stats { sid: None })),
        ("-m session -s -P 3", session(Session::Stats { sid: None })),
        ("-m session -s -o delete", session(Session::Stats { sid: None })),
    ]);
}

#[test]
fn an_id_names_one_session() {
    allowed(&[
        ("-m session -r 1", show(1)),
        ("-r 1 -m session", show(1)),
        ("-m session --sid 1", show(1)),
        ("-m session --sid=12", show(12)),
        ("-m session -r 1 -P 0", show(1)),
        ("-m session -r 1 -o show", show(1)),
        ("-m session -r 1 -o show -P 4", show(1)),
        ("-m session -r 1 -n a -v b", show(1)),
        ("-m session -r 1 -S", session(Session::Show { sid: 1, reveal: true })),
        ("-m session -r 1 -P 1", list(Some(1), 1)),
        ("-m session -r 1 -P 3", list(Some(1), 3)),
        ("-m session -r 1 -P 2 -S", session(Session::List { sid: Some(1), level: 2, reveal: true })),
        ("-m session -r 1 -u", session(Session::Logout { sid: Some(1) })),
        ("-m session -r 1 -R", session(Session::Rescan { sid: Some(1) })),
        ("-m session --sid 1 --rescan", session(Session::Rescan { sid: Some(1) })),
        ("-m session -r 1 -s", session(Session::Stats { sid: Some(1) })),
        ("-m session -r 1 -o new", session(Session::New { sid: 1 })),
        ("-m session -r 1 -o new -P 2", session(Session::New { sid: 1 })),
        ("-m session -r 1 -o delete", session(Session::Delete { sid: 1 })),
        (
            "-m session -r 1 -o update -n node.startup -v manual",
            session(Session::Update { sid: 1, settings: vec![setting("node.startup", "manual")] }),
        ),
    ]);
}

#[test]
fn of_competing_options_the_winner_is_that_of_iscsiadm() {
    allowed(&[
        ("-m session -R -s", session(Session::Rescan { sid: None })),
        ("-m session -R -u", session(Session::Rescan { sid: None })),
        ("-m session -s -u", session(Session::Stats { sid: None })),
        ("-m session -r 1 -s -R", session(Session::Rescan { sid: Some(1) })),
        ("-m session -r 1 -R -o new", session(Session::Rescan { sid: Some(1) })),
        ("-m session -r 1 -s -u", session(Session::Stats { sid: Some(1) })),
    ]);
}

#[test]
fn an_id_is_a_number_or_a_path_in_sysfs() {
    allowed(&[
        ("-m session -r +1", show(1)),
        ("-m session -r 01", show(1)),
        ("-m session -r 4294967295", show(u32::MAX)),
        ("-m session -r /sys/class/iscsi_session/session3", show(3)),
        ("-m session -r /sys/class/iscsi_session/session3/", show(3)),
        ("-m session -r /sys/devices/platform/host2/session4/connection4:0", show(4)),
        ("-m session -r /sys/devices/session9/host2/session4/target2:0:0/2:0:0:1", show(4)),
    ]);
    for sid in [
        "0",
        "-1",
        "1x",
        "bogus",
        "session1",
        "99999999999",
        "4294967296",
        "/tmp",
        "/sys/class/iscsi_host/host3",
        "/sys/session0",
        "/sys/session",
        "/sys/sessionx",
    ] {
        let message = format!("{sid} is an invalid session ID or path");
        refused(&[(&format!("-m session -r {sid}"), &[&message], 1)]);
    }
    refused(&[
        ("-m session -r ''", &[" is an invalid session ID or path"], 1),
        ("-r bogus -m node", &["bogus is an invalid session ID or path"], 1),
        ("-r bogus -o bogus -m session", &["bogus is an invalid session ID or path"], 1),
        ("-o bogus -r bogus -m session", &["can not recognize operation: 'bogus'"], 7),
    ]);
}

#[test]
fn what_session_mode_refuses() {
    let new = &["session mode: Operation 'new' only allowed with specific session IDs"][..];
    let op = &["Invalid parameters. Login/logout and op passed in"][..];
    let operation = &["operation is not supported."][..];
    refused(&[
        ("-m session -P 4", &["Invalid info level 4. Try 0 - 3."], 7),
        ("-m session -P 9", &["Invalid info level 9. Try 0 - 3."], 7),
        ("-m session -r 1 -P 4", &["Invalid info level 4. Try 0 - 3."], 7),
        ("-m session -o new", new, 7),
        ("-m session -u -o new", new, 7),
        ("-m session -R -o new", new, 7),
        ("-m session -u -o delete", op, 7),
        ("-m session -r 1 -u -o delete", op, 7),
        ("-m session -r 1 -u -o new", &["Invalid parameters. Both login and logout passed in"], 7),
        ("-m session -r 1 -o apply", operation, 7),
        ("-m session -r 1 -o nonpersistent", operation, 7),
        ("-m session -r 1 -o new -o delete", operation, 7),
        ("-m session -r 1 -o update", &["update requires name and value"], 7),
        (
            "-m session -r 1 -o update -n iface.mtu -v 3",
            &["Cannot modify iface.mtu. Use iface mode to update this value."],
            7,
        ),
    ]);
}
