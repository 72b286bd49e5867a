//! Sense data (SPC-5).
//!
//! ```text
//! fixed        0      VALID(1) 70 or 71(7)       descriptor   0      72 or 73(7)
//!              2      FILEMARK EOM ILI . key(4)               1      key(4)
//!              3 .. 6 information                             2, 3   ASC, ASCQ
//!              7      additional length                       7      additional length
//!              8 .. 11 command specific                       8 ..   descriptors: type, length, body
//!              12, 13 ASC, ASCQ   14 FRU
//!              15 .. 17 sense key specific
//! ```

use std::fmt;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;

use super::asc;
use super::wire::{bit, padded, upto};
use super::{DataError, SenseKey};

const WHAT: &str = "sense data";
const VALID: u8 = 0x80;
const ILI: u8 = 0x20;
const SKSV: u8 = 0x80;
const IN_CDB: u8 = 0x40;
const BIT_VALID: u8 = 0x08;

/// What went wrong, as a device server says it.
///
/// Equal to another only if all details are; compare [`Sense::code`] to ask for one condition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sense {
    /// The kind of condition.
    pub key: SenseKey,
    /// Additional sense code.
    pub asc: u8,
    /// Additional sense code qualifier.
    pub ascq: u8,
    /// An earlier command is meant, not the one that this came with.
    pub deferred: bool,
    /// A block of another length than the expected one (ILI bit).
    pub wrong_length: bool,
    /// INFORMATION: the first block that failed, or the offset of a miscompare.
    pub information: Option<u64>,
    /// COMMAND-SPECIFIC INFORMATION; zero counts as absent in the fixed format, which cannot tell.
    pub command_specific: Option<u64>,
    /// Field replaceable unit, 0 if none is named.
    pub unit: u8,
    /// What the sense key specific bytes say.
    pub specific: Option<Specific>,
}

/// The sense key specific bytes, which mean what the sense key makes of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Specific {
    /// ILLEGAL REQUEST: the field that was refused.
    Field(FieldPointer),
    /// HARDWARE ERROR, MEDIUM ERROR, RECOVERED ERROR: how often it was tried.
    Retries(u16),
    /// NO SENSE, NOT READY: how far an operation is, in 65536ths.
    Progress(u16),
    /// Other keys: the three bytes as they are, the valid bit included.
    Other([u8; 3]),
}

/// The field of a CDB or of a parameter list that a device server refuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FieldPointer {
    /// In the CDB, not in the parameter list.
    pub in_cdb: bool,
    /// First byte of the field.
    pub byte: u16,
    /// Leftmost bit of the field, 0 to 7, if it is told.
    pub bit: Option<u8>,
}

impl Sense {
    /// 05/20/00: the operation code is not supported.
    pub const INVALID_OPCODE: Self = Self::new(SenseKey::IllegalRequest, 0x20, 0x00);
    /// 05/24/00: a field of the CDB is not acceptable.
    pub const INVALID_FIELD: Self = Self::new(SenseKey::IllegalRequest, 0x24, 0x00);
    /// 05/26/00: a field of the parameter list is not acceptable.
    pub const INVALID_PARAMETER: Self = Self::new(SenseKey::IllegalRequest, 0x26, 0x00);
    /// 05/1A/00: the parameter list ends inside a field.
    pub const PARAMETER_LIST_LENGTH: Self = Self::new(SenseKey::IllegalRequest, 0x1a, 0x00);
    /// 05/21/00: blocks past the end.
    pub const LBA_OUT_OF_RANGE: Self = Self::new(SenseKey::IllegalRequest, 0x21, 0x00);
    /// 05/25/00: there is no such logical unit.
    pub const UNIT_NOT_SUPPORTED: Self = Self::new(SenseKey::IllegalRequest, 0x25, 0x00);
    /// 07/27/00: the logical unit is write protected.
    pub const WRITE_PROTECTED: Self = Self::new(SenseKey::DataProtect, 0x27, 0x00);
    /// 07/27/07: a thin logical unit has run out of space.
    pub const SPACE_ALLOCATION_FAILED: Self = Self::new(SenseKey::DataProtect, 0x27, 0x07);
    /// 0E/1D/00: the compare step of a command found a difference.
    pub const MISCOMPARE: Self = Self::new(SenseKey::Miscompare, 0x1d, 0x00);
    /// 03/11/00: blocks that cannot be read.
    pub const READ_ERROR: Self = Self::new(SenseKey::MediumError, 0x11, 0x00);
    /// 03/0C/00: blocks that cannot be written.
    pub const WRITE_ERROR: Self = Self::new(SenseKey::MediumError, 0x0c, 0x00);
    /// 06/29/00: the device was reset or switched on.
    pub const POWER_ON: Self = Self::new(SenseKey::UnitAttention, 0x29, 0x00);

