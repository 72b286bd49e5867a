//! Brings names and addresses together.

use std::collections::{HashMap, HashSet};

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::TargetAddress;

use super::{DiscoveredTarget, Skipped, Targets, excerpt};

/// Which target, in the order of their first names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::core) struct Place(usize);

/// Collects targets: names in order, each once, with their addresses in order, each once.
#[derive(Default)]
pub(in crate::core) struct Collector {
    found: Targets,
    /// Which target has which name.
    places: HashMap<IscsiName, Place>,
    /// Every address that a target has.
    addresses: HashSet<(Place, TargetAddress)>,
    /// Targets that had an address which was set aside.
    damaged: HashSet<Place>,
}

impl Collector {
    /// The target of this name, which may be new; `None` if it is no name, and set aside.
    pub(in crate::core) fn name(&mut self, text: &str) -> Option<Place> {
        let next = Place(self.found.targets.len());
        match IscsiName::new(text) {
            Ok(name) => {
                let place = *self.places.entry(name.clone()).or_insert(next);
                if place == next {
                    self.found.targets.push(DiscoveredTarget { name, addresses: Vec::new() });
                }
                Some(place)
            }
            Err(reason) => {
                self.found.skipped.push(Skipped::Name { text: excerpt(text), reason });
                None
            }
        }
    }

    /// An address of a target.
    pub(in crate::core) fn address(&mut self, place: Place, address: TargetAddress) {
        if let Some(target) = self.found.targets.get_mut(place.0)
            && self.addresses.insert((place, address.clone()))
        {
            target.addresses.push(address);
        }
    }

    /// Something about a target that is set aside: it had an address, though none of use.
    pub(in crate::core) fn damaged(&mut self, place: Place, skipped: impl FnOnce(IscsiName) -> Skipped) {
        if let Some(target) = self.found.targets.get(place.0) {
            self.damaged.insert(place);
            self.found.skipped.push(skipped(target.name.clone()));
        }
    }

    /// Whether a target has an address, be it one that was set aside.
    pub(in crate::core) fn has_address(&self, place: Place) -> bool {
        let target = self.found.targets.get(place.0);
        self.damaged.contains(&place) || target.is_some_and(|target| !target.addresses.is_empty())
    }

    /// The targets. One that had addresses, none of them good, is not at the portal that was asked: it said so.
    pub(in crate::core) fn finish(self) -> Targets {
        let Targets { targets, skipped } = self.found;
        let lost =
            |place, target: &DiscoveredTarget| target.addresses.is_empty() && self.damaged.contains(&Place(place));
        let kept = targets.into_iter().enumerate().filter(|(place, target)| !lost(*place, target));
        Targets { targets: kept.map(|(_, target)| target).collect(), skipped }
    }
}
