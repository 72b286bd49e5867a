use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::scsi::{Sense, TransportId};

use super::lu::Unit;

/// Conditions that wait for one nexus at one unit; more than these are forgotten.
const MAX_ATTENTIONS: usize = 16;

/// One initiator port as the device sees it, for as long as its session lasts.
#[derive(Debug)]
pub struct Nexus {
    port: TransportId,
    places: Box<[Place]>,
}

/// What is kept for the nexus at one unit.
#[derive(Debug, Default)]
struct Place {
    /// Whether `attentions` holds something; looked at before every command.
    pending: AtomicBool,
    attentions: Mutex<VecDeque<Sense>>,
    /// Counts ABORT TASK SETs: tasks that began before the last one are dead.
    epoch: AtomicU64,
}

impl Nexus {
    fn new(port: TransportId, units: usize) -> Self {
        Self { port, places: (0..units).map(|_| Place::default()).collect() }
    }

    /// The initiator port, which stays the same from session to session.
    pub(super) const fn port(&self) -> &TransportId {
        &self.port
    }

    /// Ends all tasks of this nexus at a unit.
    pub fn abort_tasks(&self, unit: &Unit) {
        if let Some(place) = self.places.get(unit.index()) {
            place.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn epoch(&self, unit: &Unit) -> u64 {
        self.places.get(unit.index()).map_or(0, |place| place.epoch.load(Ordering::Acquire))
    }

    /// Lets the next command of this nexus to a unit fail with UNIT ATTENTION. The same one is not queued twice.
    pub(super) fn attend(&self, unit: &Unit, sense: Sense) {
        let Some(place) = self.places.get(unit.index()) else { return };
        let mut attentions = place.lock();
        if attentions.len() < MAX_ATTENTIONS && !attentions.contains(&sense) {
            attentions.push_back(sense);
            place.pending.store(true, Ordering::Release);
        }
    }

    /// Takes the oldest condition that waits at a unit.
    pub(super) fn take_attention(&self, unit: &Unit) -> Option<Sense> {
        let place = self.places.get(unit.index())?;
        if !place.pending.load(Ordering::Acquire) {
            return None;
        }
        let mut attentions = place.lock();
        let sense = attentions.pop_front();
        place.pending.store(!attentions.is_empty(), Ordering::Release);
        sense
    }

    /// Forgets all conditions at a unit; a reset replaces them by its own.
    pub(super) fn clear_attentions(&self, unit: &Unit) {
        while self.take_attention(unit).is_some() {}
    }
}

/// All nexuses to a device.
#[derive(Debug, Default)]
pub(super) struct Nexuses(Mutex<Vec<Weak<Nexus>>>);

impl Nexuses {
    /// A new nexus to a device with so many units.
    pub(super) fn attach(&self, initiator: &IscsiName, isid: Isid, units: usize) -> Arc<Nexus> {
        let digits = isid.to_string().trim_start_matches("0x").to_owned();
        let port = TransportId::Named { name: initiator.to_string(), port: Some(digits) };
        let nexus = Arc::new(Nexus::new(port, units));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|old| old.strong_count() != 0);
        all.push(Arc::downgrade(&nexus));
        nexus
    }

    pub(super) fn each(&self, mut work: impl FnMut(&Nexus)) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for nexus in all.iter().filter_map(Weak::upgrade) {
            work(&nexus);
        }
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Sense>> {
        self.attentions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