    /// Sense without details.
    pub const fn new(key: SenseKey, asc: u8, ascq: u8) -> Self {
        Self {
            key,
            asc,
            ascq,
            deferred: false,
            wrong_length: false,
            information: None,
            command_specific: None,
            unit: 0,
            specific: None,
        }
    }

    /// This sense with INFORMATION, for example the first block that failed.
    #[must_use]
    pub const fn with_information(mut self, information: u64) -> Self {
        self.information = Some(information);
        self
    }

    /// This sense, pointing to a field of the CDB.
    #[must_use]
    pub const fn with_cdb_pointer(mut self, byte: u16, bit: Option<u8>) -> Self {
        self.specific = Some(Specific::Field(FieldPointer { in_cdb: true, byte, bit }));
        self
    }

    /// This sense, pointing to a field of the parameter list.
    #[must_use]
    pub const fn with_list_pointer(mut self, byte: u16, bit: Option<u8>) -> Self {
        self.specific = Some(Specific::Field(FieldPointer { in_cdb: false, byte, bit }));
        self
    }

    /// Key, ASC and ASCQ: enough to ask for one condition.
    pub const fn code(&self) -> (SenseKey, u8, u8) {
        (self.key, self.asc, self.ascq)
    }

    /// What T10 calls the condition.
    pub fn text(&self) -> String {
        asc::text(self.asc, self.ascq)
    }

