//! The calls of a LUN beyond reading and writing, against the bundled target.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod ask;
mod both;
mod compare;
mod proxy;
mod refusal;
mod reserve;
mod skin;
mod space;

use std::sync::LazyLock;

use bytes::Bytes;
use conformance::lab::stamp;
use conformance::target::config::{Config as TargetConfig, LunConfig, TargetConfig as Target};
use conformance::target::server::Server;
use iscsi_initiator::{Allocation, Extent, Initiator, Lun, Session};
use iscsi_proto::name::IscsiName;
use iscsi_proto::scsi::ReservationType;

const DISK: &str = "iqn.2026-01.org.example:disk";
const HOST: &str = "iqn.2026-01.org.example:host";
const OTHER: &str = "iqn.2026-01.org.example:other";
/// Bytes of each logical unit.
const SIZE: u64 = 8 << 20;
const MIB: u64 = 1 << 20;
/// What the target's memory is given back in.
const STEP: u64 = 64 << 10;
const KIND: ReservationType = ReservationType::WriteExclusive;

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| stamp::pieces(0, (SIZE / 512) as usize, 1));

/// Numbers of the units that [`serve`] has.
const THIN: u8 = 0;
const THICK: u8 = 1;
const READ_ONLY: u8 = 2;
const LARGE_BLOCKS: u8 = 3;
/// 40 MiB of nothing, which is more than one WRITE SAME of the target takes.
const LONG: u8 = 4;

fn name(text: &str) -> IscsiName {
    text.parse().unwrap()
}

async fn serve() -> Server {
    let memory = LunConfig::memory;
    serve_units([
        memory(SIZE).thin(),
        memory(SIZE),
        memory(SIZE).read_only(),
        memory(SIZE).thin().block_size(4096),
        LunConfig::null(40 << 20),
    ])
    .await
}

async fn serve_units(units: impl IntoIterator<Item = LunConfig>) -> Server {
    let target = units.into_iter().fold(Target::new(name(DISK)), Target::lun);
    let config = TargetConfig { targets: vec![target], ..TargetConfig::default() };
    Server::bind(config, "127.0.0.1:0").await.unwrap()
}

async fn login(server: &Server, host: &str) -> Session {
    let initiator = Initiator::new(name(host));
    Session::builder(&initiator, name(DISK)).portal(server.local_addr().into()).connect().await.unwrap()
}

/// A unit of a fresh target, and the target, which lives as long as it is held.
async fn open(number: u8) -> (Server, Lun) {
    let server = serve().await;
    let lun = login(&server, HOST).await.open(number.into()).await.unwrap();
    (server, lun)
}

/// The same with all of it written.
async fn filled(number: u8) -> (Server, Lun, Vec<u8>) {
    let (server, lun) = open(number).await;
    let content = CONTENT.clone();
    lun.write_at(0, content.clone()).await.unwrap();
    (server, lun, content)
}

async fn all(lun: &Lun) -> Bytes {
    lun.read_at(0, SIZE as usize).await.unwrap()
}

async fn map(lun: &Lun, range: std::ops::Range<u64>) -> Vec<Extent> {
    let mut extents = lun.extents(range).unwrap();
    let mut found = Vec::new();
    while let Some(extent) = extents.next().await {
        found.push(extent.unwrap());
    }
    found
}

fn hole(offset: u64, length: u64) -> Extent {
    Extent { offset, length, allocation: Allocation::Deallocated, zero: true }
}

fn data(offset: u64, length: u64) -> Extent {
    Extent { offset, length, allocation: Allocation::Mapped, zero: false }
}
