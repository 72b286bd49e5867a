//! The basic header segment that all PDUs share (RFC 7143, section 11.2.1).
//!
//! ```text
//!  byte 0   . I opcode(6)      I only in requests
//!  byte 1   F …                specific to the opcode
//!  byte 4   TotalAHSLength     in words of 4 bytes
//!  5 ..  7  DataSegmentLength  in bytes, without padding
//!  8 .. 15  LUN                or specific to the opcode
//! 16 .. 19  Initiator Task Tag
//! 20 .. 47  specific to the opcode
//! ```

use nom::number::complete::be_u32;
use nom::{IResult, Parser};

use super::PduError;
use crate::scsi::Lun;
use crate::serial::Serial;
use crate::tags::{Itt, Ttt};

/// Bytes of a basic header segment.
pub const BHS_LEN: usize = 48;
/// The largest DataSegmentLength that its 24-bit field can hold.
pub const MAX_DATA_SEGMENT: u32 = (1 << 24) - 1;

const IMMEDIATE: u8 = 0x40;
const FINAL: u8 = 0x80;

/// What kind of PDU a header announces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // the variants are the names of section 11.2.1.2
pub enum Opcode {
    NopOut = 0x00,
    ScsiCommand = 0x01,
    TaskRequest = 0x02,
    LoginRequest = 0x03,
    TextRequest = 0x04,
    DataOut = 0x05,
    LogoutRequest = 0x06,
    Snack = 0x10,
    NopIn = 0x20,
    ScsiResponse = 0x21,
    TaskResponse = 0x22,
    LoginResponse = 0x23,
    TextResponse = 0x24,
    DataIn = 0x25,
    LogoutResponse = 0x26,
    R2t = 0x31,
    AsyncMessage = 0x32,
    Reject = 0x3f,
}

impl Opcode {
    /// All opcodes of RFC 7143.
    pub const ALL: [Self; 18] = [
        Self::NopOut,
        Self::ScsiCommand,
        Self::TaskRequest,
        Self::LoginRequest,
        Self::TextRequest,
        Self::DataOut,
        Self::LogoutRequest,
        Self::Snack,
        Self::NopIn,
        Self::ScsiResponse,
        Self::TaskResponse,
        Self::LoginResponse,
        Self::TextResponse,
        Self::DataIn,
        Self::LogoutResponse,
        Self::R2t,
        Self::AsyncMessage,
        Self::Reject,
    ];

    /// The opcode with this code (the low six bits of byte 0), if it is assigned.
    #[inline]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x00 => Self::NopOut,
            0x01 => Self::ScsiCommand,
            0x02 => Self::TaskRequest,
            0x03 => Self::LoginRequest,
            0x04 => Self::TextRequest,
            0x05 => Self::DataOut,
            0x06 => Self::LogoutRequest,
            0x10 => Self::Snack,
            0x20 => Self::NopIn,
            0x21 => Self::ScsiResponse,
            0x22 => Self::TaskResponse,
            0x23 => Self::LoginResponse,
            0x24 => Self::TextResponse,
            0x25 => Self::DataIn,
            0x26 => Self::LogoutResponse,
            0x31 => Self::R2t,
            0x32 => Self::AsyncMessage,
            0x3f => Self::Reject,
            _ => return None,
        })
    }

    /// Whether an initiator sends it; the others are a target's.
    #[inline]
    pub const fn is_request(self) -> bool {
        (self as u8) < 0x20
    }
}

/// StatSN, ExpCmdSN and MaxCmdSN: bytes 24 to 35 of every target PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbering {
    /// Status sequence number; whether it is valid or consumed depends on the PDU.
    pub stat_sn: Serial,
    /// The next CmdSN that the target expects.
    pub exp_cmd_sn: Serial,
    /// The last CmdSN that the target accepts now.
    pub max_cmd_sn: Serial,
}

/// A basic header segment as it is on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header(pub [u8; BHS_LEN]);

impl Header {
    /// A header of this opcode with every other byte zero.
    #[inline]
    pub const fn new(opcode: Opcode) -> Self {
        let mut bytes = [0; BHS_LEN];
        bytes[0] = opcode as u8;
        Self(bytes)
    }

