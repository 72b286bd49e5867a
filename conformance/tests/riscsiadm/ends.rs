//! How copies end: by a signal, by a slow logout.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use conformance::lab::{Bundled, Riscsiadm};
use rustix::process::{Pid, Signal, kill_process};

use crate::checks::DISK;
use crate::proxy::Proxy;

const SIZE: usize = 32 << 20;
/// What the program reads at once.
const PIECE: usize = 8 << 20;

/// A target whose disk is a file of zeros.
fn start(image: &Path) -> Bundled {
    File::create(image).unwrap().set_len(SIZE as u64).unwrap();
    Bundled::start(&["--target", DISK, "--lun", &format!("file:{}", image.display())]).unwrap()
}

/// Waits until `done`, but not for ever.
fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("this took more than ten seconds");
}

/// The exit code and standard error of a program that is to end now.
fn end(mut child: Child) -> (Option<i32>, String) {
    wait_until(|| child.try_wait().unwrap().is_some());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

fn send(signal: Signal, child: &Child) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_signal_ends_a_write_that_waits_for_input_and_nothing_is_written_after_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let target = start(&image);
        let proxy = Proxy::start(target.portal(), Duration::ZERO);
        let tool = Riscsiadm::new().unwrap();
        let mut command = tool.command();
        command.args(["write", &format!("iscsi://{}/{DISK}/0", proxy.addr), "-i", "-"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&vec![7; PIECE + 512]).unwrap();
        let written = |from: usize, to: usize| fs::read(&image).unwrap()[from..to].iter().all(|byte| *byte == 7);
        wait_until(|| written(0, PIECE));

        send(signal, &child);
        thread::sleep(Duration::from_millis(50));
        // Nobody has to take it.
        let _ = input.write_all(&vec![9; 2 * PIECE]);
        let (code, said) = end(child);
        assert_eq!((code, said.as_str()), (Some(1), "riscsiadm: interrupted\n"));
        drop(input);
        assert!(fs::read(&image).unwrap()[PIECE..].iter().all(|byte| *byte == 0), "written after the signal");
        wait_until(|| proxy.logouts() == 1);
    }
}

#[test]
fn a_signal_ends_a_read_whose_output_nobody_takes() {
    let dir = tempfile::tempdir().unwrap();
    let target = start(&dir.path().join("image"));
    let proxy = Proxy::start(target.portal(), Duration::ZERO);
    let tool = Riscsiadm::new().unwrap();
    let mut command = tool.command();
    command.args(["read", &format!("iscsi://{}/{DISK}/0", proxy.addr)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 512]).unwrap();
    send(Signal::INT, &child);
    let (code, said) = end(child);
    assert_eq!((code, said.as_str()), (Some(1), "riscsiadm: interrupted\n"));
    wait_until(|| proxy.logouts() == 1);
}

#[test]
fn a_signal_ends_a_command_that_waits_for_a_pipe_to_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let target = start(&dir.path().join("image"));
    let proxy = Proxy::start(target.portal(), Duration::ZERO);
    let tool = Riscsiadm::new().unwrap();
    let mut command = tool.command();
    let trace = dir.path().join("trace");
    let url = format!("iscsi://{}/{DISK}/0", proxy.addr);
    command.args(["read", &url, "-o", pipe.to_str().unwrap(), "--trace", trace.to_str().unwrap()]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    // It has logged in once there is something in the trace; the signals are heard by then, and the pipe comes next.
    wait_until(|| fs::metadata(&trace).is_ok_and(|trace| trace.len() > 1000));
    thread::sleep(Duration::from_millis(300));
    send(Signal::INT, &child);
    assert_eq!(end(child), (Some(1), "riscsiadm: interrupted\n".to_owned()));
}

#[test]
fn a_slow_logout_does_not_make_a_failure_of_a_copy_that_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let target = start(&dir.path().join("image"));
    let proxy = Proxy::start(target.portal(), Duration::from_millis(2500));
    let tool = Riscsiadm::new().unwrap();
    let url = format!("iscsi://{}/{DISK}/0", proxy.addr);
    let ran = tool.run(&["read", &url, "--length", "512"]).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str(), ran.stdout.len()), (0, "", 512));
    let ran = tool.run(&["read", &url, "--length", "512", "--timeout", "300ms"]).unwrap();
    assert_eq!((ran.code, ran.stdout.len()), (10, 512), "{ran:?}");
    assert!(ran.stderr.starts_with("riscsiadm: everything was done, but the logout failed: "), "{ran:?}");
}
