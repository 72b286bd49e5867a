//! What PERSISTENT RESERVE IN returns.
//!
//! ```text
//! keys          0 .. 3 generation   4 .. 7 length   8 .. keys of 8 bytes
//! reservation   0 .. 3 generation   4 .. 7 length   8 .. 15 key   21 scope(4) type(4)
//! capabilities  0 .. 1 length   2 RLR_C . . CRH SIP_C ATP_C . PTPL_C   3 TMV ALLOW(3) . . . PTPL_A   4 .. 5 type mask
//! full status   0 .. 3 generation   4 .. 7 length   8 .. for each registration:
//!               0 .. 7 key   12 ALL_TG_PT R_HOLDER   13 scope(4) type(4)   18 .. 19 port
//!               20 .. 23 length   24 .. TransportID
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

use super::{ReservationType, TransportId};
use crate::scsi::DataError;
use crate::scsi::wire::{bit, list, read, skip, upto};

const KEYS: &str = "READ KEYS data";
const RESERVATION: &str = "READ RESERVATION data";
const CAPABILITIES: &str = "REPORT CAPABILITIES data";
const FULL_STATUS: &str = "READ FULL STATUS data";
const TMV: u8 = 0x80;
const ALL_PORTS: u8 = 0x02;
const HOLDER: u8 = 0x01;

/// The registered keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct KeyList {
    /// PRGENERATION, which grows with each change of registrations.
    pub generation: u32,
    /// Those that the data had room for.
    pub keys: Vec<u64>,
    /// Bytes that the whole list has, as the target says; more than 8 for each of `keys` if it was cut.
    pub list_len: u32,
}

impl KeyList {
    /// All keys of a generation.
    pub fn new(generation: u32, keys: Vec<u64>) -> Self {
        let list_len = keys.len() as u32 * 8;
        Self { generation, keys, list_len }
    }

    /// Parses READ KEYS data. A list that is longer than the data is cut, not an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (generation, list_len)) = read(KEYS, bytes, |input| (be_u32, be_u32).parse(input))?;
        let (_, keys) = list(upto(rest, list_len as usize), be_u64);
        Ok(Self { generation, keys, list_len })
    }

    /// Whether the target has more keys than the data had room for.
    pub fn is_cut(&self) -> bool {
        u64::from(self.list_len / 8) > self.keys.len() as u64
    }

    /// The data, with the length that `keys` have. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = header(self.generation, self.keys.len() * 8);
        for key in &self.keys {
            out.extend_from_slice(&key.to_be_bytes());
        }
        out
    }
}

/// Who holds the reservation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ReservationReport {
    /// PRGENERATION.
    pub generation: u32,
    /// Key of the holder, 0 where all registrants are, and what is reserved; none if there is no reservation.
    pub holder: Option<(u64, ReservationType)>,
}

impl ReservationReport {
    /// Parses READ RESERVATION data. A type that is not assigned is an error, for it may exclude the reader.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (generation, len)) = read(RESERVATION, bytes, |input| (be_u32, be_u32).parse(input))?;
        if len == 0 {
            return Ok(Self { generation, holder: None });
        }
        let rest = upto(rest, len as usize);
        let (_, (key, (), scope_type)) = read(RESERVATION, rest, |input| (be_u64, skip::<5>, be_u8).parse(input))?;
        Ok(Self { generation, holder: Some((key, held(RESERVATION, scope_type)?)) })
    }

    /// The data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = header(self.generation, if self.holder.is_some() { 16 } else { 0 });
        if let Some((key, kind)) = self.holder {
            out.extend_from_slice(&key.to_be_bytes());
            out.extend_from_slice(&[0, 0, 0, 0, 0, kind as u8, 0, 0]);
        }
        out
    }
}

/// What a device server supports of reservations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ReserveCapabilities {
    /// RLR_C bit: REPLACE LOST RESERVATION.
    pub replace_lost: bool,
    /// CRH bit: RESERVE and RELEASE work beside registrations.
    pub compatible: bool,
    /// SIP_C bit: initiator ports can be named (SPEC_I_PT).
    pub specify_ports: bool,
    /// ATP_C bit: all target ports can be meant (ALL_TG_PT).
    pub all_ports: bool,
    /// PTPL_C bit: reservations can survive a loss of power.
    pub persist: bool,
    /// ALLOW COMMANDS, 0 to 7.
    pub allow: u8,
    /// PTPL_A bit: they do so now.
    pub persist_active: bool,
    /// The type mask, where the code of a type is the bit in it that counts from the lowest one of the first byte,
    /// and on into the second; `None` if the device does not tell.
    pub types: Option<u16>,
}

impl ReserveCapabilities {
    /// Whether a type is supported, if the device tells.
    pub fn supports(&self, kind: ReservationType) -> Option<bool> {
        self.types.map(|mask| mask & Self::mask(kind) != 0)
    }

    /// The bit of a type in [`ReserveCapabilities::types`].
    pub const fn mask(kind: ReservationType) -> u16 {
        match kind as u8 {
            code @ 0..8 => 1 << (8 + code),
            code => 1 << (code - 8),
        }
    }

