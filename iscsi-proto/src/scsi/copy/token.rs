//! ```text
//! populate  0 .. 1 length   2 . . . . . . RTV IMMED   4 .. 7 timeout   8 .. 11 token type   14 .. 15 range length
//!           16 .. ranges
//! use       0 .. 1 length   2 . . . . . . DEL_TKN IMMED   8 .. 15 offset   16 .. 527 token   534 .. 535 range length
//!           536 .. ranges
//! range     0 .. 7 LBA   8 .. 11 blocks
//! report    as status (LID4), and behind the sense field: 0 .. 3 length, and for each token 2 .. 513 itself
//! token     0 .. 3 type   6 .. 7 length 1F8h
//! ```

use std::fmt;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::OperationStatus;
use crate::scsi::lba::range;
use crate::scsi::wire::{array, bit, list, read, skip, upto};
use crate::scsi::{DataError, LbaRange};

const POPULATE: &str = "the POPULATE TOKEN parameter list";
const USE: &str = "the WRITE USING TOKEN parameter list";
const REPORT: &str = "ROD TOKEN INFORMATION data";
const RTV: u8 = 0x02;
const DEL_TKN: u8 = 0x02;
const IMMED: u8 = 0x01;
const RANGE_LEN: usize = 16;
/// The most ranges that a list can hold.
const MAX_RANGES: usize = (u16::MAX as usize - 534) / RANGE_LEN;

/// A token that stands for data: who has it may have the data written elsewhere, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RodToken(Box<[u8; Self::LEN]>);

impl RodToken {
    /// Bytes of a token.
    pub const LEN: usize = 512;
    /// Type of the token that stands for zeroes.
    pub const ZEROES: u32 = 0xffff_0001;

    /// The token with these bytes.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self(Box::new(*bytes))
    }

    /// The token that stands for zeroes, as many as are asked for. Nobody has to make it first.
    pub fn zeroes() -> Self {
        let mut bytes = Box::new([0; Self::LEN]);
        let head = [0xff, 0xff, 0x00, 0x01, 0, 0, 0x01, 0xf8];
        for (to, from) in bytes.iter_mut().zip(head) {
            *to = from;
        }
        Self(bytes)
    }

    /// The bytes of the token.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// What kind of token it is.
    pub fn kind(&self) -> u32 {
        self.0.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

impl fmt::Debug for RodToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RodToken(type {:#010x})", self.kind())
    }
}

/// The parameter list of POPULATE TOKEN: what a token is to stand for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PopulateList {
    /// IMMED bit: status comes before the operation has ended.
    pub immediate: bool,
    /// Seconds without use after which the token is forgotten; 0 for the device's own.
    pub timeout: u32,
    /// The type of token that is wanted (RTV), if not the device's own choice.
    pub kind: Option<u32>,
    /// The blocks, in the order in which the token has them; at most 4062 ranges.
    pub ranges: Vec<LbaRange>,
}

impl PopulateList {
    /// Parses the list. Its ranges must all be there.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (_, flags, (), timeout, kind, ())) =
            read(POPULATE, bytes, |input| (be_u16, be_u8, skip::<1>, be_u32, be_u32, skip::<2>).parse(input))?;
        let kind = (flags & RTV != 0).then_some(kind);
        Ok(Self { immediate: flags & IMMED != 0, timeout, kind, ranges: read_ranges(POPULATE, rest)? })
    }

    /// The list. Ranges past the 4062nd are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0, 0, bit(self.kind.is_some(), RTV) | bit(self.immediate, IMMED), 0];
        out.extend_from_slice(&self.timeout.to_be_bytes());
        out.extend_from_slice(&self.kind.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        finish(out, &self.ranges)
    }
}

