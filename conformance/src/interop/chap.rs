use iscsi_initiator::core::chap::Algorithm;
use iscsi_initiator::core::login::{Authentication, LoginError};
use iscsi_initiator::core::secret::{Auth, Chap};
use iscsi_initiator::{ConnectError, Session};

use super::{Outcome, host, same};
use crate::lab::{Account, Lab, LabError, Offer, Refused, Role};

const ALL: [Algorithm; 4] = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha3_256];
/// Authentication failure; RFC 7143, section 11.13.5.
const FAILED: &[(u8, u8)] = &[(2, 1)];
/// What a target says to an algorithm that it does not know; tgt finds fault with the request as a whole.
const UNKNOWN: &[(u8, u8)] = &[(2, 1), (2, 0)];

/// A login with one algorithm. `false`: the target does not know it and has said so by the status for that.
async fn attempt(offer: &Offer, chap: Chap, algorithm: Algorithm, expected: Authentication) -> host::Made<bool> {
    let auth = Auth::Chap(chap.with_algorithms(&[algorithm])?);
    match host::builder(offer)?.auth(auth).connect().await {
        Ok(session) => {
            same("the way of authentication", session.info().authentication, expected)?;
            session.logout().await?;
            Ok(true)
        }
        // Every target has to know MD5 (RFC 7143, section 12.1.3).
        Err(ConnectError::Login(LoginError::Refused { status, .. }))
            if algorithm != Algorithm::Md5 && UNKNOWN.contains(&(status.class, status.detail)) =>
        {
            Ok(false)
        }
        Err(error) => Err(format!("{algorithm:?}: {error}").into()),
    }
}

pub(super) async fn right(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Chap)?;
    for algorithm in ALL {
        attempt(&offer, initiators(&offer)?, algorithm, Authentication::Initiator(algorithm)).await?;
    }
    Ok(())
}

pub(super) async fn mutual(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Mutual)?;
    for algorithm in ALL {
        attempt(&offer, both(&offer)?, algorithm, Authentication::Mutual(algorithm)).await?;
    }
    Ok(())
}

pub(super) async fn wrong(lab: &dyn Lab) -> Outcome {
    for role in [Role::Chap, Role::Mutual] {
        let offer = lab.offer(role)?;
        let Account { user, secret } = offer.chap.clone().ok_or("no account")?;
        for account in [Account::new(&user, "this-is-wrong"), Account::new("nobody", &secret)] {
            for algorithm in ALL {
                let chap = Chap::new(host::credentials(&account)?).with_algorithms(&[algorithm])?;
                let expected = if algorithm == Algorithm::Md5 { FAILED } else { UNKNOWN };
                host::refused(host::builder(&offer)?.auth(Auth::Chap(chap)), expected).await?;
            }
        }
        host::turned_away(host::builder(&offer)?.auth(Auth::None)).await?;
    }
    Ok(())
}

/// The initiator finds out that the target proves itself with another secret, and ends the login.
pub(super) async fn impostor(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Mutual)?;
    let Account { user, secret } = offer.mutual.clone().ok_or("no account")?;
    for account in [Account::new(&user, "this-is-wrong"), Account::new("nobody", &secret)] {
        let chap = initiators(&offer)?.with_target(host::credentials(&account)?)?;
        match host::builder(&offer)?.auth(Auth::Chap(chap)).connect().await {
            Err(ConnectError::Login(LoginError::Auth(_))) => {}
            other => return Err(format!("instead of an error of authentication: {}", ended(other)).into()),
        }
    }
    Ok(())
}

pub(super) async fn listed(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::AclChap)?;
    host::builder(&offer)?.connect().await?.logout().await?;
    if offer.mutual.is_some() {
        host::builder(&offer)?.auth(Auth::Chap(both(&offer)?)).connect().await?.logout().await?;
    }
    host::turned_away(host::builder(&offer)?.auth(Auth::None)).await
}

fn initiators(offer: &Offer) -> host::Made<Chap> {
    let account = offer.chap.as_ref().ok_or(Refused::NotOffered("no account"))?;
    Ok(Chap::new(host::credentials(account)?))
}

fn both(offer: &Offer) -> host::Made<Chap> {
    let account = offer.mutual.as_ref().ok_or(LabError::UnknownTarget(offer.target.clone()))?;
    Ok(initiators(offer)?.with_target(host::credentials(account)?)?)
}

fn ended(result: Result<Session, ConnectError>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "the login succeeded".to_owned())
}