    /// Parses REPORT CAPABILITIES data.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (_, (_, flags, more, types)) =
            read(CAPABILITIES, bytes, |input| (be_u16, be_u8, be_u8, be_u16).parse(input))?;
        Ok(Self {
            replace_lost: flags & 0x80 != 0,
            compatible: flags & 0x10 != 0,
            specify_ports: flags & 0x08 != 0,
            all_ports: flags & 0x04 != 0,
            persist: flags & 0x01 != 0,
            allow: more >> 4 & 7,
            persist_active: more & 0x01 != 0,
            types: (more & TMV != 0).then_some(types),
        })
    }

    /// The data.
    pub fn encode(&self) -> [u8; 8] {
        let flags = bit(self.replace_lost, 0x80)
            | bit(self.compatible, 0x10)
            | bit(self.specify_ports, 0x08)
            | bit(self.all_ports, 0x04)
            | bit(self.persist, 0x01);
        let more = bit(self.types.is_some(), TMV) | (self.allow & 7) << 4 | bit(self.persist_active, 0x01);
        let [first, second] = self.types.unwrap_or(0).to_be_bytes();
        [0, 8, flags, more, first, second, 0, 0]
    }
}

/// One registration.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Registrant {
    /// Its key.
    pub key: u64,
    /// What it holds, if it is a holder.
    pub holds: Option<ReservationType>,
    /// Relative number of the target port; `None` if the registration is for all of them.
    pub port: Option<u16>,
    /// The initiator port.
    pub initiator: TransportId,
}

/// Every registration.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RegistrantList {
    /// PRGENERATION.
    pub generation: u32,
    /// Those that the data had room for.
    pub registrants: Vec<Registrant>,
    /// Whether the list ended before its length was used up.
    pub cut: bool,
}

impl RegistrantList {
    /// Parses READ FULL STATUS data. A registration that is cut short ends the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (generation, len)) = read(FULL_STATUS, bytes, |input| (be_u32, be_u32).parse(input))?;
        let (unread, raw) = list(upto(rest, len as usize), registration);
        let cut = !unread.is_empty() || rest.len() < len as usize;
        let registrants = raw.into_iter().map(Registration::check).collect::<Result<_, _>>()?;
        Ok(Self { generation, registrants, cut })
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let mut list = Vec::new();
        for registrant in &self.registrants {
            registrant.encode_to(&mut list);
        }
        let mut out = header(self.generation, list.len());
        out.extend_from_slice(&list);
        out
    }
}

impl Registrant {
    fn encode_to(&self, out: &mut Vec<u8>) {
        let initiator = self.initiator.encode();
        let flags = bit(self.port.is_none(), ALL_PORTS) | bit(self.holds.is_some(), HOLDER);
        out.extend_from_slice(&self.key.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, flags, self.holds.map_or(0, |kind| kind as u8), 0, 0, 0, 0]);
        out.extend_from_slice(&self.port.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&(initiator.len() as u32).to_be_bytes());
        out.extend_from_slice(&initiator);
    }
}

/// A registration as it stands there.
struct Registration<'a> {
    key: u64,
    flags: u8,
    scope_type: u8,
    port: u16,
    initiator: &'a [u8],
}

fn registration(input: &[u8]) -> IResult<&[u8], Registration<'_>> {
    let (input, (key, (), flags, scope_type, ())) = (be_u64, skip::<4>, be_u8, be_u8, skip::<4>).parse(input)?;
    let (input, (port, len)) = (be_u16, be_u32).parse(input)?;
    let (input, initiator) = take(len)(input)?;
    Ok((input, Registration { key, flags, scope_type, port, initiator }))
}

impl Registration<'_> {
    fn check(self) -> Result<Registrant, DataError> {
        let initiator = match TransportId::read(self.initiator) {
            Ok(([], id)) => id,
            _ => TransportId::Other(self.initiator.to_vec()),
        };
        let holds = match self.flags & HOLDER {
            0 => None,
            _ => Some(held(FULL_STATUS, self.scope_type)?),
        };
        let port = (self.flags & ALL_PORTS == 0).then_some(self.port);
        Ok(Registrant { key: self.key, holds, port, initiator })
    }
}

fn header(generation: u32, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + len);
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&(len as u32).to_be_bytes());
    out
}

