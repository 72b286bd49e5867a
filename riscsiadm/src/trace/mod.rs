//! `--trace FILE`: what went over the wire, for Wireshark.
//!
//! The bytes of each connection are put into packets that could have carried them, with the connection's own addresses and
//! ports, a handshake and an end. So no rights are needed, and none of the machine's other traffic is in the file. The
//! values that prove a secret are overwritten before they are written.

mod packet;
mod pcapng;
mod redact;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iscsi_initiator::tap::{Direction, Ends, Tap, Wire};

use crate::exit::Exit;
use crate::failure::Failure;
use packet::{ACK, FIN, MAX_DATA, PSH, SYN, Segment};
use redact::Redactor;

const COMMENT: &str = "Made from what the program sent and received; secrets of login are overwritten with '*'. \
                       If the port is not 3260, tell Wireshark: -d tcp.port==PORT,iscsi";
/// What stands for an address that is not known.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A trace of all connections of this process. Every packet is in the file as soon as it went over the wire, so that the
/// file is whole however the process ends.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<Output>>);

#[derive(Debug)]
struct Output {
    path: PathBuf,
    /// `None` after an error.
    file: Option<File>,
}

impl Trace {
    /// Starts a trace in this file, which only its owner can read. A file that is there is replaced.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let failure = |error| Failure::new(Exit::Failure, format!("cannot write {}: {error}", path.display()));
        let mut file = open(path).map_err(failure)?;
        let head = pcapng::head(COMMENT, concat!("riscsiadm ", env!("CARGO_PKG_VERSION")));
        file.write_all(&head).map_err(failure)?;
        Ok(Self(Arc::new(Mutex::new(Output { path: path.to_owned(), file: Some(file) }))))
    }

    /// Adds a packet. A file that cannot be written any more is no reason to stop the work: it is said once.
    fn write(&self, packet: &[u8]) {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &mut output.file else { return };
        if let Err(error) = file.write_all(&pcapng::packet(now(), packet)) {
            output.file = None;
            let path = output.path.display();
            let _ = writeln!(io::stderr(), "riscsiadm: cannot write {path}: {error}; the trace ends here");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    if file.metadata()?.is_file() {
        // One that was there before may be open to all.
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "a trace says when things happened, by the clock on the wall")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Tap for Trace {
    fn connected(&self, ends: Option<Ends>) -> Box<dyn Wire> {
        let Ends { local, peer } = ends.unwrap_or(Ends { local: UNKNOWN, peer: UNKNOWN });
        let mut conversation = Conversation {
            trace: self.clone(),
            ours: Side { addr: local, seq: 0, ended: false, redactor: Redactor::default() },
            theirs: Side { addr: peer, seq: 0, ended: false, redactor: Redactor::default() },
        };
        conversation.shake_hands();
        Box::new(conversation)
    }
}

/// One connection as it goes on.
struct Conversation {
    trace: Trace,
    ours: Side,
    theirs: Side,
}

struct Side {
    addr: SocketAddr,
    /// The number of the next byte; it goes round.
    seq: u32,
    ended: bool,
    redactor: Redactor,
}

impl Conversation {
    fn shake_hands(&mut self) {
        self.send(Direction::Sent, SYN, &[]);
        self.send(Direction::Received, SYN | ACK, &[]);
        self.send(Direction::Sent, ACK, &[]);
    }

    fn send(&mut self, direction: Direction, flags: u8, data: &[u8]) {
        let (from, to) = match direction {
            Direction::Sent => (&mut self.ours, &self.theirs),
            Direction::Received => (&mut self.theirs, &self.ours),
        };
        let ack = if flags & ACK == 0 { 0 } else { to.seq };
        let segment = Segment { from: from.addr, to: to.addr, seq: from.seq, ack, flags, data };
        self.trace.write(&segment.packet());
        let counted = u32::from(flags & (SYN | FIN) != 0);
        from.seq = from.seq.wrapping_add(data.len() as u32).wrapping_add(counted);
    }

    fn end(&mut self, direction: Direction) {
        let side = match direction {
            Direction::Sent => &mut self.ours,
            Direction::Received => &mut self.theirs,
        };
        if !std::mem::replace(&mut side.ended, true) {
            self.send(direction, FIN | ACK, &[]);
        }
    }
}

impl Wire for Conversation {
    fn saw(&mut self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.end(direction);
        }
        let mut bytes = bytes.to_vec();
        match direction {
            Direction::Sent => self.ours.redactor.redact(&mut bytes),
            Direction::Received => self.theirs.redactor.redact(&mut bytes),
        }
        for data in bytes.chunks(MAX_DATA) {
            self.send(direction, PSH | ACK, data);
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.end(Direction::Sent);
        self.end(Direction::Received);
        self.send(Direction::Sent, ACK, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence number, acknowledgement, flags and data of each packet, and whether we sent it.
    type Packets = Vec<(bool, u32, u32, u8, Vec<u8>)>;

    fn read(path: &Path) -> Packets {
        let file = std::fs::read(path).unwrap();
        let long = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let (mut at, mut packets) = (0, Vec::new());
        while at < file.len() {
            if long(at) == 6 {
                let packet = &file[at + 28..][..long(at + 20)];
                let tcp = &packet[20..];
                let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
                let data = tcp[usize::from(tcp[12] >> 4) * 4..].to_vec();
                packets.push((packet[15] == 1, number(4), number(8), tcp[13], data));
            }
            at += long(at + 4);
        }
        packets
    }

    fn connect(trace: &Trace) -> Box<dyn Wire> {
        let ends = Ends { local: "10.0.0.1:4000".parse().unwrap(), peer: "10.0.0.2:3260".parse().unwrap() };
        trace.connected(Some(ends))
    }

    fn none() -> Vec<u8> {
        Vec::new()
    }

    #[test]
    fn a_connection_has_a_handshake_numbered_data_and_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let trace = Trace::create(&path).unwrap();
        let mut wire = connect(&trace);
        wire.saw(Direction::Sent, b"hello");
        wire.saw(Direction::Received, b"you");
        drop(wire);
        assert_eq!(
            read(&path),
            [
                (true, 0, 0, 0x02, none()),
                (false, 0, 1, 0x12, none()),
                (true, 1, 1, 0x10, none()),
                (true, 1, 1, 0x18, b"hello".to_vec()),
                (false, 1, 6, 0x18, b"you".to_vec()),
                (true, 6, 4, 0x11, none()),
                (false, 4, 7, 0x11, none()),
                (true, 7, 5, 0x10, none()),
            ]
        );
    }

    #[test]
    fn a_target_that_ends_first_is_seen_to_do_so_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let trace = Trace::create(&path).unwrap();
        let mut wire = connect(&trace);
        wire.saw(Direction::Received, b"");
        wire.saw(Direction::Received, b"");
        drop(wire);
        let flags: Vec<_> = read(&path).into_iter().map(|(ours, _, _, flags, _)| (ours, flags)).collect();
        assert_eq!(flags[3..], [(false, 0x11), (true, 0x11), (true, 0x10)]);
    }

    #[test]
    fn long_writes_are_cut_and_stay_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let data: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let trace = Trace::create(&path).unwrap();
        connect(&trace).saw(Direction::Sent, &data);
        let packets: Packets = read(&path).into_iter().filter(|packet| !packet.4.is_empty()).collect();
        assert_eq!(packets.len(), 4);
        let mut expected = 1;
        for (_, seq, _, _, data) in &packets {
            assert_eq!(*seq, expected);
            expected += data.len() as u32;
        }
        assert_eq!(packets.into_iter().flat_map(|packet| packet.4).collect::<Vec<_>>(), data);
    }

    #[test]
    fn both_directions_are_redacted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let trace = Trace::create(&path).unwrap();
        let mut wire = connect(&trace);
        for (direction, opcode) in [(Direction::Sent, 0x43), (Direction::Received, 0x23)] {
            let mut pdu = vec![0; 48];
            (pdu[0], pdu[7]) = (opcode, 16);
            pdu.extend_from_slice(b"CHAP_R=0xsecret\0");
            wire.saw(direction, &pdu[..60]);
            wire.saw(direction, &pdu[60..]);
        }
        drop(wire);
        let bytes: Vec<u8> = read(&path).into_iter().flat_map(|packet| packet.4).collect();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!((text.matches("CHAP_R=").count(), text.matches('*').count()), (2, 16), "{text}");
        assert!(!text.contains("sec") && !text.contains("ret"), "{text}");
    }

    #[test]
    fn the_file_is_for_its_owner_even_if_it_was_there_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        std::fs::write(&path, vec![0; 100_000]).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let _trace = Trace::create(&path).unwrap();
        let found = path.metadata().unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        assert!(found.len() < 1000, "{}", found.len());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_a_failure() {
        let error = Trace::create(Path::new("/no/such/folder/t")).unwrap_err();
        assert_eq!(error.exit, Exit::Failure);
        assert!(error.message.contains("cannot write /no/such/folder/t"), "{error}");
    }
}
