//! Reads and writes in a steady state take no memory from the heap.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]
#![expect(clippy::many_single_char_names, reason = "eight buffers that differ in nothing")]

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use bytes::{Bytes, BytesMut};
use conformance::target::args::Args;
use conformance::target::server::Server;
use iscsi_initiator::{Initiator, Lun, Session};

const NAME: &str = "iqn.2026-01.org.example:disk";
const BLOCK: usize = 4096;

/// The bundled target on a thread of its own: what it allocates is not counted.
fn target() -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let args = ["iscsi-target", "--target", NAME, "--lun", "ram:16MiB"];
        let config = Args::parse(args).unwrap().config;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind(config, "127.0.0.1:0").await.unwrap();
            tell.send(server.local_addr()).unwrap();
            let _ = stopped.await;
        });
    });
    (told.recv().unwrap(), stop)
}

/// A buffer that has been used before: one is cut up, and so shared, for the first time only once.
fn buffer() -> BytesMut {
    BytesMut::zeroed(2 * BLOCK).split_to(BLOCK)
}

async fn rounds(lun: Lun, payload: Bytes, mut buffers: [BytesMut; 8]) {
    for block in 0..200 {
        read_eight(&lun, &mut buffers).await;
        lun.write_at(block * BLOCK as u64, payload.clone()).await.unwrap();
    }
}

/// Eight reads at once, into buffers that are used again.
async fn read_eight(lun: &Lun, buffers: &mut [BytesMut; 8]) {
    let [a, b, c, d, e, f, g, h] = buffers;
    let read = async |buffer: &mut BytesMut, block: u64| {
        *buffer = lun.read_into(block * BLOCK as u64, std::mem::take(buffer)).await.unwrap();
    };
    tokio::join!(read(a, 0), read(b, 10), read(c, 20), read(d, 30), read(e, 40), read(f, 50), read(g, 60), read(h, 70));
}

#[test]
fn reads_and_writes_in_a_steady_state_allocate_nothing() {
    let (addr, _stop) = target();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (lun, session) = runtime.block_on(async {
        let initiator = Initiator::new("iqn.2026-01.org.example:host".parse().unwrap());
        let session = Session::builder(&initiator, NAME.parse().unwrap()).portal(addr.into()).connect().await.unwrap();
        (session.open(0.into()).await.unwrap(), session)
    });
    let payload = Bytes::from(vec![7; BLOCK]);
    // Made before it is counted: the future is a piece of memory of its own.
    let mut rounds = [(); 2].map(|()| Box::pin(rounds(lun.clone(), payload.clone(), [(); 8].map(|()| buffer()))));
    let mut run = |round: usize| runtime.block_on(rounds[round].as_mut());
    // Pools fill, and queues grow to their size.
    run(0);
    let counted = allocation_counter::measure(|| run(1));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    runtime.block_on(session.logout()).unwrap();
}
