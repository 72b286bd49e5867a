//! PERSISTENT RESERVE IN and OUT (SPC-5): who may use a unit.
//!
//! ```text
//! IN CDB   byte 1   . . . service action(5)                             7 .. 8 allocation length
//! OUT CDB  byte 1   . . . service action(5)   2 scope(4) type(4)        5 .. 8 parameter list length
//! ```

mod list;
mod report;
mod transport;

pub use list::{MoveList, ReserveOutList};
pub use report::{KeyList, Registrant, RegistrantList, ReservationReport, ReserveCapabilities};
pub use transport::TransportId;

use std::fmt;

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::wire::skip;
use super::{Cdb, CdbError};

/// What PERSISTENT RESERVE IN reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ReserveInAction {
    /// READ KEYS: the registered keys, a [`KeyList`].
    Keys = 0,
    /// READ RESERVATION: who holds it, a [`ReservationReport`].
    Reservation = 1,
    /// REPORT CAPABILITIES: what is supported, [`ReserveCapabilities`].
    Capabilities = 2,
    /// READ FULL STATUS: every registration, a [`RegistrantList`].
    FullStatus = 3,
}

/// PERSISTENT RESERVE IN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReserveIn {
    /// What is asked.
    pub action: ReserveInAction,
    /// Bytes there is room for.
    pub allocation: u16,
}

impl ReserveIn {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let action = match cdb.service_action() {
            0 => ReserveInAction::Keys,
            1 => ReserveInAction::Reservation,
            2 => ReserveInAction::Capabilities,
            3 => ReserveInAction::FullStatus,
            _ => return Err(CdbError::SERVICE_ACTION),
        };
        let ((), allocation) = cdb.fields(|input| (skip::<6>, be_u16).parse(input))?;
        Ok(Self { action, allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x5e).byte(1, self.action as u8).half(7, self.allocation)
    }
}

/// Who is kept from what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ReservationType {
    /// Only the holder writes.
    WriteExclusive = 1,
    /// Only the holder reads and writes.
    ExclusiveAccess = 3,
    /// Only those registered write; one of them is the holder.
    WriteExclusiveRegistrants = 5,
    /// Only those registered read and write; one of them is the holder.
    ExclusiveAccessRegistrants = 6,
    /// Only those registered write; all of them are holders.
    WriteExclusiveAll = 7,
    /// Only those registered read and write; all of them are holders.
    ExclusiveAccessAll = 8,
}

impl ReservationType {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::WriteExclusive,
        Self::ExclusiveAccess,
        Self::WriteExclusiveRegistrants,
        Self::ExclusiveAccessRegistrants,
        Self::WriteExclusiveAll,
        Self::ExclusiveAccessAll,
    ];

    /// The type with this code, if it is assigned.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::WriteExclusive,
            3 => Self::ExclusiveAccess,
            5 => Self::WriteExclusiveRegistrants,
            6 => Self::ExclusiveAccessRegistrants,
            7 => Self::WriteExclusiveAll,
            8 => Self::ExclusiveAccessAll,
            _ => return None,
        })
    }

    /// What SPC calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WriteExclusive => "write exclusive",
            Self::ExclusiveAccess => "exclusive access",
            Self::WriteExclusiveRegistrants => "write exclusive, registrants only",
            Self::ExclusiveAccessRegistrants => "exclusive access, registrants only",
            Self::WriteExclusiveAll => "write exclusive, all registrants",
            Self::ExclusiveAccessAll => "exclusive access, all registrants",
        }
    }
}

impl fmt::Display for ReservationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What PERSISTENT RESERVE OUT does. The scope is always the logical unit, the only one that is not obsolete.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReserveOutAction {
    /// REGISTER: the new key is the service action key, 0 unregisters.
    Register,
    /// RESERVE.
    Reserve(ReservationType),
    /// RELEASE.
    Release(ReservationType),
    /// CLEAR: the reservation and all registrations.
    Clear,
    /// PREEMPT the registrations that have the service action key.
    Preempt(ReservationType),
    /// PREEMPT AND ABORT: also their commands.
    PreemptAndAbort(ReservationType),
    /// REGISTER AND IGNORE EXISTING KEY.
    RegisterAndIgnore,
    /// REGISTER AND MOVE: its list is a [`MoveList`].
    RegisterAndMove,
}

