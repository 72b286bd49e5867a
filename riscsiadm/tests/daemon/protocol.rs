//! The socket, by hand.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::target::Target;
use super::{NAME, Tool};

/// Sends a message, and gives what comes back until the daemon ends the conversation.
fn say(tool: &Tool, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(tool.path("run/riscsid.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // What the daemon did not read is an error here, and no matter.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn message(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_client_of_another_protocol_hears_which_the_daemon_speaks() {
    let tool = Tool::new();
    let mut daemon = tool.daemon();
    let answer = say(&tool, &message(r#"{"protocol":99,"version":"9.8.7"}"#));
    let expected = format!(r#"{{"protocol":1,"version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(answer.get(4..), Some(expected.as_str()), "{answer:?}");
    tool.kill(Signal::TERM);
    daemon.wait().unwrap();
}

#[test]
fn nonsense_ends_a_conversation_and_nothing_else() {
    let tool = Tool::new();
    let mut daemon = tool.daemon();
    let hello = message(r#"{"protocol":1,"version":"1"}"#);
    for nonsense in [
        b"".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        message("{}"),
        message("[[[["),
        [hello.clone(), message(r#""Sing""#)].concat(),
        [hello.clone(), message(r#"{"Logout":{"sids":"all"}}"#)].concat(),
        [hello, b"\0\xff\xff\xff".to_vec()].concat(),
    ] {
        let answer = say(&tool, &nonsense);
        assert!(!answer.contains("Done") && !answer.contains("Failed"), "{answer}");
    }
    tool.fails("-m session", 21, &["No active sessions."]);
    tool.kill(Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn a_daemon_of_another_protocol_is_named_with_the_way_out() {
    let target = Target::start(&[]);
    let tool = Tool::with(&target);
    fs::create_dir(tool.path("run")).unwrap();
    let listener = UnixListener::bind(tool.path("run/riscsid.sock")).unwrap();
    let daemon = thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(&message(r#"{"protocol":99,"version":"9.8.7"}"#)).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let own = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "the daemon is riscsiadm 9.8.7 (protocol 99) and this is {own} (protocol 1): end it with `kill {}`, which logs out \
         of its sessions, and the next login starts one of this release",
        std::process::id()
    );
    tool.fails("-m session", 18, &[&expected]);
    tool.fails(&format!("-m node -T {NAME} -l"), 18, &[&expected]);
    daemon.join().unwrap();
}

#[test]
fn a_second_daemon_leaves_the_first_alone() {
    let tool = Tool::new();
    let mut daemon = tool.daemon();
    let output = tool.command("riscsid", "").output().unwrap();
    assert_eq!(output.status.code(), Some(28));
    let expected = format!("riscsid: another daemon serves {}\n", tool.path("run").display());
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    tool.fails("-m session", 21, &["No active sessions."]);
    tool.kill(Signal::INT);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn the_service_manager_is_told() {
    let tool = Tool::new();
    let manager = UnixDatagram::bind(tool.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let len = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    let mut command = tool.command("riscsid", "");
    let mut daemon =
        command.env("NOTIFY_SOCKET", tool.path("notify")).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert_eq!(hear(), "READY=1");
    tool.fails("-m session", 21, &["No active sessions."]);
    tool.kill(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}
