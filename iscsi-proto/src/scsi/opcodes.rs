//! REPORT SUPPORTED OPERATION CODES (SPC-5): which commands a unit takes.
//!
//! ```text
//! CDB       byte 1 service action 0Ch   2 RCTD . . . . options(3)   3 opcode   4 .. 5 service action   6 .. 9 allocation
//! all       0 .. 3 length   4 .. for each: 0 opcode   2 .. 3 service action   5 CTDP(2) SERVACTV(1)   6 .. 7 CDB length
//!           and 12 bytes of timeouts, if CTDP
//! one       1 CTDP . . . . support(3)   2 .. 3 CDB length   4 .. usage map, and 12 bytes of timeouts, if CTDP
//! timeouts  0 .. 1 length 10   3 specific   4 .. 7 nominal   8 .. 11 recommended
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser};

use super::wire::{bit, list, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const ALL: &str = "the list of operation codes";
const ONE: &str = "the report on an operation code";
const RCTD: u8 = 0x80;
const CTDP: u8 = 0x02;
const SERVACTV: u8 = 0x01;
const ONE_CTDP: u8 = 0x80;

/// Which commands are asked about (REPORTING OPTIONS).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpcodeQuery {
    /// 0: all; the answer is an [`OpcodeList`], in all other cases an [`OpcodeReport`].
    All,
    /// 1: this operation code, which has no service actions.
    Opcode(u8),
    /// 2: this service action of this operation code.
    Action(u8, u16),
    /// 3: this operation code, with this service action if it has such.
    Either(u8, u16),
}

/// REPORT SUPPORTED OPERATION CODES.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReportOpcodes {
    /// Which ones.
    pub query: OpcodeQuery,
    /// RCTD bit: with timeouts.
    pub timeouts: bool,
    /// Bytes there is room for.
    pub allocation: u32,
}

impl ReportOpcodes {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), options, opcode, action, allocation) =
            cdb.fields(|input| (skip::<1>, be_u8, be_u8, be_u16, be_u32).parse(input))?;
        let query = match options & 7 {
            0 => OpcodeQuery::All,
            1 => OpcodeQuery::Opcode(opcode),
            2 => OpcodeQuery::Action(opcode, action),
            3 => OpcodeQuery::Either(opcode, action),
            _ => return Err(CdbError::Field { byte: 2, bit: Some(2) }),
        };
        Ok(Self { query, timeouts: options & RCTD != 0, allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let (options, opcode, action) = match self.query {
            OpcodeQuery::All => (0, 0, 0),
            OpcodeQuery::Opcode(opcode) => (1, opcode, 0),
            OpcodeQuery::Action(opcode, action) => (2, opcode, action),
            OpcodeQuery::Either(opcode, action) => (3, opcode, action),
        };
        let options = options | bit(self.timeouts, RCTD);
        Cdb::new(0xa3).byte(1, 0x0c).byte(2, options).byte(3, opcode).half(4, action).word(6, self.allocation)
    }
}

/// How long a command may take. In seconds; 0 means that it is not told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Timeouts {
    /// What the command makes of it.
    pub specific: u8,
    /// Usual time.
    pub nominal: u32,
    /// When to give up.
    pub recommended: u32,
}

/// A command that is supported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OpcodeEntry {
    /// Operation code.
    pub opcode: u8,
    /// Service action, if the operation code has such.
    pub action: Option<u16>,
    /// Bytes of its CDB.
    pub cdb_len: u16,
    /// How long it may take, if told.
    pub timeouts: Option<Timeouts>,
}

/// All commands that are supported.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct OpcodeList {
    /// Those that the data had room for.
    pub commands: Vec<OpcodeEntry>,
    /// Bytes that the whole data has, as the target says.
    pub data_len: u64,
}

impl OpcodeList {
    /// All of `commands`.
    pub fn new(commands: Vec<OpcodeEntry>) -> Self {
        let len = |entry: &OpcodeEntry| if entry.timeouts.is_some() { 20 } else { 8 };
        let data_len = commands.iter().map(len).sum::<u64>() + 4;
        Self { commands, data_len }
    }

    /// Whether a command is in the list.
    pub fn contains(&self, opcode: u8, action: Option<u16>) -> bool {
        self.commands.iter().any(|entry| entry.opcode == opcode && entry.action == action)
    }

    /// Parses the answer to [`OpcodeQuery::All`]. A command that is cut short ends the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, len) = read(ALL, bytes, be_u32)?;
        let (_, commands) = list(upto(rest, len as usize), entry);
        Ok(Self { commands, data_len: u64::from(len) + 4 })
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        for entry in &self.commands {
            entry.encode_to(&mut out);
        }
        let len = out.len().saturating_sub(4) as u32;
        if let Some(field) = out.first_chunk_mut() {
            *field = len.to_be_bytes();
        }
        out
    }
}

