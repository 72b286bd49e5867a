//! Reads and writes in a steady state take no memory from the heap.

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

/// Eight reads at once, into buffers that are used again.
async fn read_eight(lun: &Lun, buffers: &mut [BytesMut; 8]) {
    let [a, b, c, d, e, f, g, h] = buffers;
    let read = async |buffer: &mut BytesMut, block: u64| {
        *buffer = lun.read_into(block * BLOCK as u64, std::mem::take(buffer)).await.unwrap();
    };
    tokio::join!(
        read(a, 0),
        read(b, 10),
        read(c, 20),
        read(d, 30),
        read(e, 40),
        read(f, 50),
        read(g, 60),
        read(h, 70)
    );
}

#[test]
fn reads_and_writes_in_a_steady_state_allocate_nothing() {
    let (addr, _stop) = target();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (lun, session) = runtime.block_on(async {
        let initiator = Initiator::new("iqn.2026-01.org.example:host".parse().unwrap());
        let session =
            Session::builder(&initiator, NAME.parse().unwrap()).portal(addr.into()).connect().await.unwrap();
        (session.open(0.into()).await.unwrap(), session)
    });
    let mut buffers = [(); 8].map(|()| BytesMut::zeroed(BLOCK));
    let payload = Bytes::from(vec![7; BLOCK]);
    let mut round = || {
        runtime.block_on(async {
            for block in 0..200 {
                read_eight(&lun, &mut buffers).await;
                lun.write_at(block * BLOCK as u64, payload.clone()).await.unwrap();
            }
        });
    };
    // Pools fill, and queues grow to their size.
    round();
    let counted = allocation_counter::measure(round);
    assert_eq!(counted.count_total, 0, "{counted:?}");
    runtime.block_on(session.logout()).unwrap();
}
