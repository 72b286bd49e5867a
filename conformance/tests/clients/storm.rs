//! Many invocations at once, and a daemon that is killed among them.

use std::fs;
use std::thread;

use super::{Bench, PLAIN};

/// The process id of the daemon, from its lock file.
fn daemon(bench: &Bench) -> Option<u32> {
    fs::read_to_string(bench.tool.run_dir().join("riscsid.lock")).ok()?.trim().parse().ok()
}

#[test]
fn twenty_logins_and_logouts_at_once_survive_a_killed_daemon() {
    let Some(bench) = Bench::start() else { return };
    let portal = bench.portal();
    assert_eq!(bench.iscsiadm(&["-m", "discovery", "-t", "st", "-p", &portal]).code, 0);
    let node = ["-m", "node", "-T", PLAIN, "-p", &portal];
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let login = bench.iscsiadm(&[&node[..], &["-l"]].concat());
                    // Logged in, logged in already, or the daemon was killed under it: never a hang, never a crash.
                    assert!([0, 15, 18, 20].contains(&login.code), "{login:?}");
                    let logout = bench.iscsiadm(&[&node[..], &["-u"]].concat());
                    assert!([0, 2, 10, 18, 20, 21, 32].contains(&logout.code), "{logout:?}");
                }
            });
        }
        scope.spawn(|| {
            let pid = (0..2000).find_map(|_| {
                thread::yield_now();
                let pid = daemon(&bench);
                if pid.is_none() {
                    thread::sleep(std::time::Duration::from_millis(1));
                }
                pid
            });
            let killed = std::process::Command::new("kill").args(["-9", &pid.unwrap().to_string()]).status().unwrap();
            assert!(killed.success());
        });
    });
    // Whatever the storm left behind, one login and one logout bring it to rest.
    let login = bench.iscsiadm(&[&node[..], &["-l"]].concat());
    assert!([0, 15].contains(&login.code), "{login:?}");
    let listed = bench.iscsiadm(&["-m", "session"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (0, 1), "{listed:?}");
    assert_eq!(bench.iscsiadm(&[&node[..], &["-u"]].concat()).code, 0);
    assert_eq!(bench.iscsiadm(&["-m", "session"]).code, 21);
    assert_eq!(bench.tgt.connections(PLAIN).unwrap(), []);
    assert_eq!(bench.iscsiadm(&["-m", "node"]).stdout.lines().count(), 2);
}
