//! What a port says first, and what that tells of it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iscsi_initiator::tap::{Direction, Ends, Tap, Wire};
use iscsi_proto::portal::Portal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Bytes that are kept of what the port says.
const KEPT: usize = 64;
/// Login Response and Reject: what an iSCSI target may say first.
const ISCSI: [u8; 2] = [0x23, 0x3f];
const OPCODE: u8 = 0x3f;

/// Keeps the first bytes that the last connection received.
#[derive(Clone, Debug, Default)]
pub(super) struct Sniffer {
    heard: Arc<Heard>,
    /// Who listens besides.
    next: Option<Arc<dyn Tap>>,
}

#[derive(Debug, Default)]
struct Heard {
    first: Mutex<Vec<u8>>,
    foreign: Notify,
}

impl Sniffer {
    pub(super) fn new(next: Option<Arc<dyn Tap>>) -> Self {
        Self { next, ..Self::default() }
    }

    /// The first bytes that the port said; none if it said nothing.
    pub(super) fn first(&self) -> Vec<u8> {
        self.heard.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the port says what no iSCSI target says.
    ///
    /// A port that says so slowly may not have said all that it has to say; what is there is enough to tell.
    pub(super) async fn foreign(&self) {
        self.heard.foreign.notified().await;
    }
}

impl Tap for Sniffer {
    fn connected(&self, ends: Option<Ends>) -> Box<dyn Wire> {
        self.heard.first.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let next = self.next.as_ref().map(|tap| tap.connected(ends));
        Box::new(Nose { heard: Arc::clone(&self.heard), next })
    }
}

struct Nose {
    heard: Arc<Heard>,
    next: Option<Box<dyn Wire>>,
}

impl Wire for Nose {
    fn saw(&mut self, direction: Direction, bytes: &[u8]) {
        if direction == Direction::Received {
            let mut first = self.heard.first.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(first.len());
            first.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            if !first.is_empty() && !is_iscsi(&first) {
                self.heard.foreign.notify_one();
            }
        }
        if let Some(next) = &mut self.next {
            next.saw(direction, bytes);
        }
    }
}

/// Whether this is what an iSCSI target says first.
pub(super) fn is_iscsi(first: &[u8]) -> bool {
    first.first().is_some_and(|byte| ISCSI.contains(&(byte & OPCODE)) && byte & 0x80 == 0 && !is_text(first))
}

/// What other services answer to.
const GREETINGS: [&[u8]; 2] = [CLIENT_HELLO, b"GET / HTTP/1.0\r\n\r\n"];
/// A greeting is not answered later than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// TLS ClientHello: a record and a handshake message, version 1.2, a random number that need not be one, no session, three
/// ciphers that every server knows, no compression.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x33\x01\x00\x00\x2f\x03\x03riscsiadm asks whether it is TLS\x00\
    \x00\x08\x13\x01\xc0\x2f\xc0\x2b\x00\x2f\x01\x00";

/// What a port that was silent says when it is greeted as another service; nothing if it stays silent.
pub(super) async fn provoke(portal: &Portal, limit: Duration) -> Vec<u8> {
    for greeting in GREETINGS {
        match timeout(limit.min(PATIENCE), greet(portal, greeting)).await {
            Ok(Ok(answer)) if !answer.is_empty() => return answer,
            _ => {}
        }
    }
    Vec::new()
}

async fn greet(portal: &Portal, greeting: &[u8]) -> io::Result<Vec<u8>> {
    let host = portal.host.to_string();
    let mut stream = TcpStream::connect((host.as_str(), portal.port)).await?;
    stream.write_all(greeting).await?;
    let mut answer = Vec::with_capacity(KEPT);
    stream.read_buf(&mut answer).await?;
    Ok(answer)
}

/// What a port that says this is, and what to do.
pub(super) fn guess(first: &[u8]) -> (String, &'static str) {
    const OTHER: &str = "another service is on this port: check the port";
    let known: [(&[u8], &str, &str); 8] = [
        (b"HTTP/", "this is a web server (HTTP)", OTHER),
        (b"SSH-", "this is an SSH server", OTHER),
        (b"220", "this is a mail or FTP server", OTHER),
        (b"* OK", "this is a mail server (IMAP)", OTHER),
        (b"NBDMAGIC", "this is an NBD server", "it exports disks by another protocol than iSCSI: use an NBD client"),
        (b"RFB ", "this is a VNC server", OTHER),
        (b"\x15\x03", "this port speaks TLS", TLS),
        (b"\x16\x03", "this port speaks TLS", TLS),
    ];
    if let Some((_, what, advice)) = known.into_iter().find(|(start, _, _)| first.starts_with(start)) {
        return (what.to_owned(), advice);
    }
    if is_text(first) {
        let line = String::from_utf8_lossy(first).lines().next().unwrap_or_default().to_owned();
        return (format!("this is no iSCSI target: it says \"{line}\""), OTHER);
    }
    let bytes: Vec<String> = first.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (format!("this is no iSCSI target: its first bytes are {}", bytes.join(" ")), OTHER)
}

const TLS: &str = "iSCSI itself has no TLS: use the plain port of the target, or reach this one through a TLS tunnel";

/// Whether it reads as a line of text: four characters at least.
fn is_text(bytes: &[u8]) -> bool {
    bytes.len() >= 4 && bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_their_first_words() {
        for (first, part) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "web server"),
            (b"SSH-2.0-OpenSSH_9.2", "SSH"),
            (b"220 mail.example.com ESMTP", "mail or FTP"),
            (b"* OK IMAP4rev1", "IMAP"),
            (b"NBDMAGICIHAVEOPT", "NBD"),
            (b"RFB 003.008\n", "VNC"),
            (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
            (b"\x16\x03\x03\x00\x31", "TLS"),
            (b"hello there\r\nmore", "it says \"hello there\""),
            (b"\x00\x01\xff", "first bytes are 00 01 ff"),
        ] {
            let (what, advice) = guess(first);
            assert!(what.contains(part) && !advice.is_empty(), "{first:?}: {what}");
            assert!(!is_iscsi(first), "{first:?}");
        }
    }

    #[test]
    fn a_login_response_and_a_reject_are_iscsi() {
        for (first, expected) in [
            (&[0x23, 0x87, 0, 0][..], true),
            (&[0x3f, 0x80, 0, 0], true),
            (&[0x23], true),
            (&[0x21, 0x80], false),
            (&[0xa3, 0x80], false),
            (b"# welcome", false),
            (&[], false),
        ] {
            assert_eq!(is_iscsi(first), expected, "{first:?}");
        }
    }

    #[tokio::test]
    async fn the_first_bytes_of_the_last_connection_are_kept() {
        let sniffer = Sniffer::new(None);
        let mut wire = sniffer.connected(None);
        wire.saw(Direction::Sent, b"out");
        assert_eq!(sniffer.first(), b"");
        wire.saw(Direction::Received, &[0x23, 1]);
        wire.saw(Direction::Received, &[7; 100]);
        assert_eq!(sniffer.first().len(), KEPT);
        assert_eq!(sniffer.first()[..3], [0x23, 1, 7]);
        let mut wire = sniffer.connected(None);
        assert_eq!(sniffer.first(), b"");
        wire.saw(Direction::Received, b"SSH-2.0");
        sniffer.foreign().await;
        assert_eq!(sniffer.first(), b"SSH-2.0");
    }
}
