//! The initiator's side of the scenarios.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use iscsi_initiator::core::chap::AuthError;
use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::secret::{Auth, Chap, CredentialError, Credentials};
use iscsi_initiator::{Builder, Config, ConnectError, Initiator, Lun, Session};

use crate::lab::{Account, Disk, Lab, Offer, Refused, Role, stamp};

const NAME: &str = "iqn.2026-01.org.example:host";

/// What a helper of a scenario gives, or why it could not.
pub(super) type Made<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// An initiator with a fresh ISID, under the name that the target lets in.
pub(super) fn initiator(offer: &Offer) -> Made<Initiator> {
    Ok(Initiator::new(offer.initiator.as_deref().unwrap_or(NAME).parse()?))
}

/// A login at the first portal, with what the target asks for, one-way.
pub(super) fn builder(offer: &Offer) -> Made<Builder> {
    builder_at(offer, first(offer)?)
}

/// A login at this portal, with what the target asks for, one-way.
pub(super) fn builder_at(offer: &Offer, portal: SocketAddr) -> Made<Builder> {
    let builder = Session::builder(&initiator(offer)?, offer.target.parse()?).portal(portal.into());
    Ok(builder.auth(auth(offer)?))
}

pub(super) fn first(offer: &Offer) -> Made<SocketAddr> {
    offer.portals.first().copied().ok_or_else(|| "a target without a portal".into())
}

/// What the target asks the initiator for.
pub(super) fn auth(offer: &Offer) -> Made<Auth> {
    Ok(match &offer.chap {
        Some(account) => Auth::Chap(Chap::new(credentials(account)?)),
        None => Auth::None,
    })
}

pub(super) fn credentials(account: &Account) -> Result<Credentials, CredentialError> {
    Credentials::new(account.user.clone(), account.secret.parse()?)
}

/// A session with the target of this role.
pub(super) async fn session(lab: &dyn Lab, role: Role) -> Made<(Offer, Session)> {
    let offer = lab.offer(role)?;
    let session = builder(&offer)?.connect().await?;
    Ok((offer, session))
}

/// A session with the open target, and its first disk.
pub(super) async fn disk(lab: &dyn Lab, fits: impl Fn(&Disk) -> bool) -> Made<(Disk, Lun)> {
    disk_with(lab, fits, Config::default()).await
}

/// The same with other settings.
pub(super) async fn disk_with(lab: &dyn Lab, fits: impl Fn(&Disk) -> bool, config: Config) -> Made<(Disk, Lun)> {
    let offer = lab.offer(Role::Open)?;
    let disk = offer.disks.iter().find(|disk| fits(disk)).ok_or(Refused::NotOffered("no such disk"))?.clone();
    let session = builder(&offer)?.config(config).connect().await?;
    let lun = session.open(disk.lun.into()).await?;
    Ok((disk, lun))
}

/// Writes stamped data, reads it back, and looks at it from the other side if there is a view.
pub(super) async fn exchange(lab: &dyn Lab, disk: &Disk, lun: &Lun, offset: u64, length: usize) -> Made<()> {
    let seed = rand::random();
    let first = offset / stamp::PIECE as u64;
    let data = Bytes::from(stamp::pieces(first, length / stamp::PIECE, seed));
    lun.write_at(offset, data).await?;
    stamp::check(&lun.read_at(offset, length).await?, first, seed)?;
    match lab.stored(disk, offset, length) {
        Ok(stored) => Ok(stamp::check(&stored, first, seed)?),
        Err(Refused::NotOffered(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A login without CHAP at a target that wants it. LIO closes the connection instead of a status 0201, see the quirks;
/// istgt says first that it rejects the only way of authentication that was offered, and the login ends there.
pub(super) async fn turned_away(builder: Builder) -> Made<()> {
    match builder.connect().await {
        Err(ConnectError::Login(LoginError::Closed { .. } | LoginError::Auth(AuthError::MethodRejected { .. }))) => {
            Ok(())
        }
        Err(ConnectError::Login(LoginError::Refused { status, .. })) if (status.class, status.detail) == (2, 1) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("the login succeeded".into()),
    }
}

/// A login that has to be refused by the target with this status class and detail, or because of what it sent.
pub(super) async fn refused(builder: Builder, expected: &[(u8, u8)]) -> Made<()> {
    match builder.connect().await {
        Ok(_) => Err("the login succeeded".into()),
        Err(ConnectError::Login(error)) => {
            let status = error.status().map(|status| (status.class, status.detail));
            let fits = status.is_some_and(|status| expected.contains(&status));
            if fits { Ok(()) } else { Err(format!("the login ended otherwise: {error}").into()) }
        }
        Err(error) => Err(error.into()),
    }
}
