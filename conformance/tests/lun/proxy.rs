//! A wire between initiator and target that looks at commands and changes a byte of some.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const HEADER: usize = 48;
const SCSI_COMMAND: u8 = 0x01;
const SCSI_RESPONSE: u8 = 0x21;
/// An operation code that no target knows.
const NOBODYS: u8 = 0xc5;

/// What is done to commands with an operation code and service action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trick {
    /// Each comes to the target as one that it does not know.
    Refuse,
    /// The first one's status comes back as another, once it has been executed.
    Answer(u8),
}

/// What has been seen, and what is to be done.
#[derive(Debug)]
struct Wire {
    opcode: u8,
    trick: Trick,
    /// Task tag of the command whose status is to be changed.
    tag: Option<[u8; 4]>,
    seen: BTreeMap<u8, usize>,
}

/// The wire. It carries one connection.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    wire: Arc<Mutex<Wire>>,
}

impl Proxy {
    /// A wire to `target` that does `trick` to commands with this operation code.
    pub(super) async fn start(target: SocketAddr, opcode: u8, trick: Trick) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Mutex::new(Wire { opcode, trick, tag: None, seen: BTreeMap::new() }));
        let proxy = Self { address, wire };
        let carrier = proxy.clone();
        tokio::spawn(async move {
            let (from, to) = (listener.accept().await.unwrap().0, TcpStream::connect(target).await.unwrap());
            let ((our_in, our_out), (their_in, their_out)) = (from.into_split(), to.into_split());
            tokio::join!(carrier.clone().carry(our_in, their_out), carrier.carry(their_in, our_out));
        });
        proxy
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many commands with an operation code have passed.
    pub(super) fn count(&self, opcode: u8) -> usize {
        self.wire.lock().unwrap().seen.get(&opcode).copied().unwrap_or(0)
    }

    /// The operation codes of all commands that have passed.
    pub(super) fn seen(&self) -> Vec<u8> {
        self.wire.lock().unwrap().seen.keys().copied().collect()
    }

    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut pdu = vec![0; HEADER];
        while from.read_exact(&mut pdu[..HEADER]).await.is_ok() {
            let data = u32::from_be_bytes([0, pdu[5], pdu[6], pdu[7]]) as usize;
            pdu.resize(HEADER + usize::from(pdu[4]) * 4 + data.next_multiple_of(4), 0);
            if from.read_exact(&mut pdu[HEADER..]).await.is_err() {
                return;
            }
            self.wire.lock().unwrap().touch(&mut pdu);
            if to.write_all(&pdu).await.is_err() {
                return;
            }
        }
    }
}

impl Wire {
    fn touch(&mut self, pdu: &mut [u8]) {
        let tag = [pdu[16], pdu[17], pdu[18], pdu[19]];
        match pdu[0] & 0x3f {
            SCSI_COMMAND => {
                *self.seen.entry(pdu[32]).or_default() += 1;
                match self.trick {
                    _ if pdu[32] != self.opcode => {}
                    Trick::Refuse => pdu[32] = NOBODYS,
                    Trick::Answer(_) if self.tag.is_none() => self.tag = Some(tag),
                    Trick::Answer(_) => {}
                }
            }
            SCSI_RESPONSE if self.tag == Some(tag) => {
                if let Trick::Answer(status) = self.trick {
                    pdu[3] = status;
                }
            }
            _ => {}
        }
    }
}
