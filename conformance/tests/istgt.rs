//! The initiator against a real istgt: a third implementation of a target, beside tgt and the bundled one.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use conformance::lab::{self, Istgt, Lun as Disk, Target, stamp};
use iscsi_initiator::core::DigestOffer;
use iscsi_initiator::core::chap::AuthError;
use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::secret::{Auth, Chap, Credentials, Secret};
use iscsi_initiator::{Builder, Config, ConnectError, Discovery, Initiator, Session};
use iscsi_proto::pdu::LoginStatus;
use tempfile::TempDir;

const OPEN: &str = "iqn.2026-01.org.example:open";
const CHAP: &str = "iqn.2026-01.org.example:chap";
const MUTUAL: &str = "iqn.2026-01.org.example:mutual";
const DIGESTS: &str = "iqn.2026-01.org.example:digests";
const SIZE: u64 = 16 << 20;

struct Lab {
    istgt: Istgt,
    dir: TempDir,
}

fn start() -> Option<Lab> {
    let setup = lab::require(lab::istgt())?;
    let dir = tempfile::tempdir().unwrap();
    let disk = |name: &str, size| {
        let path = dir.path().join(name);
        stamp::file(&path, size, 1).unwrap();
        Disk::file(path)
    };
    let istgt = setup
        .target(Target::new(OPEN).lun(disk("open", SIZE)))
        .target(Target::new(CHAP).lun(disk("chap", 1 << 20)).chap("user", "secret-of-host"))
        .target(
            Target::new(MUTUAL)
                .lun(disk("mutual", 1 << 20))
                .chap("user", "secret-of-host")
                .mutual_chap("target", "secret-of-target"),
        )
        .target(Target::new(DIGESTS).lun(disk("digests", 4 << 20)).param("UseDigest", "Header Data"))
        .start()
        .unwrap();
    Some(Lab { istgt, dir })
}