    /// Parses sense data in either format. What lies behind the end of `bytes` counts as absent.
    ///
    /// Data that ends before the sense key, and response codes other than 70h to 73h, are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let code = bytes.first().map(|byte| byte & 0x7f).ok_or(DataError::Truncated { what: WHAT })?;
        let sense = match code {
            0x70 | 0x71 => Self::parse_fixed(bytes),
            0x72 | 0x73 => Self::parse_descriptors(bytes),
            other => {
                return Err(DataError::Invalid { what: WHAT, field: "RESPONSE CODE", value: other.into() });
            }
        };
        Ok(Self { deferred: code & 1 == 1, ..sense.ok_or(DataError::Truncated { what: WHAT })? })
    }

    fn parse_fixed(bytes: &[u8]) -> Option<Self> {
        let flags = *bytes.get(2)?;
        let len = bytes.get(7).map_or(8, |additional| 8 + usize::from(*additional));
        let [valid, _, _, i0, i1, i2, i3, _, c0, c1, c2, c3, asc, ascq, unit, s0, s1, s2] = padded(upto(bytes, len));
        let key = SenseKey::from_bits(flags);
        let command_specific = u32::from_be_bytes([c0, c1, c2, c3]);
        Some(Self {
            wrong_length: flags & ILI != 0,
            information: (valid & VALID != 0).then_some(u32::from_be_bytes([i0, i1, i2, i3]).into()),
            command_specific: (command_specific != 0).then_some(command_specific.into()),
            unit,
            specific: Specific::from_bytes(key, [s0, s1, s2]),
            ..Self::new(key, asc, ascq)
        })
    }

    fn parse_descriptors(bytes: &[u8]) -> Option<Self> {
        let key = SenseKey::from_bits(*bytes.get(1)?);
        let [_, _, asc, ascq] = padded(bytes);
        let mut sense = Self::new(key, asc, ascq);
        let len = bytes.get(7).copied().unwrap_or_default();
        let mut rest = upto(bytes.get(8..).unwrap_or_default(), len.into());
        while let Some((kind, body, next)) = descriptor(rest) {
            sense.take_descriptor(kind, body);
            rest = next;
        }
        Some(sense)
    }

    /// Takes over what a descriptor says. Kinds that are not known are stepped over.
    fn take_descriptor(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (0, [valid, _, value @ ..]) if valid & VALID != 0 => self.information = long(value),
            (1, [_, _, value @ ..]) => self.command_specific = long(value),
            (2, [_, _, a, b, c, ..]) => self.specific = Specific::from_bytes(self.key, [*a, *b, *c]),
            (3, [_, unit, ..]) => self.unit = *unit,
            (5, [_, flags, ..]) => self.wrong_length = flags & ILI != 0,
            _ => {}
        }
    }

    /// Sense data in the fixed format. INFORMATION above 32 bits does not fit it and is left out.
    pub fn to_fixed(&self) -> [u8; 18] {
        let information = self.information.and_then(|value| u32::try_from(value).ok());
        let [i0, i1, i2, i3] = information.unwrap_or_default().to_be_bytes();
        let [c0, c1, c2, c3] = self.command_specific.map_or(0, |value| value as u32).to_be_bytes();
        let [s0, s1, s2] = self.specific.map_or([0; 3], Specific::to_bytes);
        let code = 0x70 | u8::from(self.deferred) | bit(information.is_some(), VALID);
        let key = self.key as u8 | bit(self.wrong_length, ILI);
        [code, 0, key, i0, i1, i2, i3, 10, c0, c1, c2, c3, self.asc, self.ascq, self.unit, s0, s1, s2]
    }

    /// Sense data in the descriptor format, with a descriptor for each detail that is present.
    pub fn to_descriptors(&self) -> Vec<u8> {
        let code = 0x72 | u8::from(self.deferred);
        let mut out = vec![code, self.key as u8, self.asc, self.ascq, 0, 0, 0, 0];
        if let Some(information) = self.information {
            out.extend_from_slice(&[0, 10, VALID, 0]);
            out.extend_from_slice(&information.to_be_bytes());
        }
        if let Some(value) = self.command_specific {
            out.extend_from_slice(&[1, 10, 0, 0]);
            out.extend_from_slice(&value.to_be_bytes());
        }
        if let Some([a, b, c]) = self.specific.map(Specific::to_bytes) {
            out.extend_from_slice(&[2, 6, 0, 0, a, b, c, 0]);
        }
        if self.unit != 0 {
            out.extend_from_slice(&[3, 2, 0, self.unit]);
        }
        if self.wrong_length {
            out.extend_from_slice(&[5, 2, 0, ILI]);
        }
        let additional = out.len().saturating_sub(8) as u8;
        if let Some(len) = out.get_mut(7) {
            *len = additional;
        }
        out
    }
}

/// Type and body of the first descriptor, and what follows it. One that is cut short ends the list.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (rest, (kind, len)) = (be_u8::<_, nom::error::Error<&[u8]>>, be_u8).parse(bytes).ok()?;
    let (rest, body) = take::<_, _, nom::error::Error<&[u8]>>(len)(rest).ok()?;
    Some((kind, body, rest))
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().copied().map(u64::from_be_bytes)
}

impl Specific {
    fn from_bytes(key: SenseKey, bytes: [u8; 3]) -> Option<Self> {
        let [flags, high, low] = bytes;
        let value = u16::from_be_bytes([high, low]);
        (flags & SKSV != 0).then_some(match key {
            SenseKey::IllegalRequest => Self::Field(FieldPointer {
                in_cdb: flags & IN_CDB != 0,
                byte: value,
                bit: (flags & BIT_VALID != 0).then_some(flags & 7),
            }),
            SenseKey::HardwareError | SenseKey::MediumError | SenseKey::RecoveredError => Self::Retries(value),
            SenseKey::NoSense | SenseKey::NotReady => Self::Progress(value),
            _ => Self::Other(bytes),
        })
    }

