//! The program over loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use iscsi_proto::framer::{Frame, FrameLimits, Framer, encode_frame};
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{DataIn, LoginRequest, LoginResponse, LoginStatus, Pdu, ScsiCommand, Stage, TaskAttribute};
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use crate::peer::{INITIATOR, TARGET};

struct Program {
    child: Child,
    addr: String,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iscsi-target"))
            .args(["--listen", "127.0.0.1:0", "--target", TARGET])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, addr }
    }

    /// Ends it by a signal; its exit code and everything that it still printed.
    fn stop(mut self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receive(stream: &mut TcpStream, framer: &mut Framer) -> Frame {
    let mut buffer = [0; 8192];
    loop {
        if let Some(frame) = framer.next_frame().unwrap() {
            return frame;
        }
        let len = stream.read(&mut buffer).unwrap();
        assert_ne!(len, 0, "the target has closed the connection");
        framer.feed(&buffer[..len]);
    }
}

fn send(stream: &mut TcpStream, pdu: impl Into<Pdu>, data: &[u8]) {
    let mut bytes = BytesMut::new();
    encode_frame(pdu.into().encode(), &[], data, false, false, &mut bytes);
    stream.write_all(&bytes).unwrap();
}

/// Logs in over TCP and reads one block.
fn read_block(addr: &str, cid: u16) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut framer = Framer::new(FrameLimits::LOGIN);
    let request = LoginRequest {
        more: false,
        current: Stage::Operational,
        next: Some(Stage::FullFeature),
        version_max: 0,
        version_min: 0,
        isid: Isid::random([0, 0, 1], cid),
        tsih: 0,
        itt: Itt(1),
        cid,
        cmd_sn: Serial(1),
        exp_stat_sn: Serial(0),
    };
    send(&mut stream, request, &text::encode([("InitiatorName", INITIATOR), ("TargetName", TARGET)]));
    let response = LoginResponse::parse(&receive(&mut stream, &mut framer).header).unwrap();
    assert_eq!(response.status, LoginStatus::SUCCESS);
    for attempt in 0.. {
        let command = ScsiCommand {
            immediate: false,
            fin: true,
            read: true,
            write: false,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun: Lun::ZERO,
            itt: Itt(2 + attempt),
            expected_length: 512,
            cmd_sn: Serial(1 + attempt),
            exp_stat_sn: Serial(2),
            cdb: Cdb::read(0, 1).as_padded(),
        };
        send(&mut stream, command, &[]);
        let frame = receive(&mut stream, &mut framer);
        if let Ok(data) = DataIn::parse(&frame.header) {
            assert_eq!(data.status.unwrap().0, Status::GOOD);
            return frame.data.to_vec();
        }
        assert!(attempt < 1, "more than the unit attention of a new nexus");
    }
    unreachable!()
}

#[test]
fn it_serves_many_connections_and_ends_on_either_signal() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0x5a; 4096]).unwrap();
        let program = Program::start(&["--lun", &format!("file:{},ro", file.path().display())]);
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let addr = program.addr.clone();
                std::thread::spawn(move || read_block(&addr, n))
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), [0x5a; 512]);
        }
        let idle = TcpStream::connect(&program.addr).unwrap();
        assert_eq!(program.stop(signal), (Some(0), String::new()));
        drop(idle);
    }
}

#[test]
fn mistakes_are_explained() {
    for (args, message) in [
        (&["--lun", "file:/nope"][..], "error: --lun file:/nope: No such file or directory"),
        (&["--lun", "ram:100"], "error: --lun ram:100: there is not room for one block"),
        (&["--lun", "ram:1x"], "`1x` is not a size"),
        (&["--listen", "256.0.0.1:1"], "cannot be used multiple times"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_iscsi-target"))
            .args(["--listen", "127.0.0.1:0", "--target", TARGET])
            .args(args)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(stderr.contains(message), "{stderr}");
    }
}
