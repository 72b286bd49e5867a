//! The initiator against a target that misbehaves by a script, in virtual time over a pipe in memory.
//!
//! A row is the ids of the requirements it proves, the script, and what has to come of it. After each the disk is looked at
//! past the protocol: what was acknowledged is there, and what was read was there.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod chap;
mod control;
mod data;
mod login;
mod random;
mod recovery;
mod repair;
mod tcp;
mod text;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use conformance::hostile::{self, Script};
use conformance::lab::stamp;
use conformance::target::config::{Config as TargetConfig, Limits, LunConfig, TargetConfig as Target};
use conformance::target::core::Node;
use iscsi_initiator::core::command::Command;
use iscsi_initiator::core::{CommandError, DigestOffer};
use iscsi_initiator::{Builder, Config, Initiator, Session, good};
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::{Residual, TaskResult};
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::{Cdb, Lun};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, timeout};

const DISK: &str = "iqn.2026-01.org.example:disk";
const BLOCK: usize = 512;
const BLOCKS: usize = 32;
/// What the disk holds at first, and what is written.
const OLD: u64 = 1;
const NEW: u64 = 2;
/// Blocks of each read and write.
const COUNT: usize = 8;
/// No script may make anybody wait for longer than this, in virtual time: the longest waits of the initiator in a row.
const LONGEST: Duration = Duration::from_secs(120);