    fn to_bytes(self) -> [u8; 3] {
        let (flags, value) = match self {
            Self::Field(FieldPointer { in_cdb, byte, bit: place }) => {
                (bit(in_cdb, IN_CDB) | place.map_or(0, |place| BIT_VALID | (place & 7)), byte)
            }
            Self::Retries(value) | Self::Progress(value) => (0, value),
            Self::Other([flags, high, low]) => (flags, u16::from_be_bytes([high, low])),
        };
        let [high, low] = value.to_be_bytes();
        [SKSV | flags, high, low]
    }
}

impl fmt::Display for Sense {
    /// For example `ILLEGAL REQUEST: logical block address out of range (05/21/00)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, asc, ascq, .. } = self;
        write!(f, "{key}: {} ({:02X}/{asc:02X}/{ascq:02X})", self.text(), *key as u8)?;
        match self.specific {
            Some(Specific::Field(pointer)) => write!(f, ", {pointer}"),
            Some(Specific::Progress(done)) => write!(f, ", {} % done", u32::from(done) * 100 / 65536),
            _ => Ok(()),
        }?;
        match self.information {
            Some(information) => write!(f, ", information {information:#x}"),
            None => Ok(()),
        }?;
        f.write_str(if self.deferred { ", deferred" } else { "" })
    }
}

