//! What is left behind: memory, and a disk that a second session can use.

use std::sync::Arc;

use conformance::hostile::Script;
use iscsi_initiator::Session;

use super::Expect::{Fails, Fine, Over};
use super::{COUNT, LONGEST, NEW, builder, content, fill, hostile, judge, limits, medium, node, play, runtime, write};

/// Peak memory of this process in KiB, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

async fn connect(node: &Arc<conformance::target::core::Node>, script: &str) -> Session {
    let script: Script = script.parse().unwrap();
    let (session, connection) = builder().connect_with(hostile(node, &script)).await.unwrap();
    tokio::spawn(connection);
    session
}

/// floods and lies about lengths cost no memory that grows with them.
#[tokio::test(start_paused = true)]
async fn r007_r297_floods_and_long_lengths_take_little_memory() {
    let node = node(limits());
    fill(&node).await;
    let Some(before) = peak() else { return };
    for script in [
        "on 1st R2T: set length 0xffffffff",
        "on 1st R2T: set datalength 0xffffff",
        "on 1st R2T: precede with NopIn ttt 3 x 100000",
        "on 1st R2T: precede with AsyncMessage event 248 x 100000",
        "on 1st R2T: duplicate 100000 times",
    ] {
        let session = connect(&node, script).await;
        let _ = write(&session, COUNT, content(COUNT, NEW)).await;
    }
    let grown = peak().unwrap() - before;
    // The scripts themselves hold their floods, some 5 MB each, more than once.
    assert!(grown < 64 * 1024, "{grown} KiB");
}

/// after a session that broke down, a new one finds the target and the disk as they should be.
#[tokio::test(start_paused = true)]
async fn r261_a_new_session_goes_on_where_one_broke_down() {
    let node = node(limits());
    fill(&node).await;
    let first = connect(&node, "on 2nd R2T: close").await;
    assert!(write(&first, COUNT, content(COUNT, NEW)).await.unwrap_err().is_retriable());
    let second = connect(&node, "").await;
    write(&second, COUNT, content(COUNT, NEW)).await.unwrap();
    assert!(medium(&node, COUNT, COUNT) == content(COUNT, NEW));
    second.logout().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(node.sessions(), []);
}

/// Scripts may speak of requests too: what they do to them shows.
#[test]
fn requests_are_lost_damaged_and_answered_in_the_target_s_place() {
    for (script, expect) in [
        ("on 1st TaskRequest: answer with TaskResponse response 5", Fails("abort", &["another task result"])),
        ("on 1st NopOut: answer with NopIn", Fine),
        ("on 2nd ScsiCommand: close", Over("write", &[])),
        ("on 1st DataOut: corrupt data digest", Fails("write", &["(0B/47/05)"])),
        ("on 1st ScsiCommand of 2nd connection: close", Fine),
    ] {
        let outcome = runtime().block_on(play(script, limits(), LONGEST));
        judge(expect, &outcome).unwrap_or_else(|why| panic!("{script}: {why}"));
    }
}
