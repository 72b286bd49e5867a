use std::time::Duration;

use iscsi_initiator::{Config, Initiator, Session};
use iscsi_proto::isid::Isid;

use super::{Outcome, ensure, host};
use crate::lab::{Lab, Role};

const SOON: Duration = Duration::from_secs(5);

/// Waits until the session knows that it is over.
async fn over(session: &Session) -> Outcome {
    let deadline = tokio::time::sleep(SOON);
    tokio::pin!(deadline);
    let mut events = session.events();
    loop {
        tokio::select! {
            event = events.next() => if event.is_none() { return Ok(()) },
            () = &mut deadline => return Err("the session goes on".into()),
        }
    }
}

/// A login under the same ISID takes the session over (RFC 7143, section 6.3.5).
pub(super) async fn reinstatement(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Open)?;
    let isid = Isid::random(rand::random(), 7);
    let connect = async || {
        let initiator = Initiator::with_isid("iqn.2026-01.org.example:host".parse()?, isid);
        let builder = Session::builder(&initiator, offer.target.parse()?).portal(host::first(&offer)?.into());
        host::Made::Ok(builder.connect().await?)
    };
    let old = connect().await?;
    let new = connect().await?;
    over(&old).await?;
    new.ping().await?;
    new.logout().await?;
    Ok(())
}

pub(super) async fn kicked(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Open).await?;
    session.ping().await?;
    lab.kick(&offer.target)?;
    over(&session).await?;
    ensure(session.closed().is_some(), || "no reason is given".to_owned())?;
    let (_, session) = host::session(lab, Role::Open).await?;
    session.logout().await?;
    Ok(())
}

/// No login succeeds meanwhile; afterwards all is well. What becomes of sessions differs between targets.
pub(super) async fn offline(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Open)?;
    lab.serve(&offer.target, false)?;
    let config = Config::default().with_timeout(SOON);
    let refused = host::builder(&offer)?.config(config).connect().await.is_err();
    lab.serve(&offer.target, true)?;
    ensure(refused, || "a target out of service took a login".to_owned())?;
    let (_, session) = host::session(lab, Role::Open).await?;
    session.ping().await?;
    session.logout().await?;
    Ok(())
}