impl fmt::Display for FieldPointer {
    /// For example `byte 2 bit 4 of the CDB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.byte)?;
        if let Some(bit) = self.bit {
            write!(f, " bit {bit}")?;
        }
        f.write_str(if self.in_cdb { " of the CDB" } else { " of the parameter list" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIXED: [u8; 18] = [0xf0, 0, 0x05, 0, 0, 0x12, 0x34, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcd, 0, 2];

    fn full() -> Sense {
        Sense::INVALID_FIELD.with_information(0x1234).with_cdb_pointer(2, Some(5))
    }

    /// R-211
    #[test]
    fn r211_fixed_sense_parses_and_builds() {
        assert_eq!(Sense::parse(&FIXED), Ok(full()));
        assert_eq!(full().to_fixed(), FIXED);
        let deferred = Sense { deferred: true, ..full() };
        assert_eq!(Sense::parse(&deferred.to_fixed()), Ok(deferred));
    }

    /// R-211
    #[test]
    fn r211_descriptor_sense_parses_and_builds() {
        let bytes = [
            0x72, 5, 0x24, 0, 0, 0, 0, 20, // header
            0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, // information
            2, 6, 0, 0, 0xcd, 0, 2, 0, // field pointer
        ];
        assert_eq!(Sense::parse(&bytes), Ok(full()));
        assert_eq!(full().to_descriptors(), bytes);
    }

    /// R-211: sense of any length says what it can.
    #[test]
    fn r211_fields_behind_the_end_are_absent() {
        for len in 0..FIXED.len() {
            let parsed = Sense::parse(&FIXED[..len]);
            if len < 3 {
                assert_eq!(parsed, Err(DataError::Truncated { what: WHAT }), "{len}");
                continue;
            }
            let sense = parsed.unwrap();
            assert_eq!((sense.key, sense.asc), (SenseKey::IllegalRequest, if len > 12 { 0x24 } else { 0 }), "{len}");
            assert_eq!(sense.specific.is_some(), len > 15, "{len}");
        }
    }

    /// R-211: the additional length bounds the fields as the end of the data does.
    #[test]
    fn r211_fields_behind_the_additional_length_are_absent() {
        let mut bytes = FIXED;
        bytes[7] = 6;
        let sense = Sense::parse(&bytes).unwrap();
        assert_eq!((sense.asc, sense.ascq, sense.specific), (0x24, 0, None));
    }

    /// R-211: neither a descriptor without a body nor one past the end stops or misleads the parser.
    #[test]
    fn r211_broken_descriptors_are_stepped_over() {
        let read = |tail: &[u8]| {
            let head = [0x72, 3, 0x11, 0, 0, 0, 0, tail.len() as u8];
            Sense::parse(&[&head, tail].concat()).unwrap()
        };
        let information = [0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(read(&[]), Sense::READ_ERROR);
        assert_eq!(read(&[0, 0, 0, 0, 0x80, 0]), Sense::READ_ERROR);
        assert_eq!(read(&information[..11]), Sense::READ_ERROR);
        assert_eq!(read(&[&[9, 0, 0x0a, 2, 1, 1][..], &information].concat()), Sense::READ_ERROR.with_information(7));
        let mut invalid = information;
        invalid[2] = 0;
        assert_eq!(read(&invalid), Sense::READ_ERROR);
        let mut short = [&[0x72, 3, 0x11, 0, 0, 0, 0, 12], &information[..]].concat();
        short[7] = 11;
        assert_eq!(Sense::parse(&short), Ok(Sense::READ_ERROR));
    }

    #[test]
    fn other_response_codes_are_errors() {
        for code in [0, 0x6f, 0x74, 0x7f, 0xff] {
            assert!(matches!(Sense::parse(&[code; 18]), Err(DataError::Invalid { .. })), "{code:#x}");
        }
    }

    #[test]
    fn sense_reads_as_a_sentence() {
        let not_ready = Sense::new(SenseKey::NotReady, 0x04, 0x04);
        for (sense, text) in [
            (Sense::LBA_OUT_OF_RANGE, "ILLEGAL REQUEST: logical block address out of range (05/21/00)"),
            (full(), "ILLEGAL REQUEST: invalid field in CDB (05/24/00), byte 2 bit 5 of the CDB, information 0x1234"),
            (
                Sense::INVALID_PARAMETER.with_list_pointer(4, None),
                "ILLEGAL REQUEST: invalid field in parameter list (05/26/00), byte 4 of the parameter list",
            ),
            (
                Sense { specific: Some(Specific::Progress(0x8000)), ..not_ready },
                "NOT READY: logical unit not ready, format in progress (02/04/04), 50 % done",
            ),
            (Sense { deferred: true, ..Sense::WRITE_ERROR }, "MEDIUM ERROR: write error (03/0C/00), deferred"),
        ] {
            assert_eq!(sense.to_string(), text);
        }
    }

    fn sense() -> impl Strategy<Value = Sense> {
        (0..16u8, any::<(u8, u8, bool, bool, Option<u64>, Option<u64>, u8)>(), any::<Option<[u8; 3]>>()).prop_map(
            |(key, (asc, ascq, deferred, wrong_length, information, command_specific, unit), specific)| {
                let key = SenseKey::from_bits(key);
                let mut sense = Sense::new(key, asc, ascq);
                sense.specific = specific.and_then(|[a, b, c]| Specific::from_bytes(key, [a | SKSV, b, c]));
                Sense { deferred, wrong_length, information, command_specific, unit, ..sense }
            },
        )
    }

    proptest! {
        #[test]
        fn r211_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), code in 0x70..0x74u8) {
            let _ = Sense::parse(&bytes);
            if let Some(rest) = bytes.get(1..)
                && let Ok(sense) = Sense::parse(&[&[code], rest].concat())
            {
                prop_assert!(sense.to_string().len() < 300);
            }
        }

        #[test]
        fn descriptor_sense_round_trips(sense in sense()) {
            prop_assert_eq!(Sense::parse(&sense.to_descriptors()), Ok(sense));
        }

        #[test]
        fn fixed_sense_round_trips_where_the_numbers_fit(sense in sense()) {
            let small = Sense {
                information: sense.information.map(|value| value >> 32),
                command_specific: sense.command_specific.map(|value| (value >> 32) | 1),
                ..sense
            };
            prop_assert_eq!(Sense::parse(&small.to_fixed()), Ok(small));
            let lost = Sense { information: Some(1 << 32), ..small };
            prop_assert_eq!(Sense::parse(&lost.to_fixed()).unwrap().information, None);
        }
    }
}
