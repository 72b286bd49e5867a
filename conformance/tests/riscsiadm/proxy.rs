//! Between an initiator and a target: sees logouts, and may hold them up.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use iscsi_proto::framer::{FrameLimits, Framer};
use iscsi_proto::pdu::Opcode;

/// Forwards connections without digests to a target for as long as the test runs.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    logouts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Forwards to `target`; every Logout Request waits for `pause`.
    pub(crate) fn start(target: SocketAddr, pause: Duration) -> Self {
        Self::in_turn(vec![target], pause)
    }

    /// The same; each connection goes to the next of `targets`, the last of which gets all that follow.
    pub(crate) fn in_turn(targets: Vec<SocketAddr>, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, logouts) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&logouts);
        thread::spawn(move || {
            for (index, ours) in listener.incoming().flatten().enumerate() {
                let theirs = TcpStream::connect(targets[index.min(targets.len() - 1)]).unwrap();
                let back = (theirs.try_clone().unwrap(), ours.try_clone().unwrap());
                let count = Arc::clone(&count);
                thread::spawn(move || forward(ours, theirs, |bytes, framer| watch(bytes, framer, &count, pause)));
                thread::spawn(move || forward(back.0, back.1, |_, _| {}));
            }
        });
        Self { addr, logouts }
    }

    /// Logouts that were sent.
    pub(crate) fn logouts(&self) -> usize {
        self.logouts.load(Ordering::SeqCst)
    }
}

fn watch(bytes: &[u8], framer: &mut Framer, count: &AtomicUsize, pause: Duration) {
    framer.feed(bytes);
    while let Some(frame) = framer.next_frame().unwrap() {
        if frame.header.opcode() == Ok(Opcode::LogoutRequest) {
            count.fetch_add(1, Ordering::SeqCst);
            thread::sleep(pause);
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut watch: impl FnMut(&[u8], &mut Framer)) {
    let limits = FrameLimits { max_data: 1 << 24, allow_ahs: true, header_digest: false, data_digest: false };
    let (mut buffer, mut framer) = (vec![0; 1 << 16], Framer::new(limits));
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        watch(&buffer[..count], &mut framer);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