    /// The header at the start of `bytes`, if there are enough of them.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk::<BHS_LEN>().copied().map(Self)
    }

    /// The 48 bytes.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; BHS_LEN] {
        &self.0
    }

    /// The opcode, or its unassigned code.
    #[inline]
    pub const fn opcode(&self) -> Result<Opcode, u8> {
        let code = self.0[0] & 0x3f;
        match Opcode::from_code(code) {
            Some(opcode) => Ok(opcode),
            None => Err(code),
        }
    }

    /// Whether the I bit (immediate delivery) is set.
    #[inline]
    pub const fn immediate(&self) -> bool {
        self.0[0] & IMMEDIATE != 0
    }

    /// Byte 1: the F bit and what is specific to the opcode.
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.0[1]
    }

    /// Whether the F bit is set (T in login PDUs).
    #[inline]
    pub const fn is_final(&self) -> bool {
        self.0[1] & FINAL != 0
    }

    /// Bytes of additional header segments that follow.
    #[inline]
    pub const fn ahs_len(&self) -> usize {
        self.0[4] as usize * 4
    }

    /// Bytes of the data segment, without padding.
    #[inline]
    pub const fn data_len(&self) -> u32 {
        u32::from_be_bytes([0, self.0[5], self.0[6], self.0[7]])
    }

    /// Initiator Task Tag.
    #[inline]
    pub const fn itt(&self) -> Itt {
        Itt(self.word(16))
    }

    /// StatSN, ExpCmdSN and MaxCmdSN; meaningful in target PDUs only.
    #[inline]
    pub const fn numbering(&self) -> Numbering {
        Numbering {
            stat_sn: Serial(self.word(24)),
            exp_cmd_sn: Serial(self.word(28)),
            max_cmd_sn: Serial(self.word(32)),
        }
    }

    /// This header with DataSegmentLength set to `len`, of which only the low 24 bits fit.
    #[inline]
    #[must_use]
    pub const fn with_data_len(mut self, len: u32) -> Self {
        debug_assert!(len <= MAX_DATA_SEGMENT);
        [_, self.0[5], self.0[6], self.0[7]] = len.to_be_bytes();
        self
    }

    /// This header with TotalAHSLength set to `len` bytes, rounded up to whole words.
    #[inline]
    #[must_use]
    pub const fn with_ahs_len(mut self, len: usize) -> Self {
        self.0[4] = len.div_ceil(4) as u8;
        self
    }

    /// Refuses data in a PDU that has no data segment.
    #[inline]
    pub(crate) const fn without_data(&self, section: &'static str) -> Result<(), PduError> {
        if self.data_len() == 0 {
            return Ok(());
        }
        Err(PduError::Inconsistent { rule: "this PDU carries no data", section })
    }

    // Offsets are constants of this crate that fit 48 bytes; no value of the wire reaches them.
    #[allow(clippy::indexing_slicing)]
    const fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    /// Runs `parser` over all 48 bytes after the opcode has been checked.
    #[inline]
    pub(crate) fn parse<'a, T>(
        &'a self,
        opcode: Opcode,
        parser: impl FnOnce(&'a [u8]) -> IResult<&'a [u8], T>,
    ) -> Result<T, PduError> {
        match self.opcode() {
            Ok(found) if found == opcode => {}
            found => return Err(PduError::Opcode { expected: opcode, found }),
        }
        parser(&self.0).map(|(_, fields)| fields).map_err(|_| PduError::Truncated)
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Header(")?;
        for (i, byte) in self.0.iter().enumerate() {
            let gap = if i % 4 == 0 && i != 0 { " " } else { "" };
            write!(f, "{gap}{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Fills a header field by field; the mirror of the parsers below.
pub(crate) struct Builder(Header);

impl Builder {
    pub(crate) const fn new(opcode: Opcode, immediate: bool, flags: u8) -> Self {
        let mut header = Header::new(opcode);
        if immediate {
            header.0[0] |= IMMEDIATE;
        }
        header.0[1] = flags;
        Self(header)
    }

    // Offsets are constants of this crate that fit 48 bytes; no value of the wire reaches them.
    #[allow(clippy::indexing_slicing)]
    pub(crate) const fn byte(mut self, at: usize, value: u8) -> Self {
        self.0.0[at] = value;
        self
    }

    // Offsets are constants of this crate that fit 48 bytes; no value of the wire reaches them.
    #[allow(clippy::indexing_slicing)]
    pub(crate) const fn bytes<const N: usize>(mut self, at: usize, value: [u8; N]) -> Self {
        let mut i = 0;
        while i < N {
            self.0.0[at + i] = value[i];
            i += 1;
        }
        self
    }

    pub(crate) const fn half(self, at: usize, value: u16) -> Self {
        self.bytes(at, value.to_be_bytes())
    }

    pub(crate) const fn word(self, at: usize, value: u32) -> Self {
        self.bytes(at, value.to_be_bytes())
    }

    pub(crate) fn lun(self, lun: Lun) -> Self {
        self.bytes(8, lun.to_bytes())
    }

    pub(crate) const fn itt(self, itt: Itt) -> Self {
        self.word(16, itt.0)
    }

    pub(crate) const fn ttt(self, ttt: Ttt) -> Self {
        self.word(20, ttt.0)
    }

    /// CmdSN and ExpStatSN of a request.
    pub(crate) const fn request(self, cmd_sn: Serial, exp_stat_sn: Serial) -> Self {
        self.word(24, cmd_sn.0).word(28, exp_stat_sn.0)
    }

    /// StatSN, ExpCmdSN and MaxCmdSN of a target PDU.
    pub(crate) const fn numbering(self, n: Numbering) -> Self {
        self.word(24, n.stat_sn.0).word(28, n.exp_cmd_sn.0).word(32, n.max_cmd_sn.0)
    }

    pub(crate) const fn build(self) -> Header {
        self.0
    }
}

/// `mask` if `on`.
pub(crate) const fn bit(on: bool, mask: u8) -> u8 {
    if on { mask } else { 0 }
}

pub(crate) fn lun(input: &[u8]) -> IResult<&[u8], Lun> {
    array.map(Lun::from_bytes).parse(input)
}

pub(crate) fn itt(input: &[u8]) -> IResult<&[u8], Itt> {
    be_u32.map(Itt).parse(input)
}

pub(crate) fn ttt(input: &[u8]) -> IResult<&[u8], Ttt> {
    be_u32.map(Ttt).parse(input)
}

pub(crate) fn serial(input: &[u8]) -> IResult<&[u8], Serial> {
    be_u32.map(Serial).parse(input)
}

pub(crate) fn numbering(input: &[u8]) -> IResult<&[u8], Numbering> {
    (serial, serial, serial)
        .map(|(stat_sn, exp_cmd_sn, max_cmd_sn)| Numbering { stat_sn, exp_cmd_sn, max_cmd_sn })
        .parse(input)
}

/// The next `N` bytes.
pub(crate) fn array<const N: usize>(input: &[u8]) -> IResult<&[u8], [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((head, rest)) => Ok((rest, *head)),
        None => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Eof))),
    }
}

/// Steps over `N` bytes.
pub(crate) fn skip<const N: usize>(input: &[u8]) -> IResult<&[u8], ()> {
    array::<N>.map(|_| ()).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-001, R-005
    #[test]
    fn every_assigned_code_maps_to_its_opcode_and_no_other() {
        for code in 0..=0x3f {
            match Opcode::from_code(code) {
                Some(opcode) => assert_eq!(opcode as u8, code),
                None => assert!(Opcode::ALL.iter().all(|o| *o as u8 != code)),
            }
        }
    }

    /// R-001
    #[test]
    fn lengths_are_big_endian_and_sit_in_their_bytes() {
        let header = Header::new(Opcode::DataIn).with_data_len(0x01_0203).with_ahs_len(20);
        assert_eq!(header.as_bytes()[4..8], [5, 1, 2, 3]);
        assert_eq!((header.ahs_len(), header.data_len()), (20, 0x01_0203));
    }
}