/// The parameter list of WRITE USING TOKEN: where the data of a token goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UseList {
    /// IMMED bit: status comes before the operation has ended.
    pub immediate: bool,
    /// DEL_TKN bit: the token may be forgotten afterwards.
    pub delete: bool,
    /// Blocks of the token's data that are stepped over.
    pub offset: u64,
    /// The token.
    pub token: RodToken,
    /// The blocks that are written; at most 4062 ranges.
    pub ranges: Vec<LbaRange>,
}

impl UseList {
    /// Parses the list. Its ranges must all be there.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (_, flags, (), offset)) = read(USE, bytes, |input| (be_u16, be_u8, skip::<5>, be_u64).parse(input))?;
        let (rest, (token, ())) = read(USE, rest, |input| (array::<{ RodToken::LEN }>, skip::<6>).parse(input))?;
        let (immediate, delete) = (flags & IMMED != 0, flags & DEL_TKN != 0);
        let ranges = read_ranges(USE, rest)?;
        Ok(Self { immediate, delete, offset, token: RodToken::from_bytes(&token), ranges })
    }

    /// The list. Ranges past the 4062nd are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0, 0, bit(self.delete, DEL_TKN) | bit(self.immediate, IMMED), 0, 0, 0, 0, 0];
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(self.token.as_bytes());
        out.extend_from_slice(&[0; 6]);
        finish(out, &self.ranges)
    }
}

/// What ROD TOKEN INFORMATION reports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenReport {
    /// How far the operation is.
    pub status: OperationStatus,
    /// The tokens that it made; those that the data had room for.
    pub tokens: Vec<RodToken>,
}

impl TokenReport {
    /// Parses the data. Sense data and tokens may be cut short.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, status) = OperationStatus::read(bytes)?;
        if rest.is_empty() {
            return Ok(Self { status, tokens: Vec::new() });
        }
        let (rest, len) = read(REPORT, rest, be_u32)?;
        let (_, tokens) = list(upto(rest, len as usize), |input| {
            (skip::<2>, array::<{ RodToken::LEN }>).map(|((), bytes)| RodToken::from_bytes(&bytes)).parse(input)
        });
        Ok(Self { status, tokens })
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let mut tail = ((self.tokens.len() * (RodToken::LEN + 2)) as u32).to_be_bytes().to_vec();
        for token in &self.tokens {
            tail.extend_from_slice(&[0; 2]);
            tail.extend_from_slice(token.as_bytes());
        }
        self.status.encode_with(&tail)
    }
}

fn read_ranges(what: &'static str, bytes: &[u8]) -> Result<Vec<LbaRange>, DataError> {
    let (rest, len) = read(what, bytes, be_u16)?;
    let (_, ranges) = read(what, rest, take(len))?;
    let (_, ranges) = list(ranges, |input| (range, skip::<4>).map(|(range, ())| range).parse(input));
    Ok(ranges)
}