impl Lab {
    fn builder(&self, target: &str) -> Builder {
        Session::builder(&initiator(), target.parse().unwrap()).portal(self.istgt.portals()[0].into())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn initiator() -> Initiator {
    Initiator::new("iqn.2026-01.org.example:host".parse().unwrap())
}

fn credentials(user: &str, secret: &str) -> Credentials {
    Credentials::new(user, Secret::from_bytes(secret).unwrap()).unwrap()
}

fn chap(secret: &str) -> Auth {
    Auth::Chap(Chap::new(credentials("user", secret)))
}

fn mutual(secret: &str) -> Auth {
    Auth::Chap(Chap::new(credentials("user", "secret-of-host")).with_target(credentials("target", secret)).unwrap())
}

///
#[tokio::test]
async fn r145_every_target_is_announced_at_both_portals() {
    let Some(lab) = start() else { return };
    let portals = lab.istgt.portals();
    for portal in portals {
        let found = Discovery::new(&initiator()).send_targets(&portal.into()).await.unwrap();
        assert_eq!(found.targets.len(), 4);
        for target in found.targets {
            let addresses: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
            assert_eq!(addresses, portals.map(|portal| format!("{portal},1")), "{}", target.name);
        }
    }
}

#[tokio::test]
async fn what_is_written_lies_in_the_file_and_comes_back() {
    let Some(lab) = start() else { return };
    let whole = usize::try_from(SIZE).unwrap();
    for (portal, seed) in lab.istgt.portals().into_iter().zip(2..) {
        let builder = Session::builder(&initiator(), OPEN.parse().unwrap()).portal(portal.into());
        let session = builder.connect().await.unwrap();
        let lun = session.open(0.into()).await.unwrap();
        assert_eq!((lun.len(), lun.block_size()), (SIZE, 512));
        let data = lun.read_into(0, BytesMut::zeroed(whole)).await.unwrap();
        assert_eq!(data, fs::read(lab.path("open")).unwrap());

        lun.write_at(0, stamp::pieces(0, whole / 512, seed)).await.unwrap();
        lun.flush().await.unwrap();
        stamp::check(&fs::read(lab.path("open")).unwrap(), 0, seed).unwrap();
        stamp::check(&lun.read_at(0, whole).await.unwrap(), 0, seed).unwrap();
        session.logout().await.unwrap();
    }
}

/// It asks for as much in one R2T as MaxBurstLength allows, and for several at once.
#[tokio::test]
async fn r2ts_may_be_big_small_and_many() {
    let Some(lab) = start() else { return };
    for (burst, ready, initial, immediate) in
        [(1 << 20, 16, true, true), (262_144, 4, false, false), (65_536, 1, true, false), (512, 1, true, false)]
    {
        let mut config = Config::default();
        config.offer.max_burst_length = burst;
        config.offer.first_burst_length = burst.min(65_536);
        config.offer.max_outstanding_r2t = ready;
        config.offer.initial_r2t = initial;
        config.offer.immediate_data = immediate;
        let session = lab.builder(OPEN).config(config).connect().await.unwrap();
        assert_eq!(session.info().negotiated.max_burst_length, burst);
        let lun = session.open(0.into()).await.unwrap();
        let seed = u64::from(burst);
        let write = |part: u64| {
            let lun = lun.clone();
            tokio::spawn(async move { lun.write_at(part << 20, stamp::pieces(part << 11, 2048, seed)).await })
        };
        for written in [0, 1, 2, 3].map(write) {
            written.await.unwrap().unwrap();
        }
        lun.flush().await.unwrap();
        stamp::check(&fs::read(lab.path("open")).unwrap()[..4 << 20], 0, seed).unwrap();
        session.logout().await.unwrap();
    }
}

#[tokio::test]
async fn chap_lets_in_who_knows_the_secret() {
    let Some(lab) = start() else { return };
    let session = lab.builder(CHAP).auth(chap("secret-of-host")).connect().await.unwrap();
    session.logout().await.unwrap();
    let wrong = lab.builder(CHAP).auth(chap("another-secret")).connect().await.unwrap_err();
    let ConnectError::Login(LoginError::Refused { status, .. }) = wrong else { panic!("{wrong:?}") };
    assert_eq!(status, LoginStatus::AUTHENTICATION_FAILURE);
    let none = lab.builder(CHAP).connect().await.unwrap_err();
    assert!(matches!(none, ConnectError::Login(LoginError::Auth(AuthError::MethodRejected { .. }))), "{none:?}");
}

#[tokio::test]
async fn mutual_chap_is_right_or_there_is_no_session() {
    let Some(lab) = start() else { return };
    let session = lab.builder(MUTUAL).auth(mutual("secret-of-target")).connect().await.unwrap();
    let lun = session.open(0.into()).await.unwrap();
    stamp::check(&lun.read_at(0, 1 << 20).await.unwrap(), 0, 1).unwrap();
    session.logout().await.unwrap();

    let wrong = lab.builder(MUTUAL).auth(mutual("another-secret")).connect().await;
    assert!(matches!(wrong, Err(ConnectError::Login(LoginError::Auth(_)))), "{wrong:?}");
    // It insists on being asked for a proof.
    let one_way = lab.builder(MUTUAL).auth(chap("secret-of-host")).connect().await;
    assert!(matches!(one_way, Err(ConnectError::Login(LoginError::Refused { .. }))), "{one_way:?}");
}

#[tokio::test]
async fn digests_that_the_target_demands_protect_all_data() {
    let Some(lab) = start() else { return };
    for offer in [DigestOffer::Crc32c, DigestOffer::PreferCrc32c] {
        let mut config = Config::default();
        config.offer.header_digest = offer;
        config.offer.data_digest = offer;
        let session = lab.builder(DIGESTS).config(config).connect().await.unwrap();
        let negotiated = session.info().negotiated.clone();
        assert!(negotiated.header_digest && negotiated.data_digest);
        let lun = session.open(0.into()).await.unwrap();
        lun.write_at(0, stamp::pieces(0, 8192, 5)).await.unwrap();
        stamp::check(&lun.read_at(0, 4 << 20).await.unwrap(), 0, 5).unwrap();
        stamp::check(&fs::read(lab.path("digests")).unwrap(), 0, 5).unwrap();
        session.logout().await.unwrap();
    }
}
