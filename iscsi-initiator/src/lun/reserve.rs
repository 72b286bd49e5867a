//! Persistent reservations (SPC-5, section 5.14).

use bytes::BytesMut;
use iscsi_proto::scsi::{
    DataError, KeyList, MoveList, RegistrantList, ReservationReport, ReservationType, ReserveCapabilities, ReserveIn,
    ReserveInAction, ReserveOut, ReserveOutAction, ReserveOutList, TransportId,
};

use super::Lun;
use super::send::{asked, named};
use crate::core::CommandError;
use crate::session::malformed;

const IN: &str = "PERSISTENT RESERVE IN";
const OUT: &str = "PERSISTENT RESERVE OUT";
/// Room for a first answer, in bytes.
const FIRST: u16 = 4096;

/// What goes with a registration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RegisterOptions {
    /// On all ports of the target, not only the one of this session (ALL_TG_PT). Default false.
    pub all_ports: bool,
    /// Registrations and reservation survive a loss of power of the target (APTPL). Default false.
    pub persist: bool,
    /// Other initiator ports to register with the same key (SPEC_I_PT). Default none.
    pub initiators: Vec<TransportId>,
}

/// The reservations of a unit. Made by [`Lun::reservations`].
///
/// Who registers a key may reserve; who holds a reservation keeps others from what its [`ReservationType`] says. A command
/// that is kept out ends with [`Status::RESERVATION_CONFLICT`](iscsi_proto::scsi::Status::RESERVATION_CONFLICT), as do the calls here that
/// need a registered key and are given another one. Units without reservations give [`CommandError::Unsupported`].
///
/// # Cancellation
///
/// A command that was sent runs to its end on the target. That holds for all calls here.
#[derive(Clone, Copy, Debug)]
pub struct Reservations<'a>(&'a Lun);

impl Lun {
    /// Persistent reservations, step by step. [`Lun::reserve`] and [`Lun::release`] take all steps at once.
    pub const fn reservations(&self) -> Reservations<'_> {
        Reservations(self)
    }

    /// Takes the unit for this initiator: registers `key`, whatever was registered before, and reserves.
    ///
    /// Pick a key that no other host uses, and not 0. If somebody else holds a reservation, that is
    /// [`Status::RESERVATION_CONFLICT`](iscsi_proto::scsi::Status::RESERVATION_CONFLICT), and the key is unregistered again.
    ///
    /// From then on, a reset of the unit is an error of the next command, for it may have ended the reservation: reserve
    /// again and go on, if that succeeds.
    ///
    /// # Cancellation
    ///
    /// The key may stay registered, and the unit reserved.
    pub async fn reserve(&self, key: u64, kind: ReservationType) -> Result<(), CommandError> {
        let reservations = self.reservations();
        reservations.register_and_ignore(key, &RegisterOptions::default()).await?;
        match reservations.reserve(key, kind).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The first error is the one to tell; a key that stays behind does no harm.
                let _ = reservations.unregister(key).await;
                Err(error)
            }
        }
    }

    /// Gives the unit back: releases the reservation and unregisters `key`.
    ///
    /// # Cancellation
    ///
    /// The key may stay registered.
    pub async fn release(&self, key: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.reservations().release(key, kind).await?;
        self.reservations().unregister(key).await
    }
}

