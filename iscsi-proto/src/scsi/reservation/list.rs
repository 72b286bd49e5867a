//! The parameter lists of PERSISTENT RESERVE OUT.
//!
//! ```text
//! basic   0 .. 7 key   8 .. 15 service action key   20 . . . . SPEC_I_PT ALL_TG_PT . APTPL
//!         24 .. 27 length of the TransportIDs, if SPEC_I_PT   28 .. TransportIDs
//! move    0 .. 7 key   8 .. 15 service action key   17 . . . . . . UNREG APTPL   18 .. 19 port
//!         20 .. 23 length of the TransportID   24 .. TransportID
//! ```

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::TransportId;
use crate::scsi::DataError;
use crate::scsi::wire::{bit, list, read, skip};

const LIST: &str = "the PERSISTENT RESERVE OUT parameter list";
const MOVE: &str = "the REGISTER AND MOVE parameter list";
const SPEC_I_PT: u8 = 0x08;
const ALL_TG_PT: u8 = 0x04;
const APTPL: u8 = 0x01;
const UNREG: u8 = 0x02;

/// The list of all actions but REGISTER AND MOVE.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ReserveOutList {
    /// The key that the initiator is registered with, 0 if it is not.
    pub key: u64,
    /// The new key, or the key of those that are preempted.
    pub action_key: u64,
    /// ALL_TG_PT bit: on all target ports.
    pub all_ports: bool,
    /// APTPL bit: to survive a loss of power.
    pub persist: bool,
    /// Further initiator ports to register (SPEC_I_PT).
    pub initiators: Vec<TransportId>,
}

impl ReserveOutList {
    /// Bytes of a list that names no initiator ports.
    pub const LEN: usize = 24;

    /// Parses the list, which must have neither too few nor too many bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (key, action_key, (), flags, ())) =
            read(LIST, bytes, |input| (be_u64, be_u64, skip::<4>, be_u8, skip::<3>).parse(input))?;
        let initiators = match (flags & SPEC_I_PT, rest) {
            (0, []) => Vec::new(),
            (0, _) => return Err(DataError::Truncated { what: LIST }),
            _ => transport_ids(rest)?,
        };
        Ok(Self { key, action_key, all_ports: flags & ALL_TG_PT != 0, persist: flags & APTPL != 0, initiators })
    }

    /// The list.
    pub fn encode(&self) -> Vec<u8> {
        let flags =
            bit(!self.initiators.is_empty(), SPEC_I_PT) | bit(self.all_ports, ALL_TG_PT) | bit(self.persist, APTPL);
        let mut out = Vec::with_capacity(Self::LEN);
        out.extend_from_slice(&self.key.to_be_bytes());
        out.extend_from_slice(&self.action_key.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, flags, 0, 0, 0]);
        if !self.initiators.is_empty() {
            let ids: Vec<u8> = self.initiators.iter().flat_map(TransportId::encode).collect();
            out.extend_from_slice(&(ids.len() as u32).to_be_bytes());
            out.extend_from_slice(&ids);
        }
        out
    }
}

/// All TransportIDs behind their length.
fn transport_ids(bytes: &[u8]) -> Result<Vec<TransportId>, DataError> {
    let (rest, len) = read(LIST, bytes, be_u32)?;
    if rest.len() != len as usize {
        return Err(DataError::Truncated { what: LIST });
    }
    match list(rest, TransportId::read) {
        ([], ids) => Ok(ids),
        _ => Err(DataError::Invalid { what: LIST, field: "TRANSPORTID PARAMETER DATA LENGTH", value: len.into() }),
    }
}

/// The list of REGISTER AND MOVE.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MoveList {
    /// The key that the initiator is registered with.
    pub key: u64,
    /// The key that the new holder is registered with.
    pub action_key: u64,
    /// UNREG bit: the initiator is unregistered.
    pub unregister: bool,
    /// APTPL bit: to survive a loss of power.
    pub persist: bool,
    /// Relative number of the target port that the new holder uses.
    pub port: u16,
    /// The new holder.
    pub initiator: TransportId,
}

