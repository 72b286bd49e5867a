//! REPORT and SET TARGET PORT GROUPS (SPC-5): which paths to a unit are good.
//!
//! ```text
//! CDB       byte 1   format(3) service action 0Ah(5)    6 .. 9 allocation length
//! data      0 .. 3 length   format 1 only: 4 . format 1(3) . . . .   5 implicit transition time   8 .. groups
//! group     0 PREF . . . state(4)   1 supported states   2 .. 3 group   5 status   6 vendor   7 port count
//!           8 .. for each port: 2 .. 3 relative number
//! ```

mod set;

pub use set::{GroupState, SetPortGroups, SetPortList};

use std::fmt;

use nom::multi::count;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser};

use super::wire::{bit, list, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const WHAT: &str = "REPORT TARGET PORT GROUPS data";
const ACTION: u8 = 0x0a;
const PREF: u8 = 0x80;
const EXTENDED: u8 = 0x10;
const FORMAT: u8 = 0x70;

/// REPORT TARGET PORT GROUPS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReportPortGroups {
    /// Format 1 is asked for: with the time that an implicit transition takes.
    pub extended: bool,
    /// Bytes there is room for.
    pub allocation: u32,
}

impl ReportPortGroups {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (format, (), allocation) = cdb.fields(|input| (be_u8, skip::<4>, be_u32).parse(input))?;
        match format >> 5 {
            0 => Ok(Self { extended: false, allocation }),
            1 => Ok(Self { extended: true, allocation }),
            _ => Err(CdbError::Field { byte: 1, bit: Some(7) }),
        }
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0xa3).byte(1, bit(self.extended, 0x20) | ACTION).word(6, self.allocation)
    }
}

/// How well a port group reaches the unit (ASYMMETRIC ACCESS STATE).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum AccessState {
    /// At full speed.
    #[default]
    Optimized,
    /// Slower.
    NonOptimized,
    /// Only commands that ask or change the state.
    Standby,
    /// Fewer still.
    Unavailable,
    /// It depends on the block.
    LbaDependent,
    /// Not at all.
    Offline,
    /// On the way to another state.
    Transitioning,
    /// A reserved code, 5 to 13.
    Reserved(u8),
}

impl AccessState {
    const fn from_code(code: u8) -> Self {
        match code {
            0x0 => Self::Optimized,
            0x1 => Self::NonOptimized,
            0x2 => Self::Standby,
            0x3 => Self::Unavailable,
            0x4 => Self::LbaDependent,
            0xe => Self::Offline,
            0xf => Self::Transitioning,
            other => Self::Reserved(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Optimized => 0x0,
            Self::NonOptimized => 0x1,
            Self::Standby => 0x2,
            Self::Unavailable => 0x3,
            Self::LbaDependent => 0x4,
            Self::Offline => 0xe,
            Self::Transitioning => 0xf,
            Self::Reserved(code) => code,
        }
    }
}

impl fmt::Display for AccessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Optimized => "active/optimized",
            Self::NonOptimized => "active/non-optimized",
            Self::Standby => "standby",
            Self::Unavailable => "unavailable",
            Self::LbaDependent => "logical block dependent",
            Self::Offline => "offline",
            Self::Transitioning => "transitioning",
            Self::Reserved(code) => return write!(f, "access state {code:#x}"),
        })
    }
}

/// One group of target ports, all in the same state.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PortGroup {
    /// Its number, which is also in page 83h of the paths through it.
    pub group: u16,
    /// Its state.
    pub state: AccessState,
    /// PREF bit: the path to prefer among equals.
    pub preferred: bool,
    /// Which states it can be in: bit 0 optimized, 1 non-optimized, 2 standby, 3 unavailable, 4 logical block dependent,
    /// 6 offline, 7 transitioning.
    pub supported: u8,
    /// STATUS CODE, 0 to 2: what changed the state; 1 a command, 2 the device itself.
    pub status: u8,
    /// What the vendor made of it.
    pub vendor: u8,
    /// Relative numbers of its ports; at most 255.
    pub ports: Vec<u16>,
}

/// The port groups of a unit.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PortGroups {
    /// Seconds that an implicit transition takes, in format 1; 0 if not told.
    pub transition_time: Option<u8>,
    /// Those that the data had room for.
    pub groups: Vec<PortGroup>,
    /// Bytes that the whole data has, as the target says.
    pub data_len: u64,
}

