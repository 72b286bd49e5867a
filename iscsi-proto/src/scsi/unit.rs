//! REQUEST SENSE, PREVENT ALLOW MEDIUM REMOVAL (SPC-5) and START STOP UNIT (SBC-4): commands for the unit as a whole.
//!
//! ```text
//! REQUEST SENSE    byte 1   . . . . . . . DESC    4 allocation length
//! START STOP UNIT  byte 1   . . . . . . . IMMED   3 modifier(4)
//!                       4   power condition(4) . NO_FLUSH LOEJ START
//! PREVENT ALLOW    byte 4   . . . . . . prevent(2)
//! ```

use nom::Parser;
use nom::number::complete::be_u8;

use super::wire::{bit, skip};
use super::{Cdb, CdbError};

const DESC: u8 = 0x01;
const IMMED: u8 = 0x01;
const NO_FLUSH: u8 = 0x04;
const LOEJ: u8 = 0x02;
const START: u8 = 0x01;

/// REQUEST SENSE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestSense {
    /// DESC bit: in the descriptor format.
    pub descriptors: bool,
    /// Bytes there is room for.
    pub allocation: u8,
}

impl RequestSense {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, (), allocation) = cdb.fields(|input| (be_u8, skip::<2>, be_u8).parse(input))?;
        Ok(Self { descriptors: flags & DESC != 0, allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x03).byte(1, bit(self.descriptors, DESC)).byte(4, self.allocation)
    }
}

/// START STOP UNIT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct StartStop {
    /// IMMED bit: status comes before the operation has ended.
    pub immediate: bool,
    /// POWER CONDITION, 0 to 15; with 0 the START and LOEJ bits count.
    pub power: u8,
    /// POWER CONDITION MODIFIER, 0 to 15.
    pub modifier: u8,
    /// NO_FLUSH bit: the cache is not written first.
    pub no_flush: bool,
    /// LOEJ bit: load or eject the medium.
    pub load_eject: bool,
    /// START bit: start, else stop.
    pub start: bool,
}

impl StartStop {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, (), modifier, action) = cdb.fields(|input| (be_u8, skip::<1>, be_u8, be_u8).parse(input))?;
        Ok(Self {
            immediate: flags & IMMED != 0,
            power: action >> 4,
            modifier: modifier & 0x0f,
            no_flush: action & NO_FLUSH != 0,
            load_eject: action & LOEJ != 0,
            start: action & START != 0,
        })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let action =
            self.power << 4 | bit(self.no_flush, NO_FLUSH) | bit(self.load_eject, LOEJ) | bit(self.start, START);
        Cdb::new(0x1b).byte(1, bit(self.immediate, IMMED)).byte(3, self.modifier & 0x0f).byte(4, action)
    }
}

/// PREVENT ALLOW MEDIUM REMOVAL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PreventRemoval {
    /// PREVENT, 0 to 3: bit 0 keeps the medium in; bit 1 is obsolete.
    pub prevent: u8,
}

impl PreventRemoval {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        cdb.fields(|input| (skip::<3>, be_u8).parse(input)).map(|((), prevent)| Self { prevent: prevent & 3 })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x1e).byte(4, self.prevent & 3)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_commands_have_their_bytes() {
        let sense = RequestSense { descriptors: true, allocation: 252 };
        assert_eq!(sense.encode().as_bytes(), [3, 1, 0, 0, 252, 0]);
        let stop = StartStop { immediate: true, power: 0xa, modifier: 2, no_flush: true, ..StartStop::default() };
        assert_eq!(stop.encode().as_bytes(), [0x1b, 1, 0, 2, 0xa4, 0]);
        let eject = StartStop { load_eject: true, start: true, ..StartStop::default() };
        assert_eq!(eject.encode().as_bytes(), [0x1b, 0, 0, 0, 3, 0]);
        for prevent in 0..4 {
            let command = PreventRemoval { prevent };
            assert_eq!(command.encode().as_bytes(), [0x1e, 0, 0, 0, prevent, 0]);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::PreventRemoval(command)));
        }
        for (command, opcode) in [(Command::ReserveUnit, 0x16), (Command::ReleaseUnit, 0x17)] {
            assert_eq!(command.encode().as_bytes(), [opcode, 0, 0, 0, 0, 0]);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
    }

    proptest! {
        #[test]
        fn the_commands_round_trip(flags: (bool, bool, bool, bool), power in 0..16u8, modifier in 0..16u8, allocation: u8) {
            let (immediate, no_flush, load_eject, start) = flags;
            let command = StartStop { immediate, power, modifier, no_flush, load_eject, start };
            prop_assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::StartStop(command)));
            let command = RequestSense { descriptors: start, allocation };
            prop_assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::RequestSense(command)));
        }
    }
}
