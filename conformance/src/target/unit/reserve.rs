//! Persistent reservations (SPC-5, section 5.13). They do not outlive the target.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iscsi_proto::scsi::{
    Command, KeyList, Registrant, RegistrantList, ReservationReport, ReservationType, ReserveCapabilities, ReserveIn,
    ReserveInAction, ReserveOut, ReserveOutAction, ReserveOutList, Sense, SenseKey, Status, TransportId,
};

use super::Outcome;
use super::block;
use super::device::Begin;
use super::identity::PORT;
use super::lu::Unit;
use super::nexus::Nexus;
use super::receiver::{Job, Then};

/// 05/26/04: a release that does not fit the reservation.
const INVALID_RELEASE: Sense = Sense::new(SenseKey::IllegalRequest, 0x26, 0x04);
/// 05/55/04: no room for a registration.
const NO_ROOM: Sense = Sense::new(SenseKey::IllegalRequest, 0x55, 0x04);
/// 06/2A/03: reservations preempted.
const PREEMPTED: Sense = Sense::new(SenseKey::UnitAttention, 0x2a, 0x03);
/// 06/2A/04: reservations released.
const RELEASED: Sense = Sense::new(SenseKey::UnitAttention, 0x2a, 0x04);
/// 06/2A/05: registrations preempted.
const UNREGISTERED: Sense = Sense::new(SenseKey::UnitAttention, 0x2a, 0x05);
const MAX_REGISTRATIONS: usize = 1024;

/// Who is registered with a unit, and who holds it.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// Whether there is a reservation; looked at before every command.
    reserved: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    generation: u32,
    registrations: Vec<Registration>,
    reservation: Option<Reservation>,
}

#[derive(Clone, Debug)]
struct Registration {
    port: TransportId,
    key: u64,
}

#[derive(Clone, Debug)]
struct Reservation {
    kind: ReservationType,
    /// Who made it; of no account where all registrants hold it.
    holder: TransportId,
}

/// What a command does to the blocks, as far as reservations care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    None,
    Read,
    Write,
}

/// What a change has to be told to whom.
#[derive(Debug, Default)]
struct News {
    told: Vec<(TransportId, Sense)>,
    /// Ports whose tasks end.
    aborted: Vec<TransportId>,
}

/// A change that is refused.
enum Refusal {
    Conflict,
    Check(Sense),
}

pub(super) fn begin_out(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: ReserveOut) -> Result<Begin, Sense> {
    if command.action == ReserveOutAction::RegisterAndMove {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(1, Some(4)));
    }
    if command.length != ReserveOutList::LEN as u32 {
        return Err(Sense::PARAMETER_LIST_LENGTH);
    }
    let job = Job::Gather { data: Vec::new(), then: Then::ReserveOut(command) };
    Ok(block::receive(unit, nexus, command.length.into(), job))
}

impl Reservations {
    /// Whether a reservation of others keeps the command out.
    pub(super) fn conflict(&self, nexus: &Nexus, command: &Command) -> bool {
        if !self.reserved.load(Ordering::Acquire) {
            return false;
        }
        let access = access(command);
        access != Access::None && !self.lock().admits(nexus.port(), access)
    }

    pub(super) fn report(&self, command: ReserveIn) -> Outcome {
        let state = self.lock();
        let generation = state.generation;
        let data = match command.action {
            ReserveInAction::Keys => {
                KeyList::new(generation, state.registrations.iter().map(|one| one.key).collect()).encode()
            }
            ReserveInAction::Reservation => ReservationReport { generation, holder: state.holder() }.encode(),
            ReserveInAction::Capabilities => capabilities().encode().to_vec(),
            ReserveInAction::FullStatus => {
                let registrants = state.registrations.iter().map(|one| state.registrant(one)).collect();
                RegistrantList { generation, registrants, cut: false }.encode()
            }
        };
        Outcome::cut(data, command.allocation)
    }