impl Reservations<'_> {
    /// READ KEYS: the keys that are registered, one for each registration.
    pub async fn keys(&self) -> Result<KeyList, CommandError> {
        self.ask(ReserveInAction::Keys, KeyList::parse, |list| list.is_cut().then(|| list.list_len as usize + 8)).await
    }

    /// READ RESERVATION: who holds the reservation.
    pub async fn holder(&self) -> Result<ReservationReport, CommandError> {
        self.ask(ReserveInAction::Reservation, ReservationReport::parse, |_| None).await
    }

    /// REPORT CAPABILITIES: what the unit knows of reservations.
    pub async fn capabilities(&self) -> Result<ReserveCapabilities, CommandError> {
        self.ask(ReserveInAction::Capabilities, ReserveCapabilities::parse, |_| None).await
    }

    /// READ FULL STATUS: every registration with its initiator.
    pub async fn registrants(&self) -> Result<RegistrantList, CommandError> {
        let more = |list: &RegistrantList| list.cut.then_some(u16::MAX.into());
        self.ask(ReserveInAction::FullStatus, RegistrantList::parse, more).await
    }

    /// REGISTER: `old` is the key that this initiator has, 0 if it has none; `new` is the one that it gets.
    pub async fn register(&self, old: u64, new: u64, options: &RegisterOptions) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::Register, list(old, new, options)).await
    }

    /// REGISTER AND IGNORE EXISTING KEY: whatever key this initiator has, `new` is the one that it gets.
    pub async fn register_and_ignore(&self, new: u64, options: &RegisterOptions) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::RegisterAndIgnore, list(0, new, options)).await
    }

    /// REGISTER with the new key 0: takes the registration away, and a reservation that this initiator alone holds.
    pub async fn unregister(&self, key: u64) -> Result<(), CommandError> {
        self.register(key, 0, &RegisterOptions::default()).await?;
        self.relies(false);
        Ok(())
    }

    /// RESERVE: this initiator, registered with `key`, becomes a holder.
    pub async fn reserve(&self, key: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::Reserve(kind), keys(key, 0)).await?;
        self.relies(true);
        Ok(())
    }

    /// RELEASE: of a reservation of this type that this initiator holds. Without one, nothing happens.
    pub async fn release(&self, key: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::Release(kind), keys(key, 0)).await?;
        self.relies(false);
        Ok(())
    }

    /// CLEAR: takes away the reservation and all registrations, of all initiators.
    pub async fn clear(&self, key: u64) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::Clear, keys(key, 0)).await?;
        self.relies(false);
        Ok(())
    }

    /// PREEMPT: takes away the registrations with the key `victim`, and takes over if they hold the reservation.
    ///
    /// Sent again it finds nobody, which is a conflict: after a lost connection, look at [`Reservations::holder`] first.
    pub async fn preempt(&self, key: u64, victim: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::Preempt(kind), keys(key, victim)).await?;
        self.relies(true);
        Ok(())
    }

    /// PREEMPT AND ABORT: as [`Reservations::preempt`], and ends the commands of those who were preempted.
    pub async fn preempt_and_abort(&self, key: u64, victim: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::PreemptAndAbort(kind), keys(key, victim)).await?;
        self.relies(true);
        Ok(())
    }

    /// REGISTER AND MOVE: hands the reservation over to another initiator.
    pub async fn register_and_move(&self, list: &MoveList) -> Result<(), CommandError> {
        self.tell(ReserveOutAction::RegisterAndMove, list.encode()).await?;
        self.relies(false);
        Ok(())
    }

    /// Remembers whether this initiator may hold a reservation, which a reset may then end.
    fn relies(self, reserved: bool) {
        self.0.unit.memory.set_reserved(reserved);
    }

    async fn ask<T>(
        &self,
        action: ReserveInAction,
        parse: fn(&[u8]) -> Result<T, DataError>,
        more: impl Fn(&T) -> Option<usize>,
    ) -> Result<T, CommandError> {
        let data = self.read(action, FIRST).await?;
        let answer = parse(&data).map_err(|error| malformed(IN, &error))?;
        let Some(wanted) = more(&answer) else { return Ok(answer) };
        let data = self.read(action, u16::try_from(wanted).unwrap_or(u16::MAX)).await?;
        parse(&data).map_err(|error| malformed(IN, &error))
    }

    async fn read(&self, action: ReserveInAction, allocation: u16) -> Result<BytesMut, CommandError> {
        let command = ReserveIn { action, allocation };
        self.0
            .read_data(command.encode(), allocation.into())
            .await
            .map_err(|error| asked(error, "PERSISTENT RESERVE IN, or not this question"))
    }

    async fn tell(&self, action: ReserveOutAction, list: Vec<u8>) -> Result<(), CommandError> {
        let command = ReserveOut { action, length: list.len() as u32 };
        self.0.send(command.encode(), list).await.map_err(|error| named(error, OUT))
    }
}

fn keys(key: u64, action_key: u64) -> Vec<u8> {
    ReserveOutList { key, action_key, ..ReserveOutList::default() }.encode()
}

fn list(key: u64, action_key: u64, options: &RegisterOptions) -> Vec<u8> {
    let RegisterOptions { all_ports, persist, initiators } = options.clone();
    ReserveOutList { key, action_key, all_ports, persist, initiators }.encode()
}
