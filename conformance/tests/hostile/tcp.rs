//! The same over TCP, and by the program.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use conformance::hostile::{Script, Server};
use conformance::target::config::{Config as TargetConfig, LunConfig, TargetConfig as Target};
use iscsi_initiator::{ConnectError, Session};

use super::{DISK, builder, name};

async fn serve(script: &str) -> Server {
    let script: Script = script.parse().unwrap();
    let target = Target::new(name(DISK)).lun(LunConfig::memory(1 << 20));
    let config = TargetConfig { targets: vec![target], ..TargetConfig::default() };
    Server::bind(config, script, "127.0.0.1:0").await.unwrap()
}

async fn connect(server: &Server) -> Result<Session, ConnectError> {
    builder().portal(server.local_addr().into()).connect().await
}

/// a target that sends a login back to itself is given up after a few times.
#[tokio::test]
async fn r101_a_redirect_in_a_loop_ends() {
    let server = serve("on every LoginResponse: set status 01 01, text TargetAddress=$portal").await;
    let error = connect(&server).await.unwrap_err();
    assert!(matches!(&error, ConnectError::TooManyRedirects { limit: 4, .. }), "{error}");
    assert_eq!(server.node().counters().connections(), 5);
}

/// one byte in each segment.
#[tokio::test]
async fn r020_a_target_that_dribbles_is_understood() {
    let server = serve("on every PDU: split every 1").await;
    let session = connect(&server).await.unwrap();
    let lun = session.open(0.into()).await.unwrap();
    lun.write_at(0, vec![7; 4096]).await.unwrap();
    assert_eq!(lun.read_at(0, 4096).await.unwrap(), vec![7; 4096]);
    session.logout().await.unwrap();
}

///
#[tokio::test]
async fn r021_a_connection_that_breaks_in_a_pdu_ends_its_commands() {
    let server = serve("on 1st DataIn: truncate at 50, close").await;
    let session = connect(&server).await.unwrap();
    let error = session.open(0.into()).await.unwrap_err();
    assert!(error.to_string().contains("closed the connection"), "{error}");
    assert!(session.closed().is_some());
}

fn program(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iscsi-target"));
    command.args(["--listen", "127.0.0.1:0", "--target", DISK, "--lun", "ram:1M", "--hostile", script]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_program_follows_a_script() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# no one gets in\non 1st LoginResponse: set status 03 01\n").unwrap();
    let mut target = program(file.path().to_str().unwrap()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(target.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let portal = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    let error = builder().portal(portal).connect().await.unwrap_err();
    target.kill().unwrap();
    target.wait().unwrap();
    assert!(error.to_string().contains("(03/01)"), "{error}");
}

#[test]
fn the_program_names_the_line_that_it_does_not_understand() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "\non 1st LoginResponse: explode\n").unwrap();
    let done = program(file.path().to_str().unwrap()).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(errors.contains("line 2: `explode` is no action"), "{errors}");
    let done = program("/no/such/script").output().unwrap();
    assert!(String::from_utf8_lossy(&done.stderr).contains("--hostile /no/such/script: "));
}
