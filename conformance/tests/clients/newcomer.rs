//! What a newcomer types, to the letter.

use std::fs;

use conformance::lab::Ran;

use super::{Bench, CHAP, PLAIN};

fn ok(stdout: &str) -> Ran {
    Ran { code: 0, stdout: stdout.to_owned(), stderr: String::new() }
}

#[test]
fn the_first_session_of_a_newcomer() {
    let Some(bench) = Bench::start() else { return };
    let portal = bench.portal();
    let (address, port) = portal.split_once(':').unwrap();
    let at = format!("{address},{port}");

    let discovered = bench.iscsiadm(&["--mode", "discovery", "--type", "sendtargets", "--portal", &portal]);
    assert_eq!(discovered, ok(&format!("{portal},1 {PLAIN}\n{portal},1 {CHAP}\n")));
    let record = bench.tool.db().join("nodes").join(PLAIN).join(format!("{at},1")).join("default");
    assert!(fs::read_to_string(&record).unwrap().contains("node.startup = manual\n"), "{}", record.display());

    let login = bench.iscsiadm(&["-m", "node", "-T", PLAIN, "-p", &portal, "-l"]);
    let line = format!("Login to [iface: default, target: {PLAIN}, portal: {at}] successful.\n");
    assert_eq!(login, ok(&line));
    assert_eq!(bench.iscsiadm(&["-m", "session"]), ok(&format!("tcp: [1] {portal},1 {PLAIN} (non-flash)\n")));
    assert_eq!(bench.tgt.connections(PLAIN).unwrap().len(), 1);

    let again = bench.iscsiadm(&["-m", "node", "-T", PLAIN, "-p", &portal, "-l"]);
    assert_eq!((again.code, again.stdout.as_str()), (15, ""), "{again:?}");

    let rescan = bench.iscsiadm(&["-m", "node", "-R"]);
    let line = format!("Rescanning session [sid: 1, target: {PLAIN}, portal: {at}]\n");
    assert_eq!(rescan, ok(&line));

    let busy = bench.iscsiadm(&["-m", "node", "-T", PLAIN, "-o", "delete"]);
    assert_eq!((busy.code, busy.stdout.as_str()), (15, ""), "{busy:?}");

    let logout = bench.iscsiadm(&["-m", "node", "-T", PLAIN, "-u"]);
    let session = format!("[sid: 1, target: {PLAIN}, portal: {at}]");
    assert_eq!(logout, ok(&format!("Logging out of session {session}\nLogout of {session} successful.\n")));
    assert_eq!(bench.tgt.connections(PLAIN).unwrap(), []);
    let none = bench.iscsiadm(&["-m", "session"]);
    assert_eq!((none.code, none.stderr.as_str()), (21, "iscsiadm: No active sessions.\n"));

    assert_eq!(bench.iscsiadm(&["-m", "node", "-T", PLAIN, "-o", "delete"]), ok(""));
    assert!(!record.exists());
    assert_eq!(bench.iscsiadm(&["-m", "node"]), ok(&format!("{portal},1 {CHAP}\n")));
}

/// The same commands as a user without any privilege, where the test itself has some to give up.
#[test]
fn an_ordinary_user_needs_no_privilege() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;

    let Some(bench) = Bench::start() else { return };
    let portal = bench.portal();
    let home = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    // The program may lie where only root may look.
    let program = home.path().join("iscsiadm");
    fs::copy(bench.tool.path(), &program).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if root {
        chown(home.path(), Some(65534), Some(65534)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.args(args).env_clear().env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path());
        if root {
            command.uid(65534).gid(65534);
        }
        Ran::from(command.output().unwrap())
    };
    let discovered = run(&["-m", "discovery", "-t", "st", "-p", &portal]);
    assert_eq!(discovered, ok(&format!("{portal},1 {PLAIN}\n{portal},1 {CHAP}\n")));
    let login = run(&["-m", "node", "-T", PLAIN, "-l"]);
    assert_eq!((login.code, login.stderr.as_str()), (0, ""), "{login:?}");
    assert_eq!(run(&["-m", "session"]), ok(&format!("tcp: [1] {portal},1 {PLAIN} (non-flash)\n")));
    assert_eq!(run(&["-m", "node", "-T", PLAIN, "-u"]).code, 0);
    assert_eq!(run(&["-k", "0"]).code, 0);
}