/// Puts the ranges behind a list, and its length into the first two bytes.
fn finish(mut out: Vec<u8>, ranges: &[LbaRange]) -> Vec<u8> {
    let ranges = ranges.get(..MAX_RANGES).unwrap_or(ranges);
    out.extend_from_slice(&((ranges.len() * RANGE_LEN) as u16).to_be_bytes());
    for range in ranges {
        range.encode_to(&mut out);
        out.extend_from_slice(&[0; 4]);
    }
    let len = out.len().saturating_sub(2) as u16;
    if let Some(field) = out.first_chunk_mut() {
        *field = len.to_be_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: LbaRange = LbaRange { lba: 0x0102, blocks: 3 };
    const RANGE_BYTES: [u8; 16] = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 0];

    #[test]
    fn the_populate_list_parses_and_builds() {
        let list = PopulateList { immediate: true, timeout: 0x0405, kind: Some(0x0080_0000), ranges: vec![RANGE] };
        let bytes = [&[0, 30, 3, 0, 0, 0, 4, 5, 0, 0x80, 0, 0, 0, 0, 0, 16][..], &RANGE_BYTES].concat();
        assert_eq!(list.encode(), bytes);
        assert_eq!(PopulateList::parse(&bytes), Ok(list));
        for len in 0..bytes.len() {
            assert_eq!(PopulateList::parse(&bytes[..len]), Err(DataError::Truncated { what: POPULATE }), "{len}");
        }
    }

    #[test]
    fn the_use_list_parses_and_builds() {
        let token = RodToken::zeroes();
        let list = UseList { immediate: false, delete: true, offset: 9, token, ranges: vec![RANGE] };
        let bytes = list.encode();
        assert_eq!(bytes[..24], [2, 0x26, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0, 1, 0, 0, 1, 0xf8]);
        assert_eq!((bytes.len(), &bytes[534..536], &bytes[536..]), (552, &[0, 16][..], &RANGE_BYTES[..]));
        assert_eq!(UseList::parse(&bytes), Ok(list));
        for len in [0, 16, 535, 536, 551] {
            assert_eq!(UseList::parse(&bytes[..len]), Err(DataError::Truncated { what: USE }), "{len}");
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        let mut bytes = [7; RodToken::LEN];
        bytes[..4].copy_from_slice(&[0, 0x80, 0, 0]);
        let token = RodToken::from_bytes(&bytes);
        assert_eq!(format!("{token:?}"), "RodToken(type 0x00800000)");
        assert_eq!((token.as_bytes(), token.kind()), (&bytes, 0x0080_0000));
        assert_eq!(RodToken::zeroes().kind(), RodToken::ZEROES);
    }

    #[test]
    fn the_report_parses_and_builds() {
        let status = OperationStatus { action: 0x10, status: 1, sense: vec![1, 2], ..OperationStatus::default() };
        let report = TokenReport { status: status.clone(), tokens: vec![RodToken::zeroes()] };
        let bytes = report.encode();
        assert_eq!((bytes.len(), &bytes[..4], &bytes[34..40]), (552, &[0, 0, 2, 0x24][..], &[0, 0, 2, 2, 0, 0][..]));
        assert_eq!(TokenReport::parse(&bytes), Ok(report));
        assert_eq!(TokenReport::parse(&bytes[..551]), Ok(TokenReport { status: status.clone(), tokens: vec![] }));
        assert_eq!(TokenReport::parse(&bytes[..34]), Ok(TokenReport { status, tokens: vec![] }));
        assert_eq!(TokenReport::parse(&bytes[..36]), Err(DataError::Truncated { what: REPORT }));
    }

    #[test]
    fn a_list_holds_no_more_ranges_than_its_length_can_tell() {
        let list = PopulateList { ranges: vec![RANGE; MAX_RANGES + 1], ..PopulateList::default() };
        assert_eq!(PopulateList::parse(&list.encode()).unwrap().ranges.len(), 4062);
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(
            head in prop::collection::vec(any::<u8>(), 14), token in prop::collection::vec(any::<u8>(), 520),
            ranges in prop::collection::vec(any::<u8>(), 0..80), len in 0..90u8,
        ) {
            let tail = [&[0, len], &ranges[..]].concat();
            if let Ok(list) = PopulateList::parse(&[&head, &tail[..]].concat()) {
                prop_assert!(list.ranges.len() * 16 <= ranges.len());
                prop_assert_eq!(PopulateList::parse(&list.encode()), Ok(list));
            }
            if let Ok(list) = UseList::parse(&[&head, &token, &tail[..]].concat()) {
                prop_assert!(list.ranges.len() * 16 <= ranges.len());
                prop_assert_eq!(UseList::parse(&list.encode()), Ok(list));
            }
            let report = [&[0, 0, 3, len][..], &head, &token, &tail, &token].concat();
            if let Ok(report) = TokenReport::parse(&report) {
                prop_assert!(report.tokens.len() <= 2);
                prop_assert_eq!(TokenReport::parse(&report.encode()), Ok(report));
            }
        }
    }
}
