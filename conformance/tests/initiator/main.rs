//! The initiator's driver and skins against the bundled target, and against peers that do not answer.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod cancel;
mod cursor;
mod deadlines;
mod goodbye;
mod parts;
mod peer;
mod skins;
mod stats;
mod transport;

use conformance::lab::stamp;
use conformance::target::config::{Config as TargetConfig, LunConfig, TargetConfig as Target};
use conformance::target::server::Server;
use iscsi_initiator::{Builder, Initiator, Session};
use iscsi_proto::name::IscsiName;

const DISK: &str = "iqn.2026-01.org.example:disk";
/// Bytes of the target's only logical unit.
const SIZE: u64 = 4 << 20;
const SEED: u64 = 1;

fn name(text: &str) -> IscsiName {
    text.parse().unwrap()
}

fn initiator() -> Initiator {
    Initiator::new(name("iqn.2026-01.org.example:host"))
}

async fn serve() -> Server {
    let target = Target::new(name(DISK)).lun(LunConfig::memory(SIZE));
    let config = TargetConfig { targets: vec![target], ..TargetConfig::default() };
    Server::bind(config, "127.0.0.1:0").await.unwrap()
}

fn builder(server: &Server) -> Builder {
    Session::builder(&initiator(), name(DISK)).portal(server.local_addr().into())
}

/// What the logical unit holds once [`fill`] has written it.
fn content() -> Vec<u8> {
    stamp::pieces(0, (SIZE / 512) as usize, SEED)
}

async fn fill(session: &Session) -> iscsi_initiator::Lun {
    let lun = session.open(0.into()).await.unwrap();
    lun.write_at(0, content()).await.unwrap();
    lun
}