fn held(what: &'static str, scope_type: u8) -> Result<ReservationType, DataError> {
    let invalid = DataError::Invalid { what, field: "TYPE", value: (scope_type & 0x0f).into() };
    ReservationType::from_code(scope_type & 0x0f).ok_or(invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_parse_and_build() {
        let list = KeyList::new(7, vec![0x0102, 3]);
        let bytes = [0, 0, 0, 7, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        assert_eq!(list.encode(), bytes);
        assert_eq!(KeyList::parse(&bytes), Ok(list.clone()));
        assert!(!list.is_cut());
        let cut = KeyList::parse(&bytes[..23]).unwrap();
        assert_eq!((cut.is_cut(), &cut.keys[..]), (true, &[0x0102][..]));
        let mut shorter = bytes;
        shorter[7] = 15;
        assert_eq!(KeyList::parse(&shorter).unwrap().keys, [0x0102]);
        assert_eq!(KeyList::parse(&bytes[..7]), Err(DataError::Truncated { what: KEYS }));
    }

    #[test]
    fn the_reservation_parses_and_builds() {
        let none = ReservationReport { generation: 9, holder: None };
        assert_eq!(none.encode(), [0, 0, 0, 9, 0, 0, 0, 0]);
        assert_eq!(ReservationReport::parse(&none.encode()), Ok(none));
        let held = ReservationReport { holder: Some((0x0102, ReservationType::WriteExclusiveRegistrants)), ..none };
        let bytes = [0, 0, 0, 9, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 5, 0, 0];
        assert_eq!(held.encode(), bytes);
        assert_eq!(ReservationReport::parse(&bytes), Ok(held));
        assert_eq!(ReservationReport::parse(&bytes[..21]), Err(DataError::Truncated { what: RESERVATION }));
        let mut unknown = bytes;
        unknown[21] = 2;
        assert!(matches!(ReservationReport::parse(&unknown), Err(DataError::Invalid { value: 2, .. })));
    }

    #[test]
    fn capabilities_parse_and_build() {
        let kinds = [ReservationType::WriteExclusive, ReservationType::ExclusiveAccessAll];
        let capabilities = ReserveCapabilities {
            specify_ports: true,
            all_ports: true,
            persist: true,
            persist_active: true,
            allow: 1,
            types: Some(kinds.into_iter().map(ReserveCapabilities::mask).fold(0, |all, one| all | one)),
            ..ReserveCapabilities::default()
        };
        let bytes = [0, 8, 0x0d, 0x91, 0x02, 0x01, 0, 0];
        assert_eq!(capabilities.encode(), bytes);
        assert_eq!(ReserveCapabilities::parse(&bytes), Ok(capabilities));
        for kind in ReservationType::ALL {
            assert_eq!(capabilities.supports(kind), Some(kinds.contains(&kind)));
            assert_eq!(ReserveCapabilities::default().supports(kind), None);
        }
        let all = ReservationType::ALL.into_iter().map(ReserveCapabilities::mask).fold(0, |all, one| all | one);
        assert_eq!(all, 0xea01, "the mask of SPC-5");
    }

    fn registrants() -> (RegistrantList, Vec<u8>) {
        let list = RegistrantList {
            generation: 2,
            registrants: vec![
                Registrant {
                    key: 0x0102,
                    holds: Some(ReservationType::ExclusiveAccess),
                    port: Some(1),
                    initiator: TransportId::Named { name: "iqn.x:y".into(), port: None },
                },
                Registrant { key: 5, holds: None, port: None, initiator: TransportId::Other(vec![6; 24]) },
            ],
            cut: false,
        };
        let mut bytes = vec![0, 0, 0, 2, 0, 0, 0, 96];
        bytes.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 24]);
        bytes.extend(b"\x05\x00\x00\x14iqn.x:y\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24]);
        bytes.extend([6; 24]);
        (list, bytes)
    }

    #[test]
    fn full_status_parses_and_builds() {
        let (list, bytes) = registrants();
        assert_eq!(list.encode(), bytes);
        assert_eq!(RegistrantList::parse(&bytes), Ok(list.clone()));
        for len in 8..bytes.len() {
            let cut = RegistrantList::parse(&bytes[..len]).unwrap();
            assert!(cut.cut && cut.registrants[..] == list.registrants[..cut.registrants.len()], "{len}");
        }
        let mut shorter = bytes.clone();
        shorter[7] -= 1;
        let cut = RegistrantList::parse(&shorter).unwrap();
        assert_eq!((cut.cut, &cut.registrants[..]), (true, &list.registrants[..1]));
        let mut unknown = bytes;
        unknown[8 + 13] = 9;
        assert!(matches!(RegistrantList::parse(&unknown), Err(DataError::Invalid { value: 9, .. })));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 0..200), short: bool) {
            if let Some(length) = bytes.get_mut(4..7) && short {
                length.fill(0);
            }
            if let Ok(list) = KeyList::parse(&bytes) {
                prop_assert!(list.keys.len() * 8 <= bytes.len());
                let whole = KeyList::new(list.generation, list.keys);
                prop_assert_eq!(KeyList::parse(&whole.encode()), Ok(whole));
            }
            if let Ok(report) = ReservationReport::parse(&bytes) {
                prop_assert_eq!(ReservationReport::parse(&report.encode()), Ok(report));
            }
            if let Ok(capabilities) = ReserveCapabilities::parse(&bytes) {
                prop_assert_eq!(ReserveCapabilities::parse(&capabilities.encode()), Ok(capabilities));
            }
            if let Ok(list) = RegistrantList::parse(&bytes) {
                prop_assert!(list.registrants.len() * 24 <= bytes.len());
                let whole = RegistrantList { cut: false, ..list };
                prop_assert_eq!(RegistrantList::parse(&whole.encode()), Ok(whole));
            }
        }
    }
}