    pub(super) fn change(
        &self,
        unit: &Unit,
        nexus: &Nexus,
        command: ReserveOut,
        data: &[u8],
    ) -> Result<Outcome, Sense> {
        let list = ReserveOutList::parse(data).map_err(|error| error.sense())?;
        if list.persist || list.all_ports || !list.initiators.is_empty() {
            return Err(Sense::INVALID_PARAMETER);
        }
        let mut news = News::default();
        let result = {
            let mut state = self.lock();
            let result = state.change(nexus.port(), command.action, &list, &mut news);
            self.reserved.store(state.reservation.is_some(), Ordering::Release);
            result
        };
        news.spread(unit);
        match result {
            Ok(()) => Ok(Outcome::good()),
            Err(Refusal::Conflict) => Ok(Outcome::status(Status::RESERVATION_CONFLICT)),
            Err(Refusal::Check(sense)) => Err(sense),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admits(&self, port: &TransportId, access: Access) -> bool {
        use ReservationType::{ExclusiveAccess, WriteExclusive, WriteExclusiveAll, WriteExclusiveRegistrants};
        let Some(Reservation { kind, holder }) = &self.reservation else { return true };
        let shared = matches!(kind, WriteExclusive | WriteExclusiveRegistrants | WriteExclusiveAll);
        let only_holder = matches!(kind, WriteExclusive | ExclusiveAccess);
        (shared && access == Access::Read)
            || if only_holder { holder == port } else { self.registration(port).is_some() }
    }

    fn change(
        &mut self,
        port: &TransportId,
        action: ReserveOutAction,
        list: &ReserveOutList,
        news: &mut News,
    ) -> Result<(), Refusal> {
        let own = self.registration(port).map(|own| own.key);
        match action {
            ReserveOutAction::Register if own.unwrap_or(0) != list.key => return Err(Refusal::Conflict),
            ReserveOutAction::Register | ReserveOutAction::RegisterAndIgnore => {
                return self.register(port, list.action_key, news);
            }
            _ if own != Some(list.key) => return Err(Refusal::Conflict),
            _ => {}
        }
        match action {
            ReserveOutAction::Reserve(kind) => self.reserve(port, kind),
            ReserveOutAction::Release(kind) => self.release(port, kind, news),
            ReserveOutAction::Clear => {
                self.clear(port, news);
                Ok(())
            }
            ReserveOutAction::Preempt(kind) => self.preempt(port, kind, list.action_key, news).map(drop),
            ReserveOutAction::PreemptAndAbort(kind) => {
                news.aborted = self.preempt(port, kind, list.action_key, news)?;
                Ok(())
            }
            _ => Err(Refusal::Check(Sense::INVALID_FIELD)),
        }
    }

    fn register(&mut self, port: &TransportId, key: u64, news: &mut News) -> Result<(), Refusal> {
        let full = self.registrations.len() >= MAX_REGISTRATIONS;
        match (self.registrations.iter_mut().find(|one| one.port == *port), key) {
            (None, 0) => return Ok(()),
            (None, _) if full => return Err(Refusal::Check(NO_ROOM)),
            (None, key) => self.registrations.push(Registration { port: port.clone(), key }),
            (Some(_), 0) => self.unregister(port, news),
            (Some(own), key) => own.key = key,
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    fn unregister(&mut self, port: &TransportId, news: &mut News) {
        let held = self.holds(port);
        self.registrations.retain(|one| one.port != *port);
        match self.reservation.as_ref().map(|reservation| reservation.kind) {
            Some(kind) if is_all(kind) && self.registrations.is_empty() => self.reservation = None,
            Some(kind) if !is_all(kind) && held => self.end_reservation(port, kind, news),
            _ => {}
        }
    }

    fn reserve(&mut self, port: &TransportId, kind: ReservationType) -> Result<(), Refusal> {
        match &self.reservation {
            None => {
                self.reservation = Some(Reservation { kind, holder: port.clone() });
                Ok(())
            }
            Some(reservation) if reservation.kind == kind && self.holds(port) => Ok(()),
            Some(_) => Err(Refusal::Conflict),
        }
    }

    fn release(&mut self, port: &TransportId, kind: ReservationType, news: &mut News) -> Result<(), Refusal> {
        match &self.reservation {
            Some(reservation) if !self.holds(port) || reservation.kind != kind => {
                if self.holds(port) {
                    Err(Refusal::Check(INVALID_RELEASE))
                } else {
                    Ok(())
                }
            }
            Some(_) => {
                self.end_reservation(port, kind, news);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Ends the reservation; other registrants hear of it if it was theirs too.
    fn end_reservation(&mut self, by: &TransportId, kind: ReservationType, news: &mut News) {
        self.reservation = None;
        if !matches!(kind, ReservationType::WriteExclusive | ReservationType::ExclusiveAccess) {
            news.tell(self.others(by), RELEASED);
        }
    }

    fn clear(&mut self, by: &TransportId, news: &mut News) {
        news.tell(self.others(by), PREEMPTED);
        self.registrations.clear();
        self.reservation = None;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Removes the registrations with a key, and takes the reservation over if they held it; whose they were.
    fn preempt(
        &mut self,
        by: &TransportId,
        kind: ReservationType,
        key: u64,
        news: &mut News,
    ) -> Result<Vec<TransportId>, Refusal> {
        let everybody = key == 0 && self.reservation.as_ref().is_some_and(|old| is_all(old.kind));
        if key == 0 && !everybody {
            return Err(Refusal::Check(Sense::INVALID_PARAMETER));
        }
        let hit = |one: &Registration| everybody || one.key == key;
        if !self.registrations.iter().any(hit) {
            return Err(Refusal::Conflict);
        }
        let takes = self.reservation.as_ref().is_some_and(|old| {
            let holder = self.registration(&old.holder).is_some_and(hit);
            everybody || (!is_all(old.kind) && holder)
        });
        let victims: Vec<TransportId> =
            self.registrations.iter().filter(|one| hit(one) && one.port != *by).map(|one| one.port.clone()).collect();
        self.registrations.retain(|one| !hit(one) || one.port == *by);
        news.tell(victims.iter().cloned(), UNREGISTERED);
        if takes {
            let changed = self.reservation.as_ref().is_some_and(|old| old.kind != kind);
            self.reservation = Some(Reservation { kind, holder: by.clone() });
            if changed {
                news.tell(self.others(by), RELEASED);
            }
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(victims)
    }

    fn registration(&self, port: &TransportId) -> Option<&Registration> {
        self.registrations.iter().find(|one| one.port == *port)
    }

    fn others(&self, port: &TransportId) -> impl Iterator<Item = TransportId> {
        self.registrations.iter().filter(move |one| one.port != *port).map(|one| one.port.clone())
    }

    fn holds(&self, port: &TransportId) -> bool {
        match &self.reservation {
            Some(reservation) if is_all(reservation.kind) => self.registration(port).is_some(),
            Some(reservation) => reservation.holder == *port,
            None => false,
        }
    }

    /// Key and type of the reservation; the key is 0 where all registrants hold it.
    fn holder(&self) -> Option<(u64, ReservationType)> {
        let reservation = self.reservation.as_ref()?;
        let key = if is_all(reservation.kind) { None } else { self.registration(&reservation.holder) };
        Some((key.map_or(0, |one| one.key), reservation.kind))
    }

    fn registrant(&self, one: &Registration) -> Registrant {
        let kind = self.reservation.as_ref().map(|reservation| reservation.kind);
        Registrant {
            key: one.key,
            holds: kind.filter(|_| self.holds(&one.port)),
            port: Some(PORT),
            initiator: one.port.clone(),
        }
    }
}

impl News {
    fn tell(&mut self, ports: impl IntoIterator<Item = TransportId>, sense: Sense) {
        self.told.extend(ports.into_iter().map(|port| (port, sense)));
    }

    fn spread(self, unit: &Unit) {
        if self.told.is_empty() && self.aborted.is_empty() {
            return;
        }
        unit.nexuses.each(|nexus| {
            if self.aborted.contains(nexus.port()) {
                nexus.abort_tasks(unit);
            }
            for (_, sense) in self.told.iter().filter(|(port, _)| port == nexus.port()) {
                nexus.attend(unit, *sense);
            }
        });
    }
}

const fn is_all(kind: ReservationType) -> bool {
    matches!(kind, ReservationType::WriteExclusiveAll | ReservationType::ExclusiveAccessAll)
}

fn access(command: &Command) -> Access {
    match command {
        Command::Read(_)
        | Command::PreFetch(_)
        | Command::Verify(_)
        | Command::GetLbaStatus(_)
        | Command::ModeSense(_) => Access::Read,
        Command::Write(_)
        | Command::OrWrite(_)
        | Command::WriteAndVerify(_)
        | Command::WriteSame(_)
        | Command::CompareAndWrite(_)
        | Command::Unmap(_)
        | Command::SyncCache(_)
        | Command::ModeSelect(_) => Access::Write,
        Command::StartStop(command) if !command.start => Access::Write,
        _ => Access::None,
    }
}

fn capabilities() -> ReserveCapabilities {
    let types = ReservationType::ALL.into_iter().map(ReserveCapabilities::mask).fold(0, |all, one| all | one);
    ReserveCapabilities { types: Some(types), ..ReserveCapabilities::default() }
}
