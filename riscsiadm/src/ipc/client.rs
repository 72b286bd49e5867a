//! The tool's side of a conversation.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::IpcError;
use super::frame::{FrameError, encode, read};
use super::message::{Hello, Reply, Request};
use super::{PATIENCE, socket};

/// A conversation with the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

/// Who is at the other end of a socket.
#[derive(Clone, Copy, Debug)]
struct Peer {
    uid: u32,
    pid: i32,
}

impl Client {
    /// Begins a conversation with the daemon whose socket is in `run`. `None` if there is none.
    pub fn connect(run: &Path) -> Result<Option<Self>, IpcError> {
        let path = socket(run);
        let Some(stream) = open(&path)? else { return Ok(None) };
        let peer = peer(&stream).map_err(|source| IpcError::Socket { path: path.clone(), source })?;
        if !trusted(peer.uid, rustix::process::geteuid().as_raw()) {
            return Err(IpcError::Stranger { path, uid: peer.uid });
        }
        match Self::greet(stream, peer.pid) {
            // It was about to end, or is dead already.
            Err(IpcError::Frame(FrameError::Closed)) => Ok(None),
            greeted => greeted.map(Some),
        }
    }

    fn greet(stream: UnixStream, pid: i32) -> Result<Self, IpcError> {
        let limits = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        limits.map_err(FrameError::from)?;
        let mut client = Self { stream };
        client.send(&Hello::own())?;
        let theirs: Hello = read(&mut client.stream)?;
        if theirs.fits() { Ok(client) } else { Err(IpcError::Version { theirs, pid }) }
    }

    /// Asks for something. A client asks once.
    pub fn ask(&mut self, request: &Request) -> Result<(), IpcError> {
        self.send(request)
    }

    /// The next part of the answer; `None` at its end. A daemon that is at work is waited for.
    pub fn answer(&mut self) -> Result<Option<Reply>, IpcError> {
        loop {
            match read(&mut self.stream)? {
                Reply::Working => {}
                Reply::Done => return Ok(None),
                reply => return Ok(Some(reply)),
            }
        }
    }

    /// Waits until the daemon is gone.
    pub fn wait_for_end(mut self) {
        // Whatever else comes back: it no longer speaks to this client.
        while read::<Reply>(&mut self.stream).is_ok() {}
    }

    fn send(&mut self, message: &impl Serialize) -> Result<(), IpcError> {
        let bytes = encode(message)?;
        Ok(self.stream.write_all(&bytes).map_err(FrameError::from)?)
    }
}

fn open(path: &PathBuf) -> Result<Option<UnixStream>, IpcError> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if nobody(&error) => Ok(None),
        Err(source) => Err(IpcError::Socket { path: path.clone(), source }),
    }
}

/// Whether nobody listens: there is no socket, or one that was left behind.
fn nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory)
}

/// Whether a daemon of this user may hear secrets.
fn trusted(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(Peer { uid: credentials.uid.as_raw(), pid: credentials.pid.as_raw_pid() })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::message::{PROTOCOL, VERSION};
    use super::*;
    use crate::exit::Exit;

    /// What a client makes of a daemon that answers with these bytes.
    fn against(answer: Vec<u8>) -> Result<Option<Reply>, IpcError> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let daemon = thread::spawn(move || {
            let hello: Hello = read(&mut theirs).unwrap();
            assert_eq!((hello.protocol, hello.version.as_str()), (PROTOCOL, VERSION));
            theirs.write_all(&answer).unwrap();
        });
        let result = Client::greet(ours, 4711).and_then(|mut client| client.answer());
        daemon.join().unwrap();
        result
    }

    fn bytes(messages: &[&dyn Fn() -> Vec<u8>]) -> Vec<u8> {
        messages.iter().flat_map(|message| message()).collect()
    }

    #[test]
    fn a_daemon_of_another_protocol_is_named_with_the_way_to_end_it() {
        let hello = Hello { protocol: PROTOCOL + 1, version: "9.8.7".to_owned() };
        let error = against(encode(&hello).unwrap().to_vec()).unwrap_err();
        assert_eq!(error.exit(), Exit::DaemonCommunication);
        let text = error.to_string();
        assert!(text.contains("9.8.7") && text.contains(VERSION) && text.contains("kill 4711"), "{text}");
    }

    #[test]
    fn a_daemon_of_another_release_and_the_same_protocol_is_fine() {
        let text = format!(r#"{{"protocol":{PROTOCOL},"version":"9.8.7","more":[]}}"#);
        let hello = || encode(&serde_json::from_str::<serde_json::Value>(&text).unwrap()).unwrap().to_vec();
        let done = || encode(&Reply::Done).unwrap().to_vec();
        assert_eq!(against(bytes(&[&hello, &done])).unwrap(), None);
    }

    #[test]
    fn a_daemon_of_somebody_else_is_not_talked_to() {
        for (peer, own, expected) in [(7, 7, true), (0, 7, true), (0, 0, true), (7, 0, false), (8, 7, false)] {
            assert_eq!(trusted(peer, own), expected, "{peer} {own}");
        }
        let error = IpcError::Stranger { path: "/run/x".into(), uid: 7 };
        assert_eq!((error.exit(), error.to_string().contains("user 7")), (Exit::Access, true));
    }

    #[test]
    fn signs_of_life_are_passed_over() {
        let hello = || encode(&Hello::own()).unwrap().to_vec();
        let working = || encode(&Reply::Working).unwrap().to_vec();
        let answer = || encode(&Reply::Logout { fault: None }).unwrap().to_vec();
        let got = against(bytes(&[&hello, &working, &working, &answer])).unwrap();
        assert_eq!(got, Some(Reply::Logout { fault: None }));
    }

    #[test]
    fn a_daemon_that_dies_or_talks_nonsense_is_a_failed_conversation() {
        let hello = encode(&Hello::own()).unwrap().to_vec();
        for tail in [&b""[..], b"\0\0\0\x05", b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"HTTP/1.1 400 Bad Request"] {
            for head in [&hello[..], b""] {
                let error = against([head, tail].concat()).unwrap_err();
                assert_eq!(error.exit(), Exit::DaemonCommunication, "{tail:?}");
            }
        }
    }

    #[test]
    fn no_socket_and_a_socket_that_was_left_behind_are_no_daemon() {
        let run = tempfile::tempdir().unwrap();
        assert!(Client::connect(run.path()).unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(socket(run.path())).unwrap());
        assert!(Client::connect(run.path()).unwrap().is_none());
        std::fs::remove_file(socket(run.path())).unwrap();
        let dying = std::os::unix::net::UnixListener::bind(socket(run.path())).unwrap();
        let daemon = thread::spawn(move || drop(dying.accept().unwrap()));
        assert!(Client::connect(run.path()).unwrap().is_none());
        daemon.join().unwrap();
        std::fs::write(run.path().join("file"), "").unwrap();
        assert!(Client::connect(&run.path().join("file")).unwrap().is_none());
    }
}