impl PortGroups {
    /// Parses the data in either format, which it tells itself. A group that is cut short ends the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, len) = read(WHAT, bytes, be_u32)?;
        let rest = upto(rest, len as usize);
        let (rest, transition_time) = match rest {
            [head, time, _, _, groups @ ..] if head & FORMAT == EXTENDED => (groups, Some(*time)),
            _ => (rest, None),
        };
        let (_, groups) = list(rest, group);
        Ok(Self { transition_time, groups, data_len: u64::from(len) + 4 })
    }

    /// The group with this number.
    pub fn find(&self, number: u16) -> Option<&PortGroup> {
        self.groups.iter().find(|group| group.group == number)
    }

    /// The data, with the length that `groups` have. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        if let Some(time) = self.transition_time {
            out.extend_from_slice(&[EXTENDED, time, 0, 0]);
        }
        for group in &self.groups {
            group.encode_to(&mut out);
        }
        let len = out.len().saturating_sub(4) as u32;
        if let Some(field) = out.first_chunk_mut() {
            *field = len.to_be_bytes();
        }
        out
    }
}

impl PortGroup {
    fn encode_to(&self, out: &mut Vec<u8>) {
        let ports = self.ports.get(..u8::MAX.into()).unwrap_or(&self.ports);
        let [high, low] = self.group.to_be_bytes();
        let state = bit(self.preferred, PREF) | (self.state.code() & 0x0f);
        out.extend_from_slice(&[state, self.supported, high, low, 0, self.status, self.vendor, ports.len() as u8]);
        for port in ports {
            out.extend_from_slice(&u32::from(*port).to_be_bytes());
        }
    }
}

fn group(input: &[u8]) -> IResult<&[u8], PortGroup> {
    let (input, (state, supported, group, ())) = (be_u8, be_u8, be_u16, skip::<1>).parse(input)?;
    let (input, (status, vendor, ports)) = (be_u8, be_u8, be_u8).parse(input)?;
    let (input, ports) = count((skip::<2>, be_u16).map(|((), port)| port), ports.into()).parse(input)?;
    let preferred = state & PREF != 0;
    let state = AccessState::from_code(state & 0x0f);
    Ok((input, PortGroup { group, state, preferred, supported, status, vendor, ports }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_command_has_its_bytes() {
        for (extended, bytes) in
            [(false, "a3 0a 00 00 00 00 00 00 01 02 00 00"), (true, "a3 2a 00 00 00 00 00 00 01 02 00 00")]
        {
            let command = Command::ReportPortGroups(ReportPortGroups { extended, allocation: 0x0102 });
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
        let refused = Command::parse(&[0xa3, 0x4a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(refused, Err(CdbError::Field { byte: 1, bit: Some(7) }));
        let refused = Command::parse(&[0xa3, 0x05, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(refused, Err(CdbError::Field { byte: 1, bit: Some(4) }));
    }

    #[test]
    fn both_formats_parse_and_build() {
        let group = PortGroup {
            group: 0x0102,
            state: AccessState::NonOptimized,
            preferred: true,
            supported: 0xdf,
            status: 2,
            vendor: 9,
            ports: vec![1, 0x0203],
        };
        let body = [0x81, 0xdf, 1, 2, 0, 2, 9, 2, 0, 0, 0, 1, 0, 0, 2, 3];
        let plain = [&[0, 0, 0, 16][..], &body].concat();
        let extended = [&[0, 0, 0, 20, 0x10, 60, 0, 0][..], &body].concat();
        for (bytes, transition_time) in [(plain, None), (extended, Some(60))] {
            let data_len = bytes.len() as u64;
            let groups = PortGroups { transition_time, groups: vec![group.clone()], data_len };
            assert_eq!(groups.encode(), bytes);
            assert_eq!(PortGroups::parse(&bytes), Ok(groups.clone()));
            assert_eq!((groups.find(0x0102), groups.find(1)), (Some(&group), None));
            for len in 4..bytes.len() {
                assert_eq!(PortGroups::parse(&bytes[..len]).unwrap().groups, [], "{len}");
            }
            let mut shorter = bytes;
            shorter[3] -= 1;
            assert_eq!(PortGroups::parse(&shorter).unwrap().groups, []);
        }
        assert_eq!(PortGroups::parse(&[0; 3]), Err(DataError::Truncated { what: WHAT }));
    }

    #[test]
    fn every_state_has_its_code_and_name() {
        for code in 0..16 {
            assert_eq!(AccessState::from_code(code).code(), code);
        }
        assert_eq!(AccessState::from_code(0xe).to_string(), "offline");
        assert_eq!(AccessState::from_code(5).to_string(), "access state 0x5");
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 0..300), short: bool) {
            if let Some(length) = bytes.get_mut(..2) && short {
                length.fill(0);
            }
            if let Ok(found) = PortGroups::parse(&bytes) {
                let ports: usize = found.groups.iter().map(|group| group.ports.len()).sum();
                prop_assert!(found.groups.len() * 8 + ports * 4 <= bytes.len());
                let data_len = found.encode().len() as u64;
                let whole = PortGroups { data_len, ..found };
                prop_assert_eq!(PortGroups::parse(&whole.encode()), Ok(whole));
            }
        }
    }
}