impl OpcodeEntry {
    fn encode_to(&self, out: &mut Vec<u8>) {
        let [high, low] = self.action.unwrap_or(0).to_be_bytes();
        let flags = bit(self.timeouts.is_some(), CTDP) | bit(self.action.is_some(), SERVACTV);
        let [len_high, len_low] = self.cdb_len.to_be_bytes();
        out.extend_from_slice(&[self.opcode, 0, high, low, 0, flags, len_high, len_low]);
        if let Some(timeouts) = self.timeouts {
            timeouts.encode_to(out);
        }
    }
}

/// Whether a command is supported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Support {
    /// The device cannot tell now.
    Unknown = 0,
    /// Not supported.
    No = 1,
    /// As a standard says.
    Standard = 3,
    /// In the way of the vendor.
    Vendor = 5,
}

impl Support {
    /// Whether the command can be sent.
    pub const fn is_supported(self) -> bool {
        matches!(self, Self::Standard | Self::Vendor)
    }
}

/// What is said of one command.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OpcodeReport {
    /// Whether it is supported.
    pub support: Support,
    /// Its CDB with a one for each bit that counts, the operation code first; empty if it is not supported.
    pub usage: Vec<u8>,
    /// How long it may take, if told.
    pub timeouts: Option<Timeouts>,
}

impl OpcodeReport {
    /// Parses the answer to all but [`OpcodeQuery::All`]. Usage map and timeouts may be cut short.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (_, flags, len)) = read(ONE, bytes, |input| (be_u8, be_u8, be_u16).parse(input))?;
        let support = match flags & 7 {
            0 => Support::Unknown,
            1 => Support::No,
            3 => Support::Standard,
            5 => Support::Vendor,
            other => return Err(DataError::Invalid { what: ONE, field: "SUPPORT", value: other.into() }),
        };
        let usage = upto(rest, if support.is_supported() { len.into() } else { 0 });
        let timeouts = rest.get(usage.len()..).filter(|_| flags & ONE_CTDP != 0).and_then(|rest| timeouts(rest).ok());
        Ok(Self { support, usage: usage.to_vec(), timeouts: timeouts.map(|(_, timeouts)| timeouts) })
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let usage = upto(&self.usage, if self.support.is_supported() { u16::MAX.into() } else { 0 });
        let [high, low] = (usage.len() as u16).to_be_bytes();
        let mut out = vec![0, bit(self.timeouts.is_some(), ONE_CTDP) | self.support as u8, high, low];
        out.extend_from_slice(usage);
        if let Some(timeouts) = self.timeouts {
            timeouts.encode_to(&mut out);
        }
        out
    }
}

fn entry(input: &[u8]) -> IResult<&[u8], OpcodeEntry> {
    let (input, (opcode, (), action, (), flags, cdb_len)) =
        (be_u8, skip::<1>, be_u16, skip::<1>, be_u8, be_u16).parse(input)?;
    let (input, timeouts) = match flags & CTDP {
        0 => (input, None),
        _ => timeouts.map(Some).parse(input)?,
    };
    Ok((input, OpcodeEntry { opcode, action: (flags & SERVACTV != 0).then_some(action), cdb_len, timeouts }))
}

fn timeouts(input: &[u8]) -> IResult<&[u8], Timeouts> {
    let (input, len) = be_u16(input)?;
    let (rest, body) = take(len)(input)?;
    let (_, ((), specific, nominal, recommended)) = (skip::<1>, be_u8, be_u32, be_u32).parse(body)?;
    Ok((rest, Timeouts { specific, nominal, recommended }))
}

