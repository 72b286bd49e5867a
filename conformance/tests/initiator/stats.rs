//! What a session says that went over the wire is what went over the wire.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use iscsi_initiator::core::{ConnectionError, Stats};
use iscsi_initiator::tap::{Direction, Ends, Tap, Wire};
use iscsi_proto::framer::{FrameLimits, Framer};
use iscsi_proto::pdu::Opcode;

use super::{builder, fill, serve};

/// Keeps everything that went each way.
#[derive(Clone, Debug, Default)]
struct Tape(Arc<Mutex<[Vec<u8>; 2]>>);

impl Tap for Tape {
    fn connected(&self, _: Option<Ends>) -> Box<dyn Wire> {
        Box::new(self.clone())
    }
}

impl Wire for Tape {
    fn saw(&mut self, direction: Direction, bytes: &[u8]) {
        self.0.lock().unwrap()[usize::from(direction == Direction::Received)].extend_from_slice(bytes);
    }
}

impl Tape {
    /// Bytes each way.
    fn octets(&self) -> (u64, u64) {
        let [sent, received] = &*self.0.lock().unwrap();
        (sent.len() as u64, received.len() as u64)
    }

    /// PDUs of a kind, whichever way they go.
    fn pdus(&self, opcode: Opcode) -> u64 {
        let count = |bytes: &Vec<u8>| {
            let mut framer = Framer::new(FrameLimits { max_data: 1 << 24, ..FrameLimits::LOGIN });
            *framer.buffer() = BytesMut::from(&bytes[..]);
            let frames = std::iter::from_fn(|| framer.next_frame().unwrap());
            frames.filter(|frame| frame.header.opcode() == Ok(opcode)).count() as u64
        };
        self.0.lock().unwrap().iter().map(count).sum()
    }
}

const KINDS: [Opcode; 10] = [
    Opcode::LoginRequest,
    Opcode::LoginResponse,
    Opcode::ScsiCommand,
    Opcode::ScsiResponse,
    Opcode::DataOut,
    Opcode::DataIn,
    Opcode::R2t,
    Opcode::NopOut,
    Opcode::LogoutRequest,
    Opcode::LogoutResponse,
];

fn compare(stats: &Stats, tape: &Tape) {
    assert_eq!((stats.bytes_sent, stats.bytes_received), tape.octets());
    for kind in KINDS {
        assert_eq!(stats.pdus(kind), tape.pdus(kind), "{kind:?}");
    }
}

#[tokio::test]
async fn counts_begin_with_the_login_and_stay_after_the_end() {
    let server = serve().await;
    let tape = Tape::default();
    let session = builder(&server).tap(Arc::new(tape.clone())).connect().await.unwrap();
    let stats = session.stats().await.unwrap();
    compare(&stats, &tape);
    assert_eq!((stats.pdus(Opcode::LoginRequest), stats.pdus(Opcode::LoginResponse)), (2, 2), "one for each stage");

    let lun = fill(&session).await;
    lun.read_at(0, 1 << 20).await.unwrap();
    session.ping().await.unwrap();
    compare(&session.stats().await.unwrap(), &tape);

    session.logout().await.unwrap();
    assert!(matches!(session.closed(), Some(ConnectionError::LoggedOut)));
    let last = session.stats().await.unwrap();
    compare(&last, &tape);
    assert_eq!((last.pdus(Opcode::LogoutRequest), last.in_flight, last.room), (1, 0, 0));
    assert_eq!(session.stats().await.unwrap(), last);
}
