//! A way to a target that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to a target, until it cuts them.
pub(crate) struct Cutter {
    addr: SocketAddr,
    /// How many of the connections, in the order in which they came, have been cut.
    cut: Arc<watch::Sender<usize>>,
    _tasks: JoinSet<()>,
}

impl Cutter {
    /// A way to `target`.
    pub(crate) async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let cut = Arc::new(watch::Sender::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_on(listener, target, Arc::clone(&cut)));
        Self { addr, cut, _tasks: tasks }
    }

    /// Where it listens.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts the oldest connection that is left.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }
}

async fn pass_on(listener: TcpListener, target: SocketAddr, cut: Arc<watch::Sender<usize>>) {
    let mut connections = JoinSet::new();
    for number in 1.. {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut cut = cut.subscribe();
        connections.spawn(async move {
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = cut.wait_for(|cut| *cut >= number) => {}
            }
        });
    }
}