/// PERSISTENT RESERVE OUT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReserveOut {
    /// What is to be done.
    pub action: ReserveOutAction,
    /// Bytes of the parameter list.
    pub length: u32,
}

impl ReserveOut {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (_, scope_type, (), length) = cdb.fields(|input| (be_u8, be_u8, skip::<2>, be_u32).parse(input))?;
        let action = match cdb.service_action() {
            0 => ReserveOutAction::Register,
            1 => ReserveOutAction::Reserve(unit_type(scope_type)?),
            2 => ReserveOutAction::Release(unit_type(scope_type)?),
            3 => ReserveOutAction::Clear,
            4 => ReserveOutAction::Preempt(unit_type(scope_type)?),
            5 => ReserveOutAction::PreemptAndAbort(unit_type(scope_type)?),
            6 => ReserveOutAction::RegisterAndIgnore,
            7 => ReserveOutAction::RegisterAndMove,
            _ => return Err(CdbError::SERVICE_ACTION),
        };
        Ok(Self { action, length })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let (action, kind) = match self.action {
            ReserveOutAction::Register => (0, 0),
            ReserveOutAction::Reserve(kind) => (1, kind as u8),
            ReserveOutAction::Release(kind) => (2, kind as u8),
            ReserveOutAction::Clear => (3, 0),
            ReserveOutAction::Preempt(kind) => (4, kind as u8),
            ReserveOutAction::PreemptAndAbort(kind) => (5, kind as u8),
            ReserveOutAction::RegisterAndIgnore => (6, 0),
            ReserveOutAction::RegisterAndMove => (7, 0),
        };
        Cdb::new(0x5f).byte(1, action).byte(2, kind).word(5, self.length)
    }
}

/// The type of a reservation of the logical unit.
fn unit_type(scope_type: u8) -> Result<ReservationType, CdbError> {
    match scope_type >> 4 {
        0 => ReservationType::from_code(scope_type & 0x0f).ok_or(CdbError::Field { byte: 2, bit: Some(3) }),
        _ => Err(CdbError::Field { byte: 2, bit: Some(7) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_commands_have_their_bytes() {
        let kind = ReservationType::ExclusiveAccessAll;
        let out = |action| Command::ReserveOut(ReserveOut { action, length: 0x18 });
        let read = |action| Command::ReserveIn(ReserveIn { action, allocation: 0x0102 });
        for (command, bytes) in [
            (read(ReserveInAction::Keys), "5e 00 00 00 00 00 00 01 02 00"),
            (read(ReserveInAction::Reservation), "5e 01 00 00 00 00 00 01 02 00"),
            (read(ReserveInAction::Capabilities), "5e 02 00 00 00 00 00 01 02 00"),
            (read(ReserveInAction::FullStatus), "5e 03 00 00 00 00 00 01 02 00"),
            (out(ReserveOutAction::Register), "5f 00 00 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::Reserve(kind)), "5f 01 08 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::Release(kind)), "5f 02 08 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::Clear), "5f 03 00 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::Preempt(kind)), "5f 04 08 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::PreemptAndAbort(kind)), "5f 05 08 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::RegisterAndIgnore), "5f 06 00 00 00 00 00 00 18 00"),
            (out(ReserveOutAction::RegisterAndMove), "5f 07 00 00 00 00 00 00 18 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
    }

    #[test]
    fn unknown_actions_scopes_and_types_are_refused() {
        let parse = |opcode, action, scope_type| Command::parse(&[opcode, action, scope_type, 0, 0, 0, 0, 0, 24, 0]);
        let field = |byte, bit| Err(CdbError::Field { byte, bit: Some(bit) });
        assert_eq!(parse(0x5e, 4, 0), field(1, 4));
        assert_eq!(parse(0x5f, 8, 0), field(1, 4));
        assert_eq!(parse(0x5f, 1, 0x13), field(2, 7));
        for kind in 0..16 {
            let known = ReservationType::ALL.iter().any(|known| *known as u8 == kind);
            assert_eq!(ReservationType::from_code(kind).map(|found| found as u8), known.then_some(kind));
            assert_eq!(parse(0x5f, 1, kind).is_ok(), known, "{kind}");
        }
        assert_eq!(parse(0x5f, 4, 2), field(2, 3));
        assert!(parse(0x5f, 0, 0xff).is_ok(), "scope and type mean nothing in REGISTER");
    }
}
