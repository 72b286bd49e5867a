use iscsi_initiator::Config;
use iscsi_initiator::core::{DigestOffer, Offer as Values};

use super::{Outcome, ensure, host, same};
use crate::lab::{Lab, Role};

const KIB: u32 = 1024;
const OFFERS: [DigestOffer; 4] =
    [DigestOffer::None, DigestOffer::PreferNone, DigestOffer::PreferCrc32c, DigestOffer::Crc32c];

fn config(change: impl FnOnce(&mut Values)) -> Config {
    let mut config = Config::default();
    change(&mut config.offer);
    config
}

pub(super) async fn digests(lab: &dyn Lab) -> Outcome {
    for header in OFFERS {
        for data in OFFERS {
            let config = config(|offer| (offer.header_digest, offer.data_digest) = (header, data));
            let (disk, lun) = host::disk_with(lab, |_| true, config).await?;
            host::exchange(lab, &disk, &lun, 8192, 65536).await?;
        }
    }
    Ok(())
}

/// Without digests there is no login; with them, there is, and they are in use.
pub(super) async fn strict_digests(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Digests)?;
    let both = |digest| config(|offer| (offer.header_digest, offer.data_digest) = (digest, digest));
    for digest in [DigestOffer::Crc32c, DigestOffer::PreferNone] {
        let session = host::builder(&offer)?.config(both(digest)).connect().await?;
        let negotiated = &session.info().negotiated;
        ensure(negotiated.header_digest && negotiated.data_digest, || format!("{digest:?} brought no digests"))?;
        let disk = offer.disks.first().ok_or("no disk")?;
        let lun = session.open(disk.lun.into()).await?;
        host::exchange(lab, disk, &lun, 512, 128 * 1024).await?;
        session.logout().await?;
    }
    let without = host::builder(&offer)?.config(both(DigestOffer::None)).connect().await;
    ensure(without.is_err(), || "a login without digests succeeded".to_owned())
}

/// MaxBurstLength, FirstBurstLength, MaxRecvDataSegmentLength.
const LENGTHS: [(u32, u32, u32); 7] = [
    (512, 512, 512),
    (4 * KIB, KIB, 512),
    (8 * KIB, 8 * KIB, 4 * KIB),
    (64 * KIB, 12 * KIB, 1000),
    (256 * KIB, 64 * KIB, 8 * KIB),
    (1024 * KIB, 256 * KIB, 256 * KIB),
    ((1 << 24) - 1, (1 << 24) - 1, (1 << 24) - 1),
];

/// What is in force is never more than what was offered, and data arrives whatever it is.
pub(super) async fn lengths(lab: &dyn Lab) -> Outcome {
    for (burst, first, segment) in LENGTHS {
        for (immediate, r2t) in [(true, true), (true, false), (false, true), (false, false)] {
            let config = config(|offer| {
                (offer.immediate_data, offer.initial_r2t) = (immediate, r2t);
                (offer.max_burst_length, offer.first_burst_length) = (burst, first);
                offer.max_recv_data_segment_length = segment;
            });
            let (disk, lun) = host::disk_with(lab, |_| true, config).await?;
            for length in [512, 16 * 1024, 96 * 1024] {
                host::exchange(lab, &disk, &lun, 4096, length).await.map_err(|error| {
                    format!("{length} bytes, bursts {burst}/{first}, segments {segment}, {immediate} {r2t}: {error}")
                })?;
            }
        }
    }
    Ok(())
}

/// What the target is told to want is what comes out.
pub(super) async fn targets_side(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Open)?;
    let values = [
        ("ImmediateData", "No", "Yes"),
        ("InitialR2T", "No", "Yes"),
        ("MaxBurstLength", "16384", "262144"),
        ("FirstBurstLength", "4096", "65536"),
        ("MaxOutstandingR2T", "4", "1"),
    ];
    for (key, value, _) in values {
        lab.set(&offer.target, key, value)?;
    }
    let result = with_the_targets_values(lab).await;
    for (key, _, usual) in values {
        lab.set(&offer.target, key, usual)?;
    }
    result
}

async fn with_the_targets_values(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Open).await?;
    let negotiated = &session.info().negotiated;
    same("ImmediateData", negotiated.immediate_data, false)?;
    same("InitialR2T", negotiated.initial_r2t, false)?;
    same("MaxBurstLength", negotiated.max_burst_length, 16384)?;
    same("FirstBurstLength", negotiated.first_burst_length, 4096)?;
    same("MaxOutstandingR2T", negotiated.max_outstanding_r2t, 4)?;
    let disk = offer.disks.first().ok_or("no disk")?;
    let lun = session.open(disk.lun.into()).await?;
    host::exchange(lab, disk, &lun, 0, 256 * 1024).await?;
    session.logout().await?;
    Ok(())
}