/// What has to come of a script.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// Nothing: all steps succeed.
    Fine,
    /// The login fails, and the error says this.
    NoLogin(&'static [&'static str]),
    /// This step fails, the error says this, and the session is over.
    Over(&'static str, &'static [&'static str]),
    /// These steps fail, each error says this, and everything else succeeds.
    Each(&'static [&'static str], &'static [&'static str]),
    /// This step fails, the error says this, and everything else succeeds.
    Fails(&'static str, &'static [&'static str]),
}

use Expect::{Each, Fails, Fine, NoLogin, Over};

/// The ids of requirements, a script, what comes of it.
type Row = (&'static str, &'static str, Expect);

/// How one step of the dialogue ended.
type Ended = (&'static str, Result<(), String>);

fn name(text: &str) -> IscsiName {
    text.parse().unwrap()
}

fn portal() -> Portal {
    "192.0.2.1:3260".parse().unwrap()
}

/// Small limits, so that there are several PDUs of each kind.
fn limits() -> Limits {
    Limits {
        max_burst: 2048,
        first_burst: 512,
        max_recv_data_segment: 1024,
        initial_r2t: true,
        immediate_data: false,
        status_in_data: false,
        ..Limits::default()
    }
}

fn node(limits: Limits) -> Arc<Node> {
    let target = Target::new(name(DISK)).lun(LunConfig::memory((BLOCKS * BLOCK) as u64)).limits(limits);
    start(target)
}

fn start(target: Target) -> Arc<Node> {
    let target = Target { unit_attention: false, ..target };
    Arc::new(Node::new(TargetConfig { targets: vec![target], ..TargetConfig::default() }).unwrap())
}

fn builder() -> Builder {
    recovering(0)
}

/// A session that offers this level of error recovery.
fn recovering(level: u8) -> Builder {
    let mut config = Config::default();
    config.offer.max_recv_data_segment_length = 1024;
    (config.offer.header_digest, config.offer.data_digest) = (DigestOffer::PreferCrc32c, DigestOffer::PreferCrc32c);
    config.offer.error_recovery_level = level;
    Session::builder(&Initiator::new(name("iqn.2026-01.org.example:host")), name(DISK)).config(config)
}

/// Our end of a pipe to a target that follows the script.
fn hostile(node: &Arc<Node>, script: &Script) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(hostile::serve(theirs, node.clone(), portal(), script.clone()));
    ours
}

/// The disk's content as the initiator's peer would never show it.
fn medium(node: &Node, block: usize, count: usize) -> Vec<u8> {
    node.peek(0, 0, (block * BLOCK) as u64, count * BLOCK).unwrap().to_vec()
}

fn content(block: usize, seed: u64) -> Vec<u8> {
    stamp::pieces(block as u64, COUNT, seed)
}

/// Fills the disk by a session without faults.
async fn fill(node: &Arc<Node>) {
    let (session, connection) = builder().connect_with(hostile(node, &Script::default())).await.unwrap();
    tokio::spawn(connection);
    let all = stamp::pieces(0, BLOCKS, OLD);
    write(&session, 0, all).await.unwrap();
    session.logout().await.unwrap();
}

async fn write(session: &Session, block: usize, bytes: Vec<u8>) -> Result<(), CommandError> {
    let (cdb, expected) = (Cdb::write(block as u64, (bytes.len() / BLOCK) as u32), bytes.len());
    let response = good(session.execute(Lun::ZERO, Command::write(cdb, bytes)).await?)?;
    let received = match response.residual {
        Residual::None => return Ok(()),
        Residual::Underflow(rest) => expected.saturating_sub(rest as usize),
        // The unit had another command in mind.
        Residual::Overflow(_) => 0,
    };
    Err(CommandError::Short { expected, received })
}

async fn read(session: &Session, block: usize) -> Result<Vec<u8>, CommandError> {
    let command = Command::read(Cdb::read(block as u64, COUNT as u32), BytesMut::zeroed(COUNT * BLOCK));
    let response = good(session.execute(Lun::ZERO, command).await?)?;
    let (expected, received) = (COUNT * BLOCK, response.data.len());
    if received == expected { Ok(response.data.to_vec()) } else { Err(CommandError::Short { expected, received }) }
}

async fn step<T, E: std::error::Error>(name: &'static str, future: impl Future<Output = Result<T, E>>) -> Ended {
    (name, future.await.map(drop).map_err(|error| format!("{error:?} = {error}")))
}

/// The dialogue that every script is played against.
async fn converse(session: &Session) -> Vec<Ended> {
    let mut ended = Vec::new();
    let known = async |session: &Session| {
        let data = read(session, 0).await?;
        assert!(data == content(0, OLD), "a read returned what is not on the disk");
        Ok::<(), CommandError>(())
    };
    ended.push(step("read", known(session)).await);
    ended.push(step("write", write(session, COUNT, content(COUNT, NEW))).await);
    let written = ended.iter().all(|(name, result)| *name != "write" || result.is_ok());
    let verified = async |session: &Session| {
        let data = read(session, COUNT).await?;
        check_written(&data, written);
        Ok::<(), CommandError>(())
    };
    ended.push(step("verify", verified(session)).await);
    ended.push(step("ping", session.ping()).await);
    ended.push(step("text", session.text(b"SendTargets=\0".to_vec())).await);
    let set = async |session: &Session| match session.abort_tasks(Lun::ZERO).await? {
        TaskResult::FunctionComplete => Ok(()),
        _ => Err(CommandError::Invalid("another task result")),
    };
    ended.push(step("abort", set(session)).await);
    ended.push(step("logout", session.logout()).await);
    ended
}

/// Each block is old or new, and new if the write was acknowledged.
fn check_written(data: &[u8], acknowledged: bool) {
    let (old, new) = (content(COUNT, OLD), content(COUNT, NEW));
    for ((found, old), new) in data.chunks(BLOCK).zip(old.chunks(BLOCK)).zip(new.chunks(BLOCK)) {
        assert!(found == new || (!acknowledged && found == old), "an acknowledged write is not on the disk");
    }
}

/// A runtime whose clock moves on when nothing else does.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Plays one script with these limits of the target.
async fn play(script: &str, limits: Limits, longest: Duration) -> Result<Vec<Ended>, String> {
    let script: Script = script.parse().unwrap();
    let builder = recovering(limits.error_recovery_level);
    let node = node(limits);
    fill(&node).await;
    let start = Instant::now();
    let ended = timeout(longest * 2, dialogue(builder, &node, &script)).await.expect("it hangs");
    assert!(start.elapsed() <= longest, "{:?}", start.elapsed());
    let written = matches!(&ended, Ok(steps) if steps.iter().any(|(name, result)| *name == "write" && result.is_ok()));
    check_written(&medium(&node, COUNT, COUNT), written);
    for block in (0..BLOCKS).step_by(COUNT).filter(|block| *block != COUNT) {
        assert!(medium(&node, block, COUNT) == content(block, OLD), "blocks were written that nobody wrote to");
    }
    ended
}

async fn dialogue(builder: Builder, node: &Arc<Node>, script: &Script) -> Result<Vec<Ended>, String> {
    let (session, connection) = match builder.connect_with(hostile(node, script)).await {
        Ok(both) => both,
        Err(error) => return Err(format!("{error:?} = {error}")),
    };
    let mut running = tokio::spawn(connection);
    let ended = converse(&session).await;
    // Whatever was said, the session is over now, and so is its connection.
    assert!(session.closed().is_some());
    timeout(Duration::from_secs(1), &mut running).await.expect("the connection outlives its session").unwrap().ok();
    Ok(ended)
}

fn says(error: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| error.contains(part))
}