impl MoveList {
    /// Parses the list, which must have neither too few nor too many bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (key, action_key, (), flags, port, len)) =
            read(MOVE, bytes, |input| (be_u64, be_u64, skip::<1>, be_u8, be_u16, be_u32).parse(input))?;
        let (rest, id) = read(MOVE, rest, take(len))?;
        if !rest.is_empty() {
            return Err(DataError::Truncated { what: MOVE });
        }
        let Ok(([], initiator)) = TransportId::read(id) else {
            return Err(DataError::Invalid {
                what: MOVE,
                field: "TRANSPORTID PARAMETER DATA LENGTH",
                value: len.into(),
            });
        };
        let (unregister, persist) = (flags & UNREG != 0, flags & APTPL != 0);
        Ok(Self { key, action_key, unregister, persist, port, initiator })
    }

    /// The list.
    pub fn encode(&self) -> Vec<u8> {
        let id = self.initiator.encode();
        let mut out = Vec::with_capacity(24 + id.len());
        out.extend_from_slice(&self.key.to_be_bytes());
        out.extend_from_slice(&self.action_key.to_be_bytes());
        out.extend_from_slice(&[0, bit(self.unregister, UNREG) | bit(self.persist, APTPL)]);
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&(id.len() as u32).to_be_bytes());
        out.extend_from_slice(&id);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_basic_list_parses_and_builds() {
        let list = ReserveOutList { key: 0x0102, action_key: 3, persist: true, ..ReserveOutList::default() };
        let bytes = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(list.encode(), bytes);
        assert_eq!(ReserveOutList::parse(&bytes), Ok(list));
        let length = Err(DataError::Truncated { what: LIST });
        assert_eq!(ReserveOutList::parse(&bytes[..23]), length);
        assert_eq!(ReserveOutList::parse(&[&bytes[..], &[0]].concat()), length);
    }

    #[test]
    fn initiator_ports_follow_if_they_are_announced() {
        let ids = vec![TransportId::Other(vec![6; 24]), TransportId::Named { name: "iqn.x:y".into(), port: None }];
        let list = ReserveOutList { all_ports: true, initiators: ids, ..ReserveOutList::default() };
        let bytes = list.encode();
        assert_eq!((bytes.len(), &bytes[20..28]), (76, &[0x0c, 0, 0, 0, 0, 0, 0, 48][..]));
        assert_eq!(ReserveOutList::parse(&bytes), Ok(list));
        assert_eq!(ReserveOutList::parse(&bytes[..75]), Err(DataError::Truncated { what: LIST }));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(ReserveOutList::parse(&longer), Err(DataError::Truncated { what: LIST }));
        let mut half = bytes[..40].to_vec();
        half[27] = 12;
        assert!(matches!(ReserveOutList::parse(&half), Err(DataError::Invalid { value: 12, .. })));
    }

    #[test]
    fn the_move_list_parses_and_builds() {
        let list = MoveList {
            key: 1,
            action_key: 2,
            unregister: true,
            persist: false,
            port: 0x0304,
            initiator: TransportId::Other(vec![6; 24]),
        };
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 3, 4, 0, 0, 0, 24];
        bytes.extend([6; 24]);
        assert_eq!(list.encode(), bytes);
        assert_eq!(MoveList::parse(&bytes), Ok(list));
        for len in [0, 23, 24, 47] {
            assert_eq!(MoveList::parse(&bytes[..len]), Err(DataError::Truncated { what: MOVE }), "{len}");
        }
        bytes.push(0);
        assert_eq!(MoveList::parse(&bytes), Err(DataError::Truncated { what: MOVE }));
        bytes[23] = 25;
        assert!(matches!(MoveList::parse(&bytes), Err(DataError::Invalid { value: 25, .. })));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(head in prop::collection::vec(any::<u8>(), 20..28), ids in 0..4u8) {
            let ids = [6; 24].repeat(ids.into());
            let lists = [
                head.clone(),
                [&head[..20], &[8, 0, 0, 0], &(ids.len() as u32).to_be_bytes(), &ids].concat(),
                [&head[..20], &(ids.len() as u32).to_be_bytes(), &ids].concat(),
            ];
            for bytes in lists {
                if let Ok(list) = ReserveOutList::parse(&bytes) {
                    prop_assert_eq!(ReserveOutList::parse(&list.encode()), Ok(list));
                }
                if let Ok(list) = MoveList::parse(&bytes) {
                    prop_assert_eq!(MoveList::parse(&list.encode()), Ok(list));
                }
            }
        }

        #[test]
        fn r301_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (ReserveOutList::parse(&bytes), MoveList::parse(&bytes));
        }
    }
}
