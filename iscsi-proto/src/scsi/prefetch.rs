//! PRE-FETCH (SBC-4): blocks that are going to be read.
//!
//! ```text
//! byte 1   . . . . . . IMMED .    length 0 reaches to the end
//! ```
//!
//! Address, length and group are where READ of the same form has them. Status is CONDITION MET where all blocks fit the
//! cache, and GOOD where they do not.

use super::transfer::Place;
use super::wire::bit;
use super::{Cdb, CdbError, Form, Transfer};

const IMMED: u8 = 0x02;

/// PRE-FETCH.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PreFetch {
    /// First logical block.
    pub lba: u64,
    /// How many blocks; 0 reaches to the end of the medium.
    pub blocks: u32,
    /// IMMED bit: status comes before the blocks are in the cache.
    pub immediate: bool,
    /// Group number, 0 to 63.
    pub group: u8,
    /// [`Form::Ten`] or [`Form::Sixteen`]; others give way to the latter, as does one that is too small.
    pub form: Form,
}

impl PreFetch {
    /// `blocks` from `lba` on; 0 reaches to the end of the medium.
    pub const fn new(lba: u64, blocks: u32) -> Self {
        Self { lba, blocks, immediate: false, group: 0, form: Transfer::new(lba, blocks).form }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let Place { form, lba, blocks, flags, group } = Place::parse(cdb)?;
        Ok(Self { lba, blocks, immediate: flags & IMMED != 0, group, form })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let flags = bit(self.immediate, IMMED);
        let form = match self.form {
            Form::Ten => Form::Ten,
            _ => Form::Sixteen,
        };
        Place { form, lba: self.lba, blocks: self.blocks, flags, group: self.group }.encode(0x34, 0x90)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_forms_have_their_bytes() {
        let ten = PreFetch { immediate: true, group: 3, ..PreFetch::new(0x0102, 8) };
        for (command, bytes) in [
            (ten, "34 02 00 00 01 02 03 00 08 00"),
            (PreFetch { form: Form::Six, ..ten }, "90 02 00 00 00 00 00 00 01 02 00 00 00 08 03 00"),
            (PreFetch::new(1 << 32, 0), "90 00 00 00 00 01 00 00 00 00 00 00 00 00 00 00"),
        ] {
            assert_eq!(Command::PreFetch(command).encode().to_string(), bytes);
        }
    }

    proptest! {
        #[test]
        fn it_round_trips(lba: u64, blocks: u32, shift in 0..33u32, immediate: bool, group in 0..64u8) {
            let command = PreFetch { immediate, group, ..PreFetch::new(lba >> shift, blocks >> (shift / 2)) };
            prop_assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::PreFetch(command)));
        }
    }
}