/// Why the outcome is not what was expected, if it is not.
fn judge(expect: Expect, outcome: &Result<Vec<Ended>, String>) -> Result<(), String> {
    let steps = match (expect, outcome) {
        (NoLogin(parts), Err(error)) if says(error, parts) => return Ok(()),
        (_, Err(error)) => return Err(format!("the login failed: {error}")),
        (_, Ok(steps)) => steps,
    };
    let failed: Vec<&Ended> = steps.iter().filter(|(_, result)| result.is_err()).collect();
    let holds = match (expect, &failed[..]) {
        (Fine, []) => true,
        (Fails(step, parts), [(name, Err(error))]) => *name == step && says(error, parts),
        (Each(names, parts), failed) => {
            failed.iter().map(|(name, _)| *name).eq(names.iter().copied())
                && failed.iter().all(|(_, result)| result.as_ref().is_err_and(|error| says(error, parts)))
        }
        (Over(step, parts), [(name, Err(error)), rest @ ..]) => {
            let last = steps.iter().skip_while(|(name, _)| *name != step).skip(1);
            *name == step && says(error, parts) && last.filter(|(name, _)| *name != "logout").count() <= rest.len()
        }
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("{failed:#?}")) }
}

/// Plays all rows, and names those that came out otherwise.
fn table_with(rows: &[Row], limits: fn() -> Limits) {
    let mut wrong = Vec::new();
    for (ids, script, expect) in rows {
        assert!(ids.split(' ').all(|id| id.len() == 5 && id.starts_with("R-")), "{ids}");
        println!("{ids}: {script}");
        if let Err(why) = judge(*expect, &runtime().block_on(play(script, limits(), LONGEST))) {
            wrong.push(format!("{ids}: {script}\n  expected {expect:?}\n  but {why}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

fn table(rows: &[Row]) {
    table_with(rows, limits);
}

/// The ids of rules in some text.
fn ids(text: &str) -> BTreeSet<&str> {
    text.match_indices("R-").filter_map(|(at, _)| text.get(at..at + 5)).collect()
}

#[test]
fn the_rules_of_the_rows_stand_above_the_tests() {
    for file in [
        include_str!("chap.rs"),
        include_str!("control.rs"),
        include_str!("data.rs"),
        include_str!("login.rs"),
        include_str!("repair.rs"),
        include_str!("text.rs"),
    ] {
        let lines = |test: fn(&str) -> bool| file.lines().filter(|line| test(line.trim())).collect::<String>();
        let (above, rows) = (lines(|line| line.starts_with("///")), lines(|line| line.starts_with(['(', '"'])));
        assert!(!ids(&rows).is_empty());
        assert_eq!(ids(&above), ids(&rows));
    }
}
