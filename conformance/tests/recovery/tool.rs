//! `riscsiadm` with a record that wants level 2 and several connections.

use conformance::lab::Riscsiadm;

use crate::bundled::{limits, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_with_erl_and_max_connections_makes_such_a_session() {
    let (server, name) = serve(limits()).await;
    let portal = server.local_addr().to_string();
    let name = name.as_written().to_owned();
    let node = server.node().clone();
    tokio::task::spawn_blocking(move || {
        let tool = Riscsiadm::new().unwrap();
        let run = |args: &[&str]| {
            let ran = tool.run(args).unwrap();
            assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
            ran.stdout
        };
        run(&["-m", "discovery", "-t", "sendtargets", "-p", &portal]);
        let update = |key: &str, value: &str| {
            run(&["-m", "node", "-T", &name, "-o", "update", "-n", key, "-v", value]);
        };
        update("node.session.iscsi.ERL", "2");
        update("node.session.iscsi.MaxConnections", "3");
        update("node.session.iscsi.DefaultTime2Retain", "20");
        run(&["-m", "node", "-T", &name, "-l"]);
        let tree = run(&["-m", "session", "-P", "2"]);
        for line in ["ErrorRecoveryLevel: 2", "MaxConnections: 3", "MaxOutstandingR2T: 1"] {
            assert!(tree.contains(line), "{line}: {tree}");
        }
        let sessions = node.sessions();
        assert_eq!((sessions.len(), sessions[0].connections), (1, 3), "{sessions:?}");
        run(&["-m", "node", "-T", &name, "-u"]);
        assert!(node.sessions().is_empty());
    })
    .await
    .unwrap();
}
