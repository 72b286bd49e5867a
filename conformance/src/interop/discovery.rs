use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use iscsi_initiator::Discovery;

use super::{Outcome, ensure, host, same};
use crate::lab::{Lab, Offer, Refused};

/// Every target is there, under the portal that was asked; the one with a list of initiators is there for those in it.
pub(super) async fn everything(lab: &dyn Lab) -> Outcome {
    let offers = lab.offers();
    let asked = offers.first().ok_or(Refused::NotOffered("no target"))?;
    let found = find(asked).await?;
    for offer in &offers {
        let addresses = found.get(&offer.target).ok_or_else(|| format!("{} was not found", offer.target))?;
        ensure(addresses.contains(&host::first(offer)?), || {
            format!("{} is said to be at {addresses:?}", offer.target)
        })?;
    }
    Ok(())
}

/// A target with two portals is announced at both of them.
pub(super) async fn portals(lab: &dyn Lab) -> Outcome {
    let offers = lab.offers();
    let offer = offers.iter().find(|offer| offer.portals.len() > 1).ok_or(Refused::NotOffered("one portal"))?;
    let found = find(offer).await?;
    let addresses = found.get(&offer.target).ok_or("the target was not found")?;
    same("the set of portals", addresses, &offer.portals.iter().copied().collect())
}

async fn find(offer: &Offer) -> host::Made<HashMap<String, HashSet<SocketAddr>>> {
    let targets = Discovery::new(&host::initiator(offer)?).send_targets(&host::first(offer)?.into()).await?;
    ensure(targets.skipped.is_empty(), || format!("set aside: {:?}", targets.skipped))?;
    let places = targets.targets.iter().map(|target| {
        let addresses = target.addresses.iter().filter_map(|address| address.portal.to_string().parse().ok());
        (target.name.to_string(), addresses.collect())
    });
    Ok(places.collect())
}