impl Timeouts {
    fn encode_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0, 10, 0, self.specific]);
        out.extend_from_slice(&self.nominal.to_be_bytes());
        out.extend_from_slice(&self.recommended.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_command_has_its_bytes() {
        for (query, timeouts, bytes) in [
            (OpcodeQuery::All, true, "a3 0c 80 00 00 00 00 00 10 00 00 00"),
            (OpcodeQuery::Opcode(0x42), false, "a3 0c 01 42 00 00 00 00 10 00 00 00"),
            (OpcodeQuery::Action(0x9e, 0x12), false, "a3 0c 02 9e 00 12 00 00 10 00 00 00"),
            (OpcodeQuery::Either(0x9e, 0x12), false, "a3 0c 03 9e 00 12 00 00 10 00 00 00"),
        ] {
            let command = Command::ReportOpcodes(ReportOpcodes { query, timeouts, allocation: 0x1000 });
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
        for options in 4..8 {
            let refused = Command::parse(&[0xa3, 0x0c, options, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
            assert_eq!(refused, Err(CdbError::Field { byte: 2, bit: Some(2) }));
        }
    }

    const TIMEOUTS: Timeouts = Timeouts { specific: 1, nominal: 2, recommended: 0x0304 };

    #[test]
    fn the_list_parses_and_builds() {
        let list = OpcodeList::new(vec![
            OpcodeEntry { opcode: 0x12, action: None, cdb_len: 6, timeouts: None },
            OpcodeEntry { opcode: 0x9e, action: Some(0x10), cdb_len: 16, timeouts: Some(TIMEOUTS) },
        ]);
        let bytes = [
            0, 0, 0, 28, //
            0x12, 0, 0, 0, 0, 0, 0, 6, //
            0x9e, 0, 0, 0x10, 0, 3, 0, 16, 0, 10, 0, 1, 0, 0, 0, 2, 0, 0, 3, 4,
        ];
        assert_eq!((list.encode(), list.data_len), (bytes.to_vec(), 32));
        assert_eq!(OpcodeList::parse(&bytes), Ok(list.clone()));
        assert!(list.contains(0x9e, Some(0x10)) && !list.contains(0x9e, None) && !list.contains(0x12, Some(0)));
        for len in 12..bytes.len() {
            assert_eq!(OpcodeList::parse(&bytes[..len]).unwrap().commands, list.commands[..1], "{len}");
        }
        let mut shorter = bytes;
        shorter[3] = 27;
        assert_eq!(OpcodeList::parse(&shorter).unwrap().commands, list.commands[..1]);
        assert_eq!(OpcodeList::parse(&bytes[..3]), Err(DataError::Truncated { what: ALL }));
    }

    #[test]
    fn the_report_parses_and_builds() {
        let report = OpcodeReport {
            support: Support::Standard,
            usage: vec![0x12, 1, 0xff, 0xff, 0xff, 0],
            timeouts: Some(TIMEOUTS),
        };
        let bytes = [0, 0x83, 0, 6, 0x12, 1, 0xff, 0xff, 0xff, 0, 0, 10, 0, 1, 0, 0, 0, 2, 0, 0, 3, 4];
        assert_eq!(report.encode(), bytes);
        assert_eq!(OpcodeReport::parse(&bytes), Ok(report.clone()));
        let cut = OpcodeReport::parse(&bytes[..7]).unwrap();
        assert_eq!((cut.usage, cut.timeouts), (vec![0x12, 1, 0xff], None));
        assert_eq!(OpcodeReport::parse(&bytes[..21]).unwrap().timeouts, None);
        let no = OpcodeReport { support: Support::No, usage: vec![], timeouts: None };
        assert_eq!(no.encode(), [0, 1, 0, 0]);
        assert_eq!(OpcodeReport::parse(&[0, 1, 0, 6, 1, 2, 3, 4, 5, 6]), Ok(no));
        for support in [2, 4, 6, 7] {
            assert!(OpcodeReport::parse(&[0, support, 0, 0]).is_err());
        }
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 0..200), short: bool) {
            if let Some(length) = bytes.get_mut(..3) && short {
                length.fill(0);
            }
            if let Ok(list) = OpcodeList::parse(&bytes) {
                prop_assert!(list.commands.len() * 8 <= bytes.len());
                let whole = OpcodeList::new(list.commands);
                prop_assert_eq!(OpcodeList::parse(&whole.encode()), Ok(whole));
            }
            if let Ok(report) = OpcodeReport::parse(&bytes) {
                prop_assert!(report.usage.len() <= bytes.len());
                prop_assert_eq!(OpcodeReport::parse(&report.encode()), Ok(report));
            }
        }

        #[test]
        fn every_list_round_trips(
            entries in prop::collection::vec(any::<(u8, Option<u16>, u16, Option<(u8, u32, u32)>)>(), 0..9),
        ) {
            let timeouts = |(specific, nominal, recommended)| Timeouts { specific, nominal, recommended };
            let entry = |(opcode, action, cdb_len, times): (u8, Option<u16>, u16, Option<_>)| {
                OpcodeEntry { opcode, action, cdb_len, timeouts: times.map(timeouts) }
            };
            let list = OpcodeList::new(entries.into_iter().map(entry).collect());
            prop_assert_eq!(list.encode().len() as u64, list.data_len);
            prop_assert_eq!(OpcodeList::parse(&list.encode()), Ok(list));
        }
    }
}
