//! ```text
//! CDB    byte 1 service action 0Ah   6 .. 9 parameter list length
//! list   4 .. for each group: 0 . . . . state(4)   2 .. 3 group
//! ```

use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser};

use super::AccessState;
use crate::scsi::wire::{list, read, skip};
use crate::scsi::{Cdb, CdbError, DataError};

const WHAT: &str = "the SET TARGET PORT GROUPS parameter list";
const ACTION: u8 = 0x0a;
const HEADER_LEN: usize = 4;

/// SET TARGET PORT GROUPS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SetPortGroups {
    /// Bytes of the parameter list; 0 changes nothing.
    pub length: u32,
}

impl SetPortGroups {
    /// The command that goes with a parameter list.
    pub fn new(list: &SetPortList) -> Self {
        Self { length: (HEADER_LEN + list.0.len() * 4) as u32 }
    }

    pub(in crate::scsi) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        if cdb.service_action() != ACTION {
            return Err(CdbError::SERVICE_ACTION);
        }
        cdb.fields(|input| (skip::<5>, be_u32).parse(input)).map(|((), length)| Self { length })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0xa4).byte(1, ACTION).word(6, self.length)
    }
}

/// The state that a target port group is to take.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupState {
    /// Number of the group.
    pub group: u16,
    /// Its new state. [`AccessState::Transitioning`] asks for any change that the device likes.
    pub state: AccessState,
}

/// The parameter list of SET TARGET PORT GROUPS. Groups that are not in it may change as well.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SetPortList(pub Vec<GroupState>);

impl SetPortList {
    /// Parses the list, which must end with a whole descriptor.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, ()) = read(WHAT, bytes, skip::<HEADER_LEN>)?;
        match list(rest, group_state) {
            ([], groups) => Ok(Self(groups)),
            _ => Err(DataError::Truncated { what: WHAT }),
        }
    }

    /// The list.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_LEN];
        for GroupState { group, state } in &self.0 {
            let [high, low] = group.to_be_bytes();
            out.extend_from_slice(&[state.code() & 0x0f, 0, high, low]);
        }
        out
    }
}

fn group_state(input: &[u8]) -> IResult<&[u8], GroupState> {
    let (input, (state, (), group)) = (be_u8, skip::<1>, be_u16).parse(input)?;
    Ok((input, GroupState { group, state: AccessState::from_code(state & 0x0f) }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn command_and_list_have_their_bytes() {
        let groups = [(1, AccessState::Optimized), (0x0102, AccessState::Standby)];
        let list = SetPortList(groups.map(|(group, state)| GroupState { group, state }).to_vec());
        let bytes = [0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 2];
        assert_eq!(list.encode(), bytes);
        assert_eq!(SetPortList::parse(&bytes), Ok(list.clone()));
        let command = Command::SetPortGroups(SetPortGroups::new(&list));
        assert_eq!(command.encode().to_string(), "a4 0a 00 00 00 00 00 00 00 0c 00 00");
        assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        for len in [0, 3, 5, 11] {
            assert_eq!(SetPortList::parse(&bytes[..len]), Err(DataError::Truncated { what: WHAT }), "{len}");
        }
        assert_eq!(SetPortList::parse(&bytes[..4]), Ok(SetPortList::default()));
        let other = Command::parse(&[0xa4, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(other, Err(CdbError::SERVICE_ACTION));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(list) = SetPortList::parse(&bytes) {
                prop_assert_eq!(list.0.len() * 4 + 4, bytes.len());
                prop_assert_eq!(SetPortList::parse(&list.encode()), Ok(list));
            }
        }
    }
}
